"""The checkpoint of a search: written now and then, and read again."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path

from ..arrays import Json
from ..engines.interrupts import held_interrupts
from ..errors import DataError
from .checkpoint import Checkpoint, load, save

# In the state of a search: whether it has come to the whole of the record, and what it has cost.
REFINING, SOLVES, GRADIENTS, SOLVED_TIME, SECONDS = "refining", "solves", "gradients", "solved_time", "seconds"
COSTS = (SOLVES, GRADIENTS, SOLVED_TIME, SECONDS)
# Seconds of work that a crash may cost at most, besides the step it happens in.
SAVE_EVERY = 10.0


class Keeper:
    """Holds the present checkpoint and writes it now and then."""

    def __init__(self, path: Path | None, identity: Mapping[str, Json], resume: bool) -> None:
        self.path, self.identity, self.saved, self.lost = path, identity, time.monotonic(), ""
        if path is not None and not path.parent.is_dir():  # said before anything is solved
            raise DataError(f"{path}: the checkpoint cannot be written; there is no folder {path.parent}")
        self.resumed = path is not None and resume and path.exists()
        self.now = load(path, identity) if path is not None and self.resumed else Checkpoint()
        self.written = self.now if self.resumed else None

    def update(self, checkpoint: Checkpoint) -> None:
        self.now = checkpoint
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Writes what has changed since it was read or written last.

        A full disk must not end a search whose result may still be had.
        """
        self.saved, now = time.monotonic(), self.now
        if self.path is None or now is self.written or not (now.finished or now.failed or now.site is not None):
            return
        try:
            with held_interrupts():
                save(self.path, self.identity, now)
                self.written, self.lost = now, ""
        except (DataError, OSError) as error:
            self.lost = f"the checkpoint could not be written ({error})"
            warnings.warn(f"{self.lost}; the search goes on without it", RuntimeWarning, stacklevel=2)

    def where(self) -> str:
        """Where an interrupted run stands, and how to go on."""
        state = self.now.state
        phase = "refining" if state and state[REFINING] else "exploring"
        step = f"after step {int(state['step'])} of {phase}" if state else "before the first step of"
        where = f"{step} site {self.now.site}" if self.now.site else "between sites"
        if self.path is None or self.lost:
            return f"{where}; {self.lost}" if self.lost else where
        return f"{where}; the same command goes on from {self.path}"
