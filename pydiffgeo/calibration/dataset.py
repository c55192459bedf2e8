"""What a calibration of one site has found, as a dataset: for any model and any observations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import Array
from ..errors import PydiffgeoError, UnknownSiteError
from ..io import provenance, solution_dataset
from ..io.solutions import as_dates
from ..losses.measures import MEASURES
from ..observe import Observation
from ..solve import Solution
from .loss_terms import told
from .record import unit_of
from .result import CalibrationResult, prior_values, training_loss
from .site import Site


def site_dataset(
    found: CalibrationResult, site: str, *, start: object = None, further: Sequence[Observation] = ()
) -> xr.Dataset:
    """The best solution of a site with what was observed and calibrated, for `dg.io.write_dataset` and `pydiffgeo report`.

    Args:
        found: from `calibrate`. site: one of its sites.
        start: date of time zero of the model; without it, times are numbers in the unit of the model.
        further: observations that were not calibrated on, to be compared with.

    Returns:
        Dataset as `dg.io.solution_dataset` makes it, of the solution with the best values. Besides, each calibrated
        value with its bounds, as `NAME_prior` what it was ahead of calibration, and as `NAME_standard_error` how well it
        is known, where that can be told (the attribute `standard_errors` says why not); where a parameter of cells has
        the name of a calibrated value, it becomes `parameter_NAME`. `loss (finalist, step)`. Values seen at depths are `NAME_observed` and `NAME_simulated`,
        both `(when, probe)`, at `probe_depth`; other series have dimensions of their own.

    Raises:
        UnknownSiteError: it is not there, or failed; says why.
        SolverError: it cannot be solved. DataError: see `solution_dataset`.
    """
    if site not in found.searches:
        why = found.failures.get(site, f"there are {[*found.searches]}")
        raise UnknownSiteError(f"there is nothing of a site {site!r}: {why}")
    asked, solution = found.sites[site], found.solve(site)
    errors, why_not = _standard_errors(found, site)
    data = solution_dataset(solution, start=start).isel(member=0, drop=True)
    title, warmup = f"{asked.model.name} calibrated with pydiffgeo", f"{asked.warmup:g} {asked.model.time_unit}"
    data.attrs = provenance(
        solution,
        action="calibrated",
        title=title,
        site=site,
        loss=told(asked.loss),
        warmup=warmup,
        standard_errors=why_not,
    )
    data = _values(data, found, site, errors)
    state = found.searches[site]
    unit = _loss_unit(asked)
    own = "1" if asked.priors else unit
    histories = {"loss": (training_loss(asked.loss, bool(asked.priors)), own, state["loss_history"])}
    if asked.tuning:
        histories["tuning_loss"] = (f"loss over the tuning period ({told(asked.loss)})", unit, state["tuning_history"])
    for key, (text, units, history) in histories.items():
        data[key] = (("finalist", "step"), history.T, {"long_name": f"smallest {text} so far", "units": units})
    probes = [one for one in asked.observations if isinstance(one.depth, (int, float))]
    data = _probes(data, solution, probes, start)
    uses = {"train": asked.observations, "tuning": asked.tuning, "evaluation": further}
    series = [(one, use) for use, several in uses.items() for one in several]
    for number, (one, use) in enumerate(series):
        if one not in probes:
            data = _series(data, solution, one, f"{one.name}_{number}", start, use)
    return data


def _standard_errors(found: CalibrationResult, site: str) -> tuple[dict[str, float], str | None]:
    """Standard errors, or none and why: the loss is no sum of squares, the data say too little, or a solve fails."""
    try:
        return found.standard_errors(site), None
    except PydiffgeoError as error:
        return {}, f"there are none: {error}"


def _loss_unit(site: Site) -> str:
    """The unit of a loss: of those that have one, observations are of one unit."""
    unit = MEASURES[site.loss].unit if isinstance(site.loss, str) and site.loss in MEASURES else "1"
    if "{" not in unit:
        return unit
    own = unit_of(site.model, site.observations[0]) or "1"
    return own if unit == "{unit}" else unit.format(unit=f"({own})")


def described(site: Site, name: str) -> tuple[str, str]:
    """Unit and description of a calibrated value. One called like a parameter and more is that of a part of it."""
    known = {p.name: (p.unit, p.description) for p in site.model.parameters}
    # What a model takes for an initial value in place of a state, such as a head, is among its outputs.
    outputs = [one for one in site.model.outputs if one.name in site.model.initial_names]
    for started in (site.model.all_states, outputs):
        known |= {v.name: (v.unit, f"{v.description} at the start") for v in started}
    if name not in known:
        whole, _, part = name.rpartition("_")
        unit, text = known.get(whole, ("1", ""))
        known[name] = (unit, f"{text}, {part}") if text else ("1", name.replace("_", " "))
    return known[name]


def _values(data: xr.Dataset, found: CalibrationResult, name: str, errors: dict[str, float]) -> xr.Dataset:
    """Adds what was calibrated."""
    site: Site = found.sites[name]
    prior = prior_values(site)
    for item in site.transforms.items:
        unit, text = described(site, item.name)
        key = item.name
        if key in data and key in {s.name for s in site.model.all_states}:
            key = f"initial_{key}"
        elif key in data:
            data = data.rename({key: f"parameter_{key}"})
        about = {"units": unit, "valid_min": item.low, "valid_max": item.high}
        data[key] = ((), found.values(name)[item.name], {**about, "long_name": f"{text} (calibrated)"})
        ahead = float(prior[item.name].reshape(-1)[0])
        data[f"{key}_prior"] = ((), ahead, {"units": unit, "long_name": f"{text} ahead of calibration"})
        if item.name in errors:
            about = {"units": unit, "long_name": f"standard error of {key}"}
            data[f"{key}_standard_error"] = ((), errors[item.name], about)
    return data


def _probes(data: xr.Dataset, solution: Solution, probes: Sequence[Observation], start: object) -> xr.Dataset:
    """Adds what was seen at depths, each probe in a column, at the times of any of them."""
    if not probes:
        return data
    when = np.unique(np.concatenate([one.times for one in probes]))
    depth = np.array([one.depth for one in probes], np.float64)
    about = {k: v for k, v in data["depth"].attrs.items() if k in ("units", "comment")}
    data = data.assign_coords(
        probe_depth=("probe", depth, {**about, "long_name": "depth of the probe"}),
        when=("when", *_axis(solution, when, start)),
    )
    for name in dict.fromkeys(one.name for one in probes):
        for kind in ("observed", "simulated"):
            table = np.full((len(when), len(probes)), np.nan)
            for column, one in enumerate(probes):
                if one.name == name:
                    values = one.values if kind == "observed" else one.simulated(solution)
                    table[np.searchsorted(when, one.times), column] = (
                        values.detach().numpy().reshape(-1, len(one.times))[0]
                    )
            unit = next(unit_of(solution.model, one) for one in probes if one.name == name)
            about = {"units": unit or "1", "long_name": f"{name}, {kind}"}
            data[f"{name}_{kind}"] = (("when", "probe"), table, about)
    return data


def _series(data: xr.Dataset, solution: Solution, one: Observation, key: str, start: object, use: str) -> xr.Dataset:
    """Adds a series with a dimension of its own: times, or the ends of windows and their bounds."""
    windows = one.kind != "value"
    when, about = _axis(solution, one.times[:, 1] if windows else one.times, start)
    axis = f"{key}_when"
    if windows:
        about = {**about, "bounds": f"{axis}_bounds"}
        data[f"{axis}_bounds"] = (
            (axis, "bound"),
            np.stack([_axis(solution, e, start)[0] for e in one.times.T], axis=1),
        )
    data = data.assign_coords({axis: (axis, when, about)})
    unit = unit_of(solution.model, one) or "1"
    where: dict[str, object] = {"cell": one.cell} if one.cell is not None else {}
    for kind, values in (("observed", one.values), ("simulated", one.simulated(solution))):
        row = values.detach().numpy().reshape(-1, len(when))[0]
        text = {"units": unit, "long_name": f"{one.what}, {kind}", "quantity": one.name, "use": use}
        data[f"{key}_{kind}"] = ((axis,), row, {**text, **where})
    return data


def _axis(solution: Solution, times: Array, start: object) -> tuple[NDArray[np.generic], dict[str, str]]:
    if start is None:
        return times, {"units": solution.model.time_unit, "long_name": "time since the start"}
    return as_dates(times, solution.model.time_unit, start), {"long_name": "time", "standard_name": "time"}
