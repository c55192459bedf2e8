"""What a network predicts for many sites, some at a time: here, or over the workers of a Dask scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..checks import check_whole
from ..errors import DataError, PydiffgeoError
from ..fingerprint import digest
from ..io import read_archive, write_archive
from ..scheduling import Scheduler, each
from .network import ParameterNetwork
from .predict import predict
from .sites import SiteData
from .training import Keywords


@dataclass(frozen=True)
class Predicted:
    """What was predicted.

    Attributes:
        flux: daily means of the flux that `data` observe, `(sites, days)`, in its unit per day; NaN of sites that failed.
        failures: site -> why.
    """

    flux: Tensor
    failures: Mapping[str, str] = field(default_factory=dict)


# A part of the data, and of those over the reference period of the network, where they are others.
_Part = tuple[SiteData, SiteData | None]


def predict_many(
    network: ParameterNetwork,
    data: SiteData,
    *,
    scheduler: Scheduler = None,
    chunk: int = 32,
    folder: str | Path | None = None,
    warmup: int = 365,
    climate: SiteData | None = None,
    callback: Callable[[int, int], None] | None = None,
    **settings: Unpack[Keywords],
) -> Predicted:
    """Predicts the flux that `data` observe for their sites, `chunk` of them at a time.

    Args:
        scheduler: as in `calibration.calibrate`; None solves here.
        chunk: sites that are sent, and solved, together.
        folder: where each part is written as it comes, and from which an interrupted call goes on; parts of another
            network, of other data or settings are not taken.
        warmup, climate, settings: see `predict`. callback: called after each part with sites done and sites in all.

    Raises:
        InputError: `chunk` is no number. DataError: `folder` cannot be used, or see `predict`.
        SchedulerError, MissingPackageError: see `scheduling.each`.
    """
    check_whole(1, chunk=chunk)
    path = None if folder is None else Path(folder)
    if path is not None:
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(f"{path}: no folder for what is predicted can be made there ({error})") from error
    flux, failures, done = torch.full_like(data.observed, torch.nan), dict[str, str](), 0
    asked = digest(network.settings, network.state_dict(), warmup, dict(settings))
    found = partial(_predicted, network, warmup, settings)
    known = dict[str, tuple[slice, Path | None]]()

    def take(part: slice, predicted: Predicted) -> None:
        nonlocal done
        flux[part], done = predicted.flux, done + len(predicted.flux)
        failures.update(predicted.failures)
        if callback is not None:
            callback(done, len(data))

    def parts() -> Iterator[tuple[str, _Part]]:
        for first in range(0, len(data), chunk):
            part = slice(first, first + chunk)
            names = data.names[part]
            thing = data.take(names), None if climate is None else climate.take(names)
            file = path and path / f"{digest(asked, names, *_numbers(thing))}.npz"
            if file is not None and file.exists():
                take(part, _read(file))
            else:
                known[names[0]] = part, file
                yield names[0], thing

    for name, predicted in each(found, parts(), scheduler):
        part, file = known.pop(name)
        if isinstance(predicted, PydiffgeoError):
            nothing = torch.full_like(data.observed[part], torch.nan)
            predicted = Predicted(nothing, dict.fromkeys(data.names[part], str(predicted)))
        elif file is not None:
            write_archive(file, {"failures": dict(predicted.failures)}, {"flux": predicted.flux.numpy()})
        take(part, predicted)
    return Predicted(flux, {name: failures[name] for name in data.names if name in failures})


def _numbers(part: _Part) -> tuple[object, ...]:
    return tuple((one.dates, one.forcing, one.attributes) for one in part if one is not None)


def _predicted(network: ParameterNetwork, warmup: int, settings: Keywords, part: _Part) -> Predicted:
    data, climate = part
    solution = predict(network, data, warmup=warmup, climate=climate, **settings)
    flux = solution.fluxes[data.flux][:, warmup:].detach()
    failed = [name for name, good in zip(data.names, solution.ok, strict=True) if not good]
    return Predicted(flux, dict(zip(failed, solution.failures(), strict=True)))


def _read(file: Path) -> Predicted:
    try:
        about, arrays = read_archive(file)
        return Predicted(torch.from_numpy(arrays["flux"]), dict(about["failures"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: what was predicted cannot be read ({error}); delete it") from error
