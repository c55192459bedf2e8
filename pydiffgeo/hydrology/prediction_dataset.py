"""What trained networks predict, as a dataset: series, scores over seeds beside baselines, parameters, losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from typing_extensions import Unpack

from ..days import day
from ..errors import InputError
from ..io import provenance
from ..losses.measures import MEASURES
from ..nn.network import ParameterNetwork
from ..nn.predict import predict
from ..nn.sites import SiteData
from ..nn.training import Keywords, TrainingHistory
from ..transforms import Bounded
from .basin import FORCINGS, BasinData
from .scores import BASELINES, SCORES, UNITS, baseline_scores, scores

# First and last day.
Period = tuple[object, object]
# Dimensions, values and attributes of a variable.
Entry = tuple[tuple[str, ...], NDArray, dict[str, str | float]]
DAILY = ("seed", "basin", "time")


def predictions(
    networks: Sequence[ParameterNetwork],
    data: SiteData,
    train: Period,
    evaluation: Period,
    *,
    seen: Sequence[TrainingHistory] = (),
    warmup: int = 365,
    climate: SiteData | None = None,
    **settings: Unpack[Keywords],
) -> xr.Dataset:
    """Predicts the sites with networks that differ by their seed, for `dg.io.write_dataset` and `pydiffgeo report`.

    Args:
        networks: one for each seed. data: the whole record of the sites, trained on or not.
        train, evaluation: first and last day of each period; scores and baselines are of daily runoff.
        seen: what the training of each network went through, for the loss curves. climate: see `predict`.
        settings: keywords of `solve`.

    Returns:
        Dataset with the dimensions `(seed, basin, time)` and attributes that say how it came about; sites that
        cannot be solved hold NaN. Parameters that vary in time are left out.

    Raises:
        InputError: no network is given, or there are not as many losses as networks.
    """
    if not networks or (seen and len(seen) != len(networks)):
        raise InputError(f"{len(networks)} networks and what {len(seen)} trainings went through do not fit")
    periods = _days(data, train), _days(data, evaluation)
    runs = [predict(network, data, warmup=warmup, climate=climate, **settings) for network in networks]
    runoff = np.stack([run.fluxes["runoff"][:, warmup:].numpy() for run in runs])
    variables: dict[str, Entry] = {
        "runoff_observed": (DAILY[1:], data.observed.numpy(), _about("observed runoff", "mm d-1")),
        "runoff_simulated": (DAILY, runoff, _about("runoff, daily mean", "mm d-1")),
        "precipitation": (DAILY[1:], data.forcing["precipitation"].numpy(), _about("precipitation", "mm d-1")),
    }
    first = networks[0]
    with torch.no_grad():
        learnt = [n.values(n.variables(data.attributes, climate=n.climate(data, climate))) for n in networks]
    for item in first.items:
        if item.name in first.varying:
            continue
        name, about = _described(first, item)
        variables[name] = (DAILY[:2], np.stack([values[item.name][:, 0].numpy() for values in learnt]), about)
    sites = range(len(data))
    for name in SCORES:
        table = [
            [scores(name, run.fluxes["runoff"][s, warmup:], data.observed[s], periods) for s in sites] for run in runs
        ]
        about = _about(f"{MEASURES[name].text} of daily runoff", UNITS[MEASURES[name].unit])
        variables[name] = (("seed", "basin", "period"), np.array(table), about)
    for name in ("nse", "kge"):
        rows = np.array([baseline_scores(name, _basin(data, s), *periods) for s in sites]).swapaxes(0, 1)
        about = _about(f"{MEASURES[name].text} of each baseline", "1")
        variables[f"baseline_{name}"] = (("baseline", "basin", "period"), rows, about)
    if seen:
        longest = max(len(s.loss) for s in seen)
        loss = np.stack([np.pad(np.array(s.loss), (0, longest - len(s.loss)), constant_values=np.nan) for s in seen])
        variables["loss"] = (("seed", "step"), loss, _about("training loss of each step", "1"))
        solves, seconds = (np.array([getattr(s, name) for s in seen], np.float64) for name in ("solves", "seconds"))
        variables["cost_solves"] = (("seed",), solves, _about("sites solved and differentiated in training", "1"))
        variables["cost_seconds"] = (("seed",), seconds, _about("time spent on training", "s"))
    balance = np.stack([run.balance.numpy() for run in runs])
    variables["balance_error"] = (DAILY[:2], balance, _about("largest closure error of the water balance", "mm"))
    ends = np.array([[str(day("a period", d)) for d in period] for period in (train, evaluation)])
    coordinates = {
        "seed": ("seed", np.arange(len(networks)), _about("number of the network", "1")),
        "basin": ("basin", list(data.names), {"long_name": "basin identifier"}),
        "time": ("time", data.dates.astype("datetime64[ns]"), {"long_name": "day"}),
        "period": ("period", ["train", "evaluation"], {"long_name": "period"}),
        "period_start": ("period", ends[:, 0], {"long_name": "first day of the period"}),
        "period_end": ("period", ends[:, 1], {"long_name": "last day of the period"}),
        "baseline": ("baseline", list(BASELINES), {"long_name": "what the model has to beat"}),
    }
    title = f"{first.model.name} with parameters from a network"
    attributes = provenance(runs[0], action="predicted", title=title, network=first.settings, warmup=warmup)
    return xr.Dataset(variables, coordinates, attributes)


def _described(network: ParameterNetwork, item: Bounded) -> tuple[str, dict[str, str | float]]:
    """The name and the attributes of the variable for a learnt value."""
    for p in network.model.parameters:
        if p.name == item.name:
            name, about = p.name, _about(f"{p.description} (learnt)", p.unit)
            break
    else:
        unit = {s.name: s.unit for s in network.model.all_states}.get(item.name, "1")
        name, about = f"initial_{item.name}", _about(f"{item.name} at the start (learnt)", unit)
    return name, {**about, "valid_min": item.low, "valid_max": item.high}


def _about(text: str, unit: str) -> dict[str, str | float]:
    return {"long_name": text, "units": unit}


def _days(data: SiteData, period: Period) -> slice:
    inside = data.between(*period)
    first = int((inside.dates[0] - data.dates[0]).astype(int))
    return slice(first, first + len(inside.dates))


def _basin(data: SiteData, site: int) -> BasinData:
    forcing = {k: v[site].numpy() for k, v in data.forcing.items() if k in FORCINGS}
    return BasinData(data.names[site], data.dates, runoff=data.observed[site].numpy(), source="the sites", **forcing)
