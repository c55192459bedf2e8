"""Calibration of many sites over the workers of a Dask scheduler, with a file for each site as soon as it is done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from ..arrays import Json
from ..engines.interrupts import held_interrupts, saved_when_stopped
from ..errors import DataError, InputError, PydiffgeoError, SchedulerError
from ..io import read_archive
from ..scheduling import Scheduler, each
from .checkpoint import Checkpoint, load, save
from .progress import Progress, Step
from .search import State
from .site import Site
from .strategy import Strategy

# A site, or what makes it where it is calibrated, so that its data need not pass through the scheduler.
Source = Site | Callable[[], Site]
Searched = Callable[[Site, Strategy], State]


def checkpoint_beside(output: Path, scheduler: Scheduler) -> Path:
    """Where a calibration keeps what it has found until `output` is written: a file, or a folder of one for each site."""
    return output.with_name(output.name + (".checkpoint.npz" if scheduler is None else ".checkpoint"))


@dataclass(frozen=True, eq=False)
class SitesByName(Mapping[str, Site]):
    """Sites by their names, each made when it is asked for."""

    sources: Mapping[str, Source]

    def __getitem__(self, name: str) -> Site:
        return made(name, self.sources[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)


def made(name: str, source: Source) -> Site:
    """The site, which has this name.

    Raises:
        InputError: what should make it makes something else.
    """
    site = source if isinstance(source, Site) else source()
    if not isinstance(site, Site) or site.name != name:
        raise InputError(f"site {name}: what is to make it returned {getattr(site, 'name', site)!r}")
    return site


@dataclass(frozen=True)
class Folder:
    """Checkpoints of single sites in a folder, `<site>.npz` each; None keeps none.

    Attributes:
        identity: what must be the same for them to be of use, besides the data of each.
    """

    path: Path | None
    identity: Mapping[str, Json]

    def __post_init__(self) -> None:
        if self.path is not None:
            try:
                self.path.mkdir(exist_ok=True)
            except OSError as error:
                raise DataError(
                    f"{self.path}: no folder for a file of each site can be made there ({error})"
                ) from error

    def file(self, site: str) -> Path | None:
        """Where the checkpoint of a site is; names that no file can have are written in another way."""
        if self.path is None:
            return None
        name = quote(site, safe=" ")
        return self.path / f"{name if len(name) < 200 else hashlib.sha256(site.encode()).hexdigest()}.npz"

    def read(self, site: str, fingerprint: str | None) -> tuple[Checkpoint, str] | None:
        """What is there of a site, and the digest of its data then; None where nothing is.

        Args:
            fingerprint: of the site as it is; None where it is not known here.

        Raises:
            DataError: it cannot be read, or belongs to another calibration.
        """
        file = self.file(site)
        if file is None or not file.exists():
            return None
        if fingerprint is None:
            try:
                fingerprint = str(read_archive(file)[0]["identity"]["data"][site])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(f"{file}: the checkpoint cannot be read ({error}); delete it to start anew") from error
        return load(file, {**self.identity, "data": {site: fingerprint}}), fingerprint

    def write(self, site: str, fingerprint: str, checkpoint: Checkpoint) -> None:
        """Writes the checkpoint of a site, whole or not at all."""
        if (file := self.file(site)) is not None:
            with held_interrupts():
                save(file, {**self.identity, "data": {site: fingerprint}}, checkpoint)


# What a worker is sent: a site or what makes it, and the digest of its data where a result of them is known.
_Task = tuple[str, Source, str | None]


def _search(searched: Searched, strategy: Strategy, task: _Task) -> tuple[str, State | None]:
    """Runs in a worker: the digest of the data of a site, and its final state unless that is known."""
    name, source, known = task
    site = made(name, source)
    fingerprint = site.fingerprint
    if known is None:
        return fingerprint, searched(site, strategy)
    if known != fingerprint:
        raise DataError(f"site {name}: its data, or what is sought, is not what the checkpoint of it was made for")
    return fingerprint, None


def over_workers(
    scheduler: Scheduler,
    sources: Mapping[str, Source],
    strategy: Strategy,
    searched: Searched,
    check: Callable[[Site, State, Path | None], None],
    folder: Folder,
    *,
    resume: bool,
    report: Progress,
    callback: Callable[[Step], None] | None,
) -> tuple[Checkpoint, dict[str, InputError]]:
    """Searches all sites.

    Args:
        searched: the search of one site. check: raises where a state that was read is none of a site.

    Returns:
        What was found, and the mistakes of sites, which are not kept: they are tried again by the next run.
    """
    kept = {name: _kept(folder, name, source, check) for name, source in sources.items()} if resume else {}
    finished = {n: known[0].finished[n] for n, known in kept.items() if known and n in known[0].finished}
    failed = {n: known[0].failed[n] for n, known in kept.items() if known and n in known[0].failed}
    if finished or failed:
        report.say(f"going on from {folder.path}, with {len(finished) + len(failed)} of {len(sources)} sites")
    mistakes = dict[str, InputError]()

    def tasks() -> Iterator[tuple[str, _Task]]:
        for name, source in sources.items():
            known = kept.get(name)
            if known is None:
                yield name, (name, source, None)
            elif not isinstance(source, Site):
                # Whether its data are still the same is known only where it is made.
                yield name, (name, source, known[1])

    def where() -> str:
        told = f"{len(finished)} of {len(sources)} sites are done"
        return told if folder.path is None else f"{told}; the same command goes on from {folder.path}"

    with saved_when_stopped(lambda: None, where, report.close):
        for name, found in each(partial(_search, searched, strategy), tasks(), scheduler):
            if isinstance(found, DataError) and kept.get(name) is not None:
                raise DataError(f"{folder.file(name)}: {found}; restore that, or delete the file to start anew")
            if isinstance(found, SchedulerError):
                failed[name] = f"site {name}: {found}"  # another run may do better
            elif isinstance(found, InputError):
                mistakes[name] = found
            elif isinstance(found, PydiffgeoError):
                failed[name] = str(found)
                if isinstance(source := sources[name], Site):
                    folder.write(name, source.fingerprint, Checkpoint({}, {name: str(found)}))
            elif found[1] is not None:
                finished[name] = found[1]
                folder.write(name, found[0], Checkpoint({name: found[1]}))
                step = _last_step(name, len(finished) + len(failed), len(sources), found[1], strategy)
                report.say(f"site {name} ({step.number}/{step.sites})  best {min(step.best):.6g}")
                if callback is not None:
                    callback(step)
            if isinstance(found, PydiffgeoError):
                report.say(f"site {name} failed: {found}")
    return Checkpoint(finished, failed), mistakes


def _kept(
    folder: Folder, name: str, source: Source, check: Callable[[Site, State, Path | None], None]
) -> tuple[Checkpoint, str] | None:
    """What is there of a site that can be used."""
    site = source if isinstance(source, Site) else None
    known = folder.read(name, None if site is None else site.fingerprint)
    if known is not None and site is not None:
        for _, state in known[0].states():
            check(site, state, folder.file(name))
    return known


def _last_step(site: str, number: int, sites: int, state: State, strategy: Strategy) -> Step:
    """What a callback is told of a site that is done."""
    best = tuple(state["best_loss"].tolist())
    searching, done = int((~state["done"]).sum()), int(state["step"])
    return Step(site, number, sites, "refining", done, strategy.steps, min(best), best, searching)
