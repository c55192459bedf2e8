"""What trained networks predict, as a dataset: series, scores over seeds beside baselines, parameters, losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..errors import InputError
from ..io import provenance
from ..losses.measures import MEASURES
from ..nn.network import ParameterNetwork
from ..nn.predict import predict
from ..nn.sites import SiteData
from ..nn.training import TrainingHistory
from .basin import BasinData
from .scores import BASELINES, SCORES, UNITS, baseline_scores, scores

Dates = tuple[Any, Any]


def predictions(
    networks: Sequence[ParameterNetwork],
    data: SiteData,
    train: Dates,
    evaluation: Dates,
    *,
    seen: Sequence[TrainingHistory] = (),
    warmup: int = 365,
    climate: SiteData | None = None,
    **settings: Any,
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
    daily = ("seed", "basin", "time")
    found: dict[str, Any] = {
        "runoff_observed": (daily[1:], data.observed.numpy(), _about("observed runoff", "mm d-1")),
        "runoff_simulated": (daily, runoff, _about("runoff, daily mean", "mm d-1")),
        "precipitation": (daily[1:], data.forcing["precipitation"].numpy(), _about("precipitation", "mm d-1")),
    }
    first = networks[0]
    with torch.no_grad():
        learnt = [n.values(n.variables(data.attributes, climate=n.climate(data, climate))) for n in networks]
    for i, item in enumerate(first.items):
        if item.name in first.varying:
            continue
        values = np.stack([known[item.name][:, 0].numpy() for known in learnt])
        parameter = {p.name: p for p in first.model.parameters}.get(item.name)
        name = item.name if parameter else f"initial_{item.name}"
        state = {s.name: s for s in first.model.all_states}.get(item.name)
        unit = parameter.unit if parameter else state.unit if state else "1"
        text = f"{parameter.description} (learnt)" if parameter else f"{item.name} at the start (learnt)"
        found[name] = (
            daily[:2],
            values,
            {**_about(text, unit), "valid_min": first.items[i].low, "valid_max": first.items[i].high},
        )
    each = range(len(data))
    for name in SCORES:
        table = [
            [scores(name, run.fluxes["runoff"][s, warmup:], data.observed[s], periods) for s in each] for run in runs
        ]
        about = MEASURES[name]
        found[name] = (
            ("seed", "basin", "period"),
            np.array(table),
            _about(f"{about.text} of daily runoff", UNITS[about.unit]),
        )
    for name in ("nse", "kge"):
        rows = [baseline_scores(name, _basin(data, s), *periods) for s in each]
        found[f"baseline_{name}"] = (("baseline", "basin", "period"), np.array(rows).swapaxes(0, 1),
                                     _about(f"{MEASURES[name].text} of each baseline", "1"))  # fmt: skip
    if seen:
        longest = max(len(s.loss) for s in seen)
        loss = np.stack([np.pad(np.array(s.loss), (0, longest - len(s.loss)), constant_values=np.nan) for s in seen])
        found["loss"] = (("seed", "step"), loss, _about("training loss of each step", "1"))
        for name, text, unit in (("solves", "sites solved and differentiated in training", "1"),
                                 ("seconds", "time spent on training", "s")):  # fmt: skip
            found[f"cost_{name}"] = (
                ("seed",),
                np.array([getattr(s, name) for s in seen], np.float64),
                _about(text, unit),
            )
    found["balance_error"] = (daily[:2], np.stack([run.balance.numpy() for run in runs]),
                              _about("largest closure error of the water balance", "mm"))  # fmt: skip
    ends = np.array([[str(np.datetime64(d, "D")) for d in p] for p in (train, evaluation)])
    coordinates = {
        "seed": ("seed", np.arange(len(networks)), _about("number of the network", "1")),
        "basin": ("basin", list(data.names), {"long_name": "basin identifier"}),
        "time": ("time", data.dates.astype("datetime64[ns]"), {"long_name": "day"}),
        "period": ("period", ["train", "evaluation"], {"long_name": "period"}),
        "period_start": ("period", ends[:, 0], {"long_name": "first day of the period"}),
        "period_end": ("period", ends[:, 1], {"long_name": "last day of the period"}),
        "baseline": ("baseline", list(BASELINES), {"long_name": "what the model has to beat"}),
    }
    attributes = provenance(
        runs[0], action="predicted", title=f"{first.model.name} with parameters from a network", network=first.settings,
        warmup=warmup,
    )  # fmt: skip
    return xr.Dataset(found, coordinates, attributes)


def _about(text: str, unit: str) -> dict[str, Any]:
    return {"long_name": text, "units": unit}


def _days(data: SiteData, period: Dates) -> slice:
    inside = data.between(*period)
    first = int((inside.dates[0] - data.dates[0]).astype(int))
    return slice(first, first + len(inside.dates))


def _basin(data: SiteData, site: int) -> BasinData:
    forcing = {k: v[site].numpy() for k, v in data.forcing.items()}
    return BasinData(data.names[site], data.dates, runoff=data.observed[site].numpy(), source="the sites", **forcing)
