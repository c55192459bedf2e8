"""A solution as a dataset: states, outputs, fluxes and parameters with units, names and coordinates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ..arrays import Dates, Indices
from ..checks import is_whole
from ..days import moment
from ..errors import DataError
from ..model import CoupledModel, IntegratedFlux, Model, Output, Parameter, State
from ..solve import Solution
from .geometry import geometry
from .units import UNSTATED

# Names of the CF table for variables of ready models: (model, kind, name, unit) -> standard name. Another model may
# call something else so, and a name of the table also states what is measured and in which kind of unit.
STANDARD_NAMES = {
    ("RichardsColumn", "state", "theta", "1"): "volume_fraction_of_condensed_water_in_soil",
    ("RichardsColumn", "parameter", "K_s", "m d-1"): "soil_hydraulic_conductivity_at_saturation",
    ("RichardsColumn", "flux", "precipitation", "m"): "lwe_thickness_of_precipitation_amount",
    ("ExpHydro", "state", "snow_storage", "mm"): "lwe_thickness_of_surface_snow_amount",
    ("ExpHydro", "flux", "precipitation", "mm"): "lwe_thickness_of_precipitation_amount",
    ("ExpHydro", "flux", "evapotranspiration", "mm"): "lwe_thickness_of_water_evaporation_amount",
}
# What a solution has values of.
Declared = State | Output | IntegratedFlux | Parameter
# A variable of a dataset: dimensions, values and attributes.
Entry = tuple[str | tuple[str, ...], object, Mapping[str, str]]
LENGTHS = ("m", "cm", "mm", "km", "ft")
_FIRST, _BEYOND = (float(np.datetime64(d, "ms").astype(np.int64)) for d in ("1678-01-01", "2262-01-01"))
_SECONDS = {"d": 86400, "h": 3600, "min": 60, "s": 1}


def solution_dataset(
    solution: Solution,
    *,
    start: object = None,
    members: Sequence[str] | None = None,
    length_unit: str | None = None,
) -> xr.Dataset:
    """A solution as a dataset, ready for `write_dataset`.

    Args:
        solution: from `solve`; gradients are left behind.
        start: date of time zero of the model; without it, times are numbers in the unit of the model.
        members: labels of the batch, such as basins; numbers where not given.
        length_unit: of the coordinates of the cells; where not given, that of the head, which has the same as the
            depth by Darcy's law, or of the depth of water. Of a model with neither nobody knows, and a comment says so.

    Returns:
        Dataset with the dimensions `(member, time, cell)`; `member` only where there is a batch,
        `cell` only where there are several. Fluxes are amounts over `interval`, whose coordinate is its
        end, with bounds. Names that states, outputs, fluxes and parameters share get the kind before them.

    Raises:
        DataError: the labels do not fit the batch; the unit of time of the model has no dates, or its times reach
            beyond those that can be represented, 1678 to 2261.
    """
    model = solution.model
    times: NDArray[np.generic] = solution.times.detach().cpu().numpy()
    about = {"long_name": "time since the start", "units": model.time_unit, "axis": "T"}
    if start is not None:
        times = as_dates(times, model.time_unit, start)
        about = {"long_name": "time", "standard_name": "time", "axis": "T"}
    coordinates: dict[str, Entry] = {"time": ("time", times, about)}
    data: dict[str, Entry] = {}
    if len(times) > 1:
        ends = {**about, "long_name": "end of the interval", "bounds": "interval_bounds"}
        ends.pop("axis")
        coordinates["interval"] = ("interval", times[1:], ends)
        data["interval_bounds"] = (("interval", "bound"), np.stack([times[:-1], times[1:]], axis=1), {})
    if solution.batched:
        labels: Indices | list[str] = np.arange(len(solution.status)) if members is None else [str(m) for m in members]
        if len(labels) != len(solution.status):
            raise DataError(f"{len(labels)} members are named, but the solution has {len(solution.status)}")
        named = {"long_name": "member of the batch", **({"units": "1"} if members is None else {})}
        coordinates["member"] = ("member", labels, named)
    elif members is not None:
        raise DataError("members are named, but the solution has no batch")
    unit = length_unit or _length_unit(model)
    of_length = {"units": unit} if unit else {"comment": UNSTATED}
    if model.graph.cells > 1:
        for name, centres in model.graph.coordinates.items():
            coordinates[name] = ("cell", centres, {**of_length, "long_name": f"{name} of the centre of the cell"})
        if (named_cells := model.graph.labels) is not None:
            whole = all(is_whole(label) for label in named_cells)
            ids = [*named_cells] if whole else [str(label) for label in named_cells]
            coordinates["cell"] = ("cell", ids, {"long_name": "name of the cell", **({"units": "1"} if whole else {})})

    data |= {name: entry for name, entry in geometry(model, of_length).items() if name not in coordinates}
    lead = ("member",) if solution.batched else ()
    variables = [*_variables(solution)]
    names = [name for _, name, *_ in variables]
    for kind, name, declared, values, last in variables:
        shape, dims = list(values.shape), (*lead, *last)
        if dims and dims[-1] not in ("time", "interval", "member") and shape[-1] == 1:
            shape, dims = shape[:-1], dims[:-1]
        attributes = {"units": declared.unit, "long_name": declared.description}
        if (key := (model.name, kind, name, declared.unit)) in STANDARD_NAMES:
            attributes["standard_name"] = STANDARD_NAMES[key]
        if kind == "flux":
            attributes["cell_methods"] = "interval: sum"
            if isinstance(declared, IntegratedFlux) and declared.balance:
                attributes["direction"] = "in" if declared.balance > 0 else "out"
        single = names.count(name) == 1 and name not in coordinates and name not in data
        data[name if single else f"{kind}_{name}"] = (dims, values.reshape(shape), attributes)
    closures = solution.balances if len(times) > 1 else {}
    for unit, error in closures.items():
        name = "balance_error" if len(closures) == 1 else f"balance_error_{re.sub(r'[^A-Za-z0-9]+', '_', unit)}"
        attributes = {"units": unit, "long_name": f"largest closure error of the balance in {unit}"}
        data[name] = (lead, error.numpy(), attributes)
    status = np.array([s.value for s in solution.status], dtype=object)
    data["status"] = (lead, status if solution.batched else status[0], {"long_name": "how the solve ended"})
    return xr.Dataset(data, coordinates, {"title": f"{model.name} solved with pydiffgeo"})


def _variables(solution: Solution) -> Iterator[tuple[str, str, Declared, NDArray[np.generic], tuple[str, ...]]]:
    """Kind, name, declaration, values and dimensions after the batch, of all there is."""
    model = solution.model
    states, seen, fluxes = _dimensions(model)
    for state in model.all_states:
        name = state.name
        yield "state", name, state, solution.states[name].detach().numpy(), ("time", states[name])
    outputs = solution.outputs
    for output in model.outputs:
        yield "output", output.name, output, outputs[output.name].detach().numpy(), ("time", seen[output.name])
    for flux in model.fluxes:
        yield "flux", flux.name, flux, solution.fluxes[flux.name].detach().numpy(), ("interval", *fluxes[flux.name])
    count = len(solution.status)
    for p in model.parameters:
        if p.name in solution.parameters:
            values = solution.parameters[p.name].detach().numpy()
            values = np.broadcast_to(values, (count, values.shape[-1])) if solution.batched else values[0]
            place = re.sub(r"boundary:(.*)", r"\1_cell", p.on).replace("/", "_")
            yield "parameter", p.name, p, values, (place,)


Names = dict[str, str]


def _dimensions(model: Model) -> tuple[Names, Names, dict[str, tuple[str, ...]]]:
    """What states and outputs lie along, by name, and fluxes besides the intervals."""
    if isinstance(model, CoupledModel):
        states, seen = Names(), Names()
        fluxes: dict[str, tuple[str, ...]] = {name: () for link in model.links for name in link.fluxes}
        for key, region in model.regions.items():
            own = _dimensions(region.model)
            states |= {region.names[k]: f"{key}_{v}" for k, v in own[0].items()}
            seen |= {region.outputs[k]: f"{key}_{v}" for k, v in own[1].items()}
            fluxes |= {region.fluxes[k]: tuple(f"{key}_{d}" for d in v) for k, v in own[2].items()}
        return states, seen, fluxes
    states = {s.name: "cell" for s in model.states}
    states |= {s.name: f"{b.name}_cell" for b in model.boundaries for s in b.states}
    places = {"total": (), "cell": ("cell",), "face": ("face",)}
    fluxes = {f.name: places.get(f.on, (f"{f.name}_place",)) for f in model.fluxes}
    return states, {o.name: "cell" for o in model.outputs}, fluxes


def _length_unit(model: Model) -> str | None:
    """The unit of a head, or depth of water, of the model; None where it has none."""
    declared: Sequence[State | Output] = (*model.all_states, *model.outputs)
    unit = next((str(v.unit) for v in declared if v.name in ("head", "depth")), None)
    return unit if unit in LENGTHS else None


def as_dates(times: ArrayLike, unit: str, start: object) -> Dates:
    """Times of a model as dates, to the millisecond.

    Raises:
        DataError: the unit has no dates, `start` is none or has a time zone, or a date lies beyond those that can
            be represented.
    """
    if unit not in _SECONDS:
        raise DataError(f"times in {unit!r} cannot become dates; leave out start, or use {', '.join(_SECONDS)}")
    first = moment("start", start, "ms")
    milliseconds = np.rint(np.asarray(times, np.float64) * _SECONDS[unit] * 1000)
    # The offset of the start, in floating point: what is out of range must not wrap before it is seen.
    since = milliseconds + float(first.astype(np.int64))
    beyond = ~((since >= _FIRST) & (since < _BEYOND))
    if beyond.any():
        at = np.flatnonzero(beyond.ravel())[0]
        raise DataError(
            f"start {start} with the time {np.ravel(times)[at]:g} {unit} lies outside the dates that can be represented, "
            f"1678 to 2261; leave out start, so that times stay numbers, or choose another"
        )
    return (first + milliseconds.astype(np.int64).astype("timedelta64[ms]")).astype("datetime64[ns]")
