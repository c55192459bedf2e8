"""How a calibration stands: a bar with the time left on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tqdm import tqdm


@dataclass(frozen=True)
class Step:
    """What is known after a step of a search.

    Attributes:
        site, number: the site and its place among `sites`, from 1.
        phase: "exploring" a part of the record, or "refining" on all of it.
        step, steps: steps done and allowed in this phase.
        loss: the smallest of this step. best: the smallest loss so far of each start.
        searching: how many starts are not done.
    """

    site: str
    number: int
    sites: int
    phase: str
    step: int
    steps: int
    loss: float
    best: tuple[float, ...]
    searching: int


class Progress:
    """Tells what happens to a person, and each step to a callback.

    Work is counted in members times the time they are solved for.
    """

    def __init__(self, shown: bool, work: float, callback: Callable[[Step], None] | None) -> None:
        self.shown, self.callback = shown, callback
        self.left, self.done, self.rates = work, 0.0, list[float]()
        self.at = time.monotonic()
        bar = shown and sys.stderr.isatty()
        self.bar = tqdm(total=1.0, bar_format="{l_bar}{bar}| {elapsed}, {postfix}", leave=False) if bar else None

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.shown:
            tqdm.write(line, file=sys.stderr)
            sys.stderr.flush()

    def begin(self) -> None:
        """Starts the clock of the next step."""
        self.at = time.monotonic()

    def skip(self, work: float) -> None:
        """Takes work from what is left that will not be needed."""
        self.left = max(self.left - work, 0.0)

    def step(self, step: Step, work: float) -> None:
        """A step that cost `work` has been done."""
        now = time.monotonic()
        self.rates = [*self.rates[-9:], (now - self.at) / work]
        self.done, self.at = self.done + work, now
        self.skip(work)
        left = timedelta(seconds=round(self.left * sum(self.rates) / len(self.rates)))
        line = (
            f"site {step.site} ({step.number}/{step.sites})  {step.phase} {step.step}/{step.steps}  loss {step.loss:.6g}"
            f"  best {min(step.best):.6g}  searching {step.searching}/{len(step.best)}"
        )
        if self.bar is not None:
            self.bar.set_postfix_str(f"at most {left} left, {line}", refresh=False)
            self.bar.n = self.done / (self.done + self.left) if self.left else 1.0
            self.bar.refresh()
        elif self.shown:
            self.say(f"{line}  at most {left} left")
        if self.callback is not None:
            self.callback(step)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
