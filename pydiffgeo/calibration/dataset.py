"""What a calibration of one site has found, as a dataset: for any model and any observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError, UnknownSiteError
from ..io import provenance, solution_dataset
from ..io.solutions import as_dates
from ..observe import Observation
from ..solve import Solution
from .found import Calibration
from .result import prior_values
from .site import Site


def site_dataset(found: Calibration, site: str, *, start: Any = None) -> xr.Dataset:
    """The best solution of a site with what was observed and calibrated, for `dg.io.write_dataset` and `pydiffgeo report`.

    Args:
        found: from `calibrate`. site: one of its sites.
        start: date of time zero of the model; without it, times are numbers in the unit of the model.

    Returns:
        Dataset as `dg.io.solution_dataset` makes it, of the solution with the best values. Besides, each calibrated
        value with its bounds, as `NAME_prior` what it was ahead of calibration, and as `NAME_standard_error` how well it
        is known, where that can be told; where a parameter of cells has the name of a calibrated value, it becomes
        `parameter_NAME`. `loss (finalist, step)`. Values seen at depths are `NAME_observed` and `NAME_simulated`,
        both `(when, probe)`, at `probe_depth`; other series have dimensions of their own.

    Raises:
        UnknownSiteError: it is not there, or failed; says why.
        SolverError: it cannot be solved. DataError: see `solution_dataset`.
    """
    if site not in found.found:
        why = found.failures.get(site, f"there are {[*found.found]}")
        raise UnknownSiteError(f"there is nothing of a site {site!r}: {why}")
    asked, solution = found.sites[site], found.solve(site)
    data = solution_dataset(solution, start=start).isel(member=0, drop=True)
    data.attrs = provenance(
        solution, action="calibrated", title=f"{asked.model.name} calibrated with pydiffgeo", site=site, loss=asked.loss
    )
    data = _values(data, found, site)
    state = found.found[site]
    histories = {"loss": ("training loss", state["loss_history"])}
    if asked.selection:
        histories["selection_loss"] = ("loss of the selection", state["selection_history"])
    for key, (text, history) in histories.items():
        about = {"long_name": f"smallest {text} ({asked.loss}) so far", "units": "1"}
        data[key] = (("finalist", "step"), history.T, about)
    probes = [o for o in asked.observations if isinstance(o.depth, (int, float))]
    data = _probes(data, solution, probes, start)
    for number, o in enumerate(asked.observations):
        if o not in probes:
            data = _series(data, solution, o, f"{o.name}_{number}", start)
    return data


def _values(data: xr.Dataset, found: Calibration, name: str) -> xr.Dataset:
    """Adds what was calibrated."""
    site: Site = found.sites[name]
    known = {p.name: (p.unit, p.description) for p in site.model.parameters}
    known |= {s.name: (s.unit, f"{s.description} at the start") for s in site.model.all_states}
    prior = prior_values(site)
    try:
        errors = found.standard_errors(name)
    except InputError:
        # The loss is no sum of squares, or the data say nothing about some direction.
        errors = {}
    for item in site.transforms.items:
        unit, text = known.get(item.name, ("1", item.name.replace("_", " ")))
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


def _probes(data: xr.Dataset, solution: Solution, probes: Sequence[Observation], start: Any) -> xr.Dataset:
    """Adds what was seen at depths, each probe in a column, at the times of any of them."""
    if not probes:
        return data
    when = np.unique(np.concatenate([o.times for o in probes]))
    depth = np.array([o.depth for o in probes], np.float64)
    about = {k: v for k, v in data["depth"].attrs.items() if k in ("units", "comment")}
    data = data.assign_coords(
        probe_depth=("probe", depth, {**about, "long_name": "depth of the probe"}),
        when=("when", *_axis(solution, when, start)),
    )
    for name in dict.fromkeys(o.name for o in probes):
        for kind in ("observed", "simulated"):
            table = np.full((len(when), len(probes)), np.nan)
            for column, o in enumerate(probes):
                if o.name == name:
                    values = o.values if kind == "observed" else o.simulated(solution)
                    table[np.searchsorted(when, o.times), column] = values.detach().numpy().reshape(-1, len(o.times))[0]
            about = {"units": _unit(solution, name), "long_name": f"{name}, {kind}"}
            data[f"{name}_{kind}"] = (("when", "probe"), table, about)
    return data


def _series(data: xr.Dataset, solution: Solution, o: Observation, key: str, start: Any) -> xr.Dataset:
    """Adds a series with a dimension of its own: times, or the ends of windows and their bounds."""
    windows = o.kind != "value"
    when, about = _axis(solution, o.times[:, 1] if windows else o.times, start)
    axis = f"{key}_when"
    if windows:
        about = {**about, "bounds": f"{axis}_bounds"}
        data[f"{axis}_bounds"] = ((axis, "bound"), np.stack([_axis(solution, e, start)[0] for e in o.times.T], axis=1))
    data = data.assign_coords({axis: (axis, when, about)})
    unit = _unit(solution, o.name)
    unit = f"{unit} {solution.model.time_unit}-1" if o.kind == "flux_mean" else unit
    for kind, values in (("observed", o.values), ("simulated", o.simulated(solution))):
        row = values.detach().numpy().reshape(-1, len(when))[0]
        data[f"{key}_{kind}"] = ((axis,), row, {"units": unit, "long_name": f"{o.what}, {kind}"})
    return data


def _axis(solution: Solution, times: Any, start: Any) -> tuple[Any, dict[str, Any]]:
    if start is None:
        return times, {"units": solution.model.time_unit, "long_name": "time since the start"}
    return as_dates(times, solution.model.time_unit, start), {"long_name": "time", "standard_name": "time"}


def _unit(solution: Solution, name: str) -> str:
    model = solution.model
    declared: Sequence[Any] = (*model.all_states, *model.outputs, *model.fluxes)
    return str(next(v.unit for v in declared if v.name == name))
