"""Checkpoints of a calibration: plain arrays and JSON in one `.npz`, nothing that can run code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..arrays import Json
from ..errors import DataError
from ..io import read_archive, write_archive
from .search import State

FORMAT = 3
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Checkpoint:
    """How far a calibration has come.

    Attributes:
        finished: site -> final state of its search. failed: site -> why it was given up.
        site: the site at work, with its `state`; None between sites.
    """

    finished: Mapping[str, State] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    site: str | None = None
    state: State | None = None

    def states(self) -> Iterator[tuple[str, State]]:
        """Sites with the states of their searches."""
        yield from self.finished.items()
        if self.site is not None and self.state is not None:
            yield self.site, self.state

    def with_finished(self, site: str, state: State) -> Checkpoint:
        """The site at work is done."""
        return Checkpoint({**self.finished, site: state}, self.failed)

    def with_failure(self, site: str, why: str) -> Checkpoint:
        """The site at work is given up."""
        return Checkpoint(self.finished, {**self.failed, site: why})


def save(path: Path, identity: Mapping[str, Json], checkpoint: Checkpoint) -> None:
    """Writes the checkpoint, whole or not at all.

    Args:
        identity: what must be the same for the checkpoint to be of use; `identity["data"]` holds what
            must be the same for each site.
    """
    done, failed = list(checkpoint.finished), dict(checkpoint.failed)
    about = {"format": FORMAT, "identity": identity, "finished": done, "failed": failed, "site": checkpoint.site}
    arrays = {f"{site}/{name}": array for site, state in checkpoint.states() for name, array in state.items()}
    write_archive(path, about, arrays)


def load(path: Path, identity: Mapping[str, Json]) -> Checkpoint:
    """Reads a checkpoint; sites that `identity` does not name are left out, new ones may be there.

    Raises:
        DataError: it is damaged, or belongs to another calibration; says in what they differ.
    """
    try:
        about, arrays = read_archive(path)
        form = about["format"]
        searches: dict[str, State] = {}
        for key, array in arrays.items():
            site, name = key.rsplit("/", 1)
            searches.setdefault(site, {})[name] = array
        if form == FORMAT:
            then, failed = _as(dict, about["identity"]), _as(dict, about["failed"])
            finished = [str(s) for s in _as(list, about["finished"])]
            then["data"] = _as(dict, then.get("data", {}))
            working = about["site"] if isinstance(about["site"], str) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: the checkpoint cannot be read ({error}); delete it to start anew") from error
    if form != FORMAT:
        raise DataError(f"{path}: the checkpoint has format {form}, not {FORMAT}; delete it to start anew")
    now = json.loads(json.dumps(identity))
    sites = now.get("data", {})
    then["data"] = {s: v for s, v in then["data"].items() if s in sites and (s in searches or s in failed)}
    now["data"] = {s: sites[s] for s in then["data"]}
    different = [*_differences(then, now)]
    if different:
        raise DataError(
            f"{path}: the checkpoint belongs to another configuration (different: {'; '.join(different[:5])}); "
            f"restore that, or delete the checkpoint to start anew"
        )
    done = {s: searches[s] for s in finished if s in then["data"] and s in searches}
    given_up = {s: str(why) for s, why in failed.items() if s in then["data"]}
    if working is None or working not in sites:
        return Checkpoint(done, given_up)
    return Checkpoint(done, given_up, working, searches.get(working))


def _as(kind: type[Kind], value: object) -> Kind:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _differences(then: Json, now: Json, where: str = "") -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _differences(then.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif then != now:
        yield f"{where} was {then}, is {now}"
