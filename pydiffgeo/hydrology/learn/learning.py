"""Trains parameter networks over the basins of a configuration, and writes what came out: `pydiffgeo train CONFIG`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from ...arrays import Json
from ...errors import DataError, InputError, PydiffgeoError, UnknownNameError
from ...io import write_dataset, write_whole
from ...nn.network import ParameterNetwork
from ...nn.sites import SiteData
from ...nn.splits import held_out
from ...nn.train import train
from ...nn.training import TrainingHistory
from ...toml_table import check_output
from ..data.attributes import read_tables
from ..data.basins_as_sites import site_data
from ..data.data_source import open_data
from ..prediction_dataset import predictions
from .configured_training import LearningSettings, learnt_bounds, read_learning


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a training gave.

    Attributes:
        networks: one for each seed. seen: what each training went through.
        sites: all basins, over the record from training to evaluation. held_out: those not trained on.
        predicted: series, scores beside baselines and parameters, as `hydrology.predictions` makes them.
    """

    networks: Sequence[ParameterNetwork]
    seen: Sequence[TrainingHistory]
    sites: SiteData
    held_out: tuple[str, ...]
    predicted: xr.Dataset


def train_file(
    path: str | Path,
    *,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[int, float], None] | None = None,
    overrides: Sequence[str] = (),
    code: bool = False,
) -> Path:
    """Trains the networks of a configuration, and writes what they predict.

    Args:
        resume: go on from the checkpoint of a run that was stopped, where there is one; else start anew.
        progress: show a bar, on a terminal. callback: called after each step with its number and loss.
        overrides, code: see `read_learning`.

    Returns:
        The path of the result, NetCDF, as `hydrology.predictions` makes it, for `pydiffgeo report`. Beside it lie the networks,
        `RESULT_network_SEED.npz`, for `nn.ParameterNetwork.load`, and the scores, `RESULT.json`.

    Raises:
        DataError: (or a subclass) the configuration, the data or a checkpoint cannot be used; nothing has been solved then.
        SolverError: no basin of a step could be solved.
        KeyboardInterrupt: after the checkpoint is written; the message says how to go on.
    """
    settings = read_learning(path, overrides=overrides, code=code)
    output = settings.output
    check_output(settings.path, output)
    checkpoints = [_beside(output, f"training_{seed}.npz") for seed in settings.network.seeds]
    found = train_networks(settings, checkpoints=checkpoints, resume=resume, progress=progress, callback=callback)
    for seed, network in zip(settings.network.seeds, found.networks, strict=True):
        network.save(_beside(output, f"network_{seed}.npz"))
    result = write_dataset(output, found.predicted, {"configuration": settings.text})
    text = json.dumps(score_table(found), indent=1, allow_nan=False)
    write_whole(output.with_suffix(".json"), lambda file: Path(file).write_text(text + "\n", encoding="utf-8"))
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    for line in told_scores(found):
        print(line)
    return result


def train_networks(
    settings: LearningSettings,
    *,
    checkpoints: Sequence[str | Path | None] | None = None,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[int, float], None] | None = None,
) -> Learnt:
    """Trains the networks of a configuration, one for each seed, and predicts all basins with them.

    Args:
        checkpoints: a file for each seed, kept up to date; none where None. resume, progress, callback: see `train_file`.

    Raises:
        DataError, SolverError, KeyboardInterrupt: as `train_file`.
    """
    whole, kept, out = _sites(settings)
    networks = [_network(settings, seed) for seed in settings.network.seeds]
    plans = [replace(settings.training, seed=seed) for seed in settings.network.seeds]
    days = whole.take(kept).between(settings.train[0], (settings.tuning or settings.train)[1])
    climate = None
    if settings.network.reference is not None:
        climate = whole.take(kept)
    files = checkpoints or [None] * len(networks)
    seen = []
    for network, plan, file in zip(networks, plans, files, strict=True):
        try:
            history = train(
                network,
                days,
                plan,
                climate=climate,
                checkpoint=file,
                resume=resume,
                progress=progress,
                callback=callback,
            )
        except (InputError, UnknownNameError) as error:
            raise DataError(f"{settings.path}: [training] cannot be used: {error}") from error
        seen.append(history)
    keywords = settings.training.settings
    predicted = predictions(
        networks, whole, settings.train, settings.evaluation, seen=seen, warmup=settings.warmup, **keywords
    )
    predicted["seed"] = predicted["seed"].copy(data=[*settings.network.seeds])
    apart = np.array([name in out for name in whole.names], np.int8)
    about = {"long_name": "held out from the training (0 no, 1 yes)", "units": "1"}
    predicted["held_out"] = ("basin", apart, about)
    return Learnt(networks, seen, whole, tuple(out), predicted)


