"""Checkpoints of a calibration: plain arrays and JSON in one `.npz`, nothing that can run code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError
from .io import write_whole
from .search import State

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """How far a calibration has come.

    Attributes:
        finished: basin -> final state of its search.
        basin: the basin at work, with its `state`; None between basins.
    """

    finished: Mapping[str, State] = field(default_factory=dict)
    basin: str | None = None
    state: State | None = None


def save(path: Path, identity: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Writes the checkpoint, whole or not at all.

    Args:
        identity: what must be the same for the checkpoint to be of use; `identity["data"]` holds what
            must be the same for each basin.
    """
    searches = dict(checkpoint.finished)
    if checkpoint.basin is not None and checkpoint.state is not None:
        searches[checkpoint.basin] = checkpoint.state
    about = {"format": FORMAT, "identity": identity, "finished": list(checkpoint.finished), "basin": checkpoint.basin}
    arrays = {f"{basin}/{name}": array for basin, state in searches.items() for name, array in state.items()}

    def write(temporary: str) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]

    write_whole(path, write)


def load(path: Path, identity: Mapping[str, Any]) -> Checkpoint:
    """Reads a checkpoint; basins that `identity` does not name are left out, new ones may be there.

    Raises:
        DataError: it is damaged, or belongs to another calibration; says in what they differ.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            then, names = dict(about["identity"]), [str(b) for b in about["finished"]]
            working = about["basin"] if isinstance(about["basin"], str) else None
            then["data"] = dict(then.get("data", {}))
            searches: dict[str, State] = {}
            for key in file.files:
                if key != "about":
                    basin, name = key.rsplit("/", 1)
                    searches.setdefault(basin, {})[name] = file[key]
    # What is no archive at all, or holds something else, raises the rest of these.
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: the checkpoint cannot be read ({error}); delete it to start anew") from error
    if about.get("format") != FORMAT:
        raise DataError(
            f"{path}: the checkpoint has format {about.get('format')}, not {FORMAT}; delete it to start anew"
        )
    now = json.loads(json.dumps(identity))
    basins = now.get("data", {})
    then["data"] = {b: v for b, v in then["data"].items() if b in searches and b in basins}
    now["data"] = {b: basins[b] for b in then["data"]}
    different = [*_differences(then, now)]
    if different:
        raise DataError(
            f"{path}: the checkpoint belongs to another configuration (different: {'; '.join(different[:5])}); "
            f"restore that, or delete the checkpoint to start anew"
        )
    finished = {basin: searches[basin] for basin in names if basin in then["data"]}
    if working is None or working not in basins:
        return Checkpoint(finished)
    return Checkpoint(finished, working, searches.get(working))


def _differences(then: Any, now: Any, where: str = "") -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _differences(then.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif then != now:
        yield f"{where} was {then}, is {now}"