def score_table(found: Learnt) -> dict[str, Json]:
    """Scores of each basin and their medians, over all seeds, as JSON holds them; None where there is none."""
    data, table = found.predicted, dict[str, Json]()
    for measure in ("nse", "kge"):
        each = data[measure].mean("seed")
        sites: dict[str, Json] = {
            name: {str(p): _plain(each.sel(basin=name, period=p)) for p in data["period"].values}
            for name in found.sites.names
        }
        table[measure] = {"basins": sites, "median": {**_medians(each, found)}}
    seconds = [round(history.seconds, 3) for history in found.seen]
    failures: dict[str, Json] = {}
    for history in found.seen:
        failures |= dict(history.failures)
    return {
        **table,
        "held_out": list(found.held_out),
        "seeds": [int(seed) for seed in data["seed"].values],
        "training": {
            "loss": [[float(x) for x in history.loss] for history in found.seen],
            "solves": [history.solves for history in found.seen],
            "seconds": [*seconds],
            "failures": failures,
        },
    }


def _medians(each: xr.DataArray, found: Learnt) -> dict[str, Json]:
    trained = [name for name in found.sites.names if name not in found.held_out]
    groups = {"trained on": trained, "held out": [*found.held_out]}
    return {
        who: {str(p): _plain(each.sel(basin=names, period=p).median("basin")) for p in each["period"].values}
        for who, names in groups.items()
        if names
    }


def told_scores(found: Learnt) -> list[str]:
    """A line for each group of basins, trained on and held out, and one where basins failed."""
    lines = []
    for who, values in _medians(found.predicted["nse"].mean("seed"), found).items():
        assert isinstance(values, Mapping)
        shown = ", ".join(f"{v:.3f} in {p}" if isinstance(v, float) else f"none in {p}" for p, v in values.items())
        count = len(found.held_out) if who == "held out" else len(found.sites) - len(found.held_out)
        lines.append(f"basins {who} ({count}): median NSE {shown}")
    failed = sorted({name for history in found.seen for name in history.failures})
    return [*lines, *([f"left out of steps, since they could not be solved: {', '.join(failed)}"] if failed else [])]


def _plain(value: xr.DataArray) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _beside(output: Path, name: str) -> Path:
    return output.with_name(f"{output.stem}_{name}")


def _sites(settings: LearningSettings) -> tuple[SiteData, list[str], list[str]]:
    """All basins over the days from the first that is needed to the end of evaluation, and the two groups of them."""
    d, path = settings.data, settings.path
    data = open_data(d, d.basins or None, attributes=True)
    labels = [str(name) for name in data["basin"].values]
    if settings.attributes is not None:
        further = read_tables([settings.attributes], labels, ",", {})
        data = data.drop_vars([name for name in further if name in data.variables]).assign(further)
    if d.latitude is not None:
        data = data.assign(gauge_lat=("basin", np.full(len(labels), d.latitude), {"units": "degrees_north"}))
    reference = settings.network.reference
    start = min(settings.train[0], reference[0]) if reference else settings.train[0]
    try:
        whole = site_data(
            data, settings.network.inputs, start=start, end=settings.evaluation[1], model=settings.model.model
        )
        whole.between(start, settings.evaluation[1])
    except UnknownNameError as error:
        raise DataError(f"{path}: [network] inputs cannot be used: {error}") from error
    except PydiffgeoError as error:
        raise DataError(f"{path}: [data] cannot be used: {error}") from error
    try:
        kept, out = _split(settings, whole)
    except InputError as error:
        raise DataError(f"{path}: [data] held_out cannot be used: {error}") from error
    return whole, kept, out


def _split(settings: LearningSettings, whole: SiteData) -> tuple[list[str], list[str]]:
    """Names of the basins to train on, and of the others."""
    asked = settings.held_out
    if isinstance(asked, int):
        return held_out(whole.names, asked, seed=settings.held_out_seed) if asked else ([*whole.names], [])
    whole.take(asked)
    kept = [name for name in whole.names if name not in asked]
    if not kept:
        raise InputError("no basin is left to train on")
    return kept, [name for name in whole.names if name in asked]


def _network(settings: LearningSettings, seed: int) -> ParameterNetwork:
    n, m = settings.network, settings.model
    reference = None if n.reference is None else (n.reference[0], n.reference[1])
    try:
        return ParameterNetwork(
            m.model,
            n.inputs,
            bounds=m.bounds,
            fixed=m.fixed,
            initial=learnt_bounds(m),
            varying=n.varying,
            weather=n.weather,
            reference=reference,
            hidden=n.hidden,
            memory=n.memory,
            scaling=n.scaling,
            start=n.start,
            seed=seed,
        )
    except PydiffgeoError as error:
        raise DataError(f"{settings.path}: [network] cannot be used: {error}") from error
