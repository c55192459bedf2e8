"""The Basic Model Interface (BMI 2.0) of any model that a configuration describes, for frameworks that couple models.

model = BasicModel()
model.initialize("column.toml")                    # as `pydiffgeo init` writes it
model.set_value("flux", np.array([0.01]))
model.update()
print(model.get_value_ptr("theta"))

Forcings, parameters and states are input variables; states, outputs and integrated fluxes output variables, fluxes as
amounts over the last step. A flux that shares its name with another variable is called `flux_<name>`. Forcings are held
over a step; those from a file follow it until they are set. Nothing here carries gradients: `dg.solve` does.

Source: Hutton et al. 2020, J. Open Source Softw. 5, 2317.
"""

from __future__ import annotations

import numpy as np
import torch
from bmipy import Bmi
from numpy.typing import NDArray

from ..arrays import Array
from ..errors import InputError, TimeError, UnknownNameError
from ..model import TimeSeries
from ..solve import solve
from .configuration import Configuration, read_configuration
from .run import problem
from .starting import start

# Grids: what has one value, and what has one for each cell.
SCALAR, CELLS = 0, 1
Numbers = NDArray[np.generic]


class BasicModel(Bmi):
    """A model behind the Basic Model Interface; see the top of this file.

    Args:
        code: whether a configuration may name a model of the user's own, which runs its code.

    Raises:
        InputError: (or a subclass) where a call does not fit; SolverError where a step cannot be solved.
    """

    def __init__(self, *, code: bool = False) -> None:
        self._code = code
        self._configuration: Configuration | None = None

    # --- control ---------------------------------------------------------------------------------

    def initialize(self, config_file: str) -> None:
        """Reads the configuration; see `pydiffgeo init`."""
        c = read_configuration(config_file, code=self._code)
        times, self._forcing, _ = problem(c)
        model = c.model
        self._configuration, self._start, self._end = c, float(times[0]), float(times[-1])
        self._step, self._now = c.times.step or float(times[1] - times[0]), float(times[0])
        # A first look, no step: starts as the model makes them of what is given, and outputs there.
        first = solve(
            model,
            {k: torch.as_tensor(v) for k, v in c.parameters.items()},
            forcing=self._forcing,
            times=[self._now, self._now + min(self._step, self._end - self._now)],
            initial=start(c, times, self._forcing),
            engine=c.engine,
            solver=c.solver,
            rtol=c.rtol,
            atol=c.atol,
        )
        self._units, self._values = dict[str, str](), dict[str, Array]()
        self._states = [s.name for s in model.all_states]
        self._parameters = [p.name for p in model.parameters if p.name in first.parameters]
        taken = {*self._states, *self._parameters, *(f.name for f in model.forcings), *(o.name for o in model.outputs)}
        self._fluxes = {f"flux_{f.name}" if f.name in taken else f.name: f.name for f in model.fluxes}
        units = {f.name: f.unit for f in model.fluxes}
        for s in model.all_states:
            self._add(s.name, s.unit, first.states[s.name][0].numpy())
        for p in model.parameters:
            if p.name in first.parameters:
                self._add(p.name, p.unit, first.parameters[p.name].detach().numpy().reshape(-1))
        for f in model.forcings:
            # Those of a file show what they are at a step once it is taken.
            value = self._forcing.get(f.name, f.default)
            unknown = np.full(_at(value, self._now).size if isinstance(value, TimeSeries) else 1, np.nan)
            self._add(f.name, f.unit, unknown if isinstance(value, TimeSeries) or value is None else np.array([value]))
        for o in model.outputs:
            self._add(o.name, o.unit, first.outputs[o.name][0].detach().numpy())
        for name, own in self._fluxes.items():
            self._add(name, units[own], np.zeros_like(first.fluxes[own][0].numpy()))
        self._set = {n for n, v in self._forcing.items() if not isinstance(v, TimeSeries)}

    def _add(self, name: str, unit: str, value: Array) -> None:
        self._units[name], self._values[name] = unit, np.array(value, np.float64).reshape(-1)

    def update(self) -> None:
        """Takes a step; the last one ends with the run."""
        self.update_until(min(self._now + self._step, self._end))

    def update_until(self, time: float) -> None:
        """Goes on to a time, in one step; a time that has passed is an error."""
        c = self._of()
        if not self._now < time <= self._end * (1 + 1e-12) + 1e-12:
            raise TimeError(f"the model is at {self._now:g} and ends at {self._end:g}; it cannot go on to {time:g}")
        forcing: dict[str, float | TimeSeries | torch.Tensor] = dict(self._forcing)
        forcing |= {n: torch.from_numpy(self._values[n].copy()) for n in self._set}
        with torch.no_grad():
            solution = solve(
                c.model,
                {n: torch.from_numpy(self._values[n].copy()) for n in self._parameters},
                forcing=forcing,
                times=[self._now, float(time)],
                initial={n: torch.from_numpy(self._values[n].copy()) for n in self._states},
                engine=c.engine,
                solver=c.solver,
                rtol=c.rtol,
                atol=c.atol,
            )
            # In place, so that what points to them sees it.
            for name in self._states:
                self._values[name][:] = solution.states[name][-1].numpy()
            for name, values in solution.outputs.items():
                self._values[name][:] = values[-1].numpy()
            for name, own in self._fluxes.items():
                self._values[name][:] = solution.fluxes[own][-1].numpy().reshape(-1)
        for name, series in self._forcing.items():
            if name not in self._set and isinstance(series, TimeSeries):
                self._values[name][:] = _at(series, self._now)
        self._now = float(time)

    def finalize(self) -> None:
        """Lets go of the model."""
        self._configuration = None

    def _of(self) -> Configuration:
        if self._configuration is None:
            raise InputError("the model has no configuration; call initialize first")
        return self._configuration

    # --- what there is ---------------------------------------------------------------------------

    def get_component_name(self) -> str:
        return self._of().model.name

    def get_input_var_names(self) -> tuple[str, ...]:  # type: ignore[override]  # of any length, as BMI has it
        return (*(f.name for f in self._of().model.forcings), *self._parameters, *self._states)

    def get_output_var_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*self._states, *(o.name for o in self._of().model.outputs), *self._fluxes)

    def get_input_item_count(self) -> int:
        return len(self.get_input_var_names())

    def get_output_item_count(self) -> int:
        return len(self.get_output_var_names())

    def _value(self, name: str) -> Array:
        self._of()
        if name not in self._values:
            raise UnknownNameError(f"there is no variable {name!r}; there are {[*self._values]}")
        return self._values[name]

    def get_var_units(self, name: str) -> str:
        self._value(name)
        return self._units[name]

    def get_var_type(self, name: str) -> str:
        return str(self._value(name).dtype)

    def get_var_itemsize(self, name: str) -> int:
        return self._value(name).itemsize

    def get_var_nbytes(self, name: str) -> int:
        return self._value(name).nbytes

    def get_var_location(self, name: str) -> str:
        self._value(name)
        return "node"

    def get_var_grid(self, name: str) -> int:
        """That of the cells for what has a value for each; what lies on faces or boundaries is no grid of its own."""
        size, cells = len(self._value(name)), self._of().model.graph.cells
        return CELLS if size == cells and cells > 1 else SCALAR

    # --- time ------------------------------------------------------------------------------------

    def get_start_time(self) -> float:
        return self._start

    def get_end_time(self) -> float:
        return self._end

    def get_current_time(self) -> float:
        return self._now

    def get_time_step(self) -> float:
        return self._step

    def get_time_units(self) -> str:
        return self._of().model.time_unit

    # --- values ----------------------------------------------------------------------------------

    def get_value(self, name: str, dest: Numbers) -> Numbers:
        dest[:] = self._value(name)
        return dest

    def get_value_ptr(self, name: str) -> Numbers:
        """The values themselves; to change a forcing that a file gives, use `set_value`."""
        return self._value(name)

    def get_value_at_indices(self, name: str, dest: Numbers, inds: NDArray[np.int_]) -> Numbers:
        dest[:] = self._value(name)[inds]
        return dest

    def set_value(self, name: str, src: Numbers) -> None:
        """Sets an input; of a parameter that is the same everywhere, one value may be given for each cell."""
        values = np.asarray(src, np.float64).reshape(-1)
        held, cells = self._settable(name), self._of().model.graph.cells
        if name in self._parameters and len(values) == cells:
            self._values[name] = held = np.empty(cells) if len(held) != cells else held
        if len(values) not in (1, len(held)):
            raise InputError(f"{name!r} has {len(held)} values, got {len(values)}")
        held[:] = values
        self._noted(name)

    def set_value_at_indices(self, name: str, inds: NDArray[np.int_], src: Numbers) -> None:
        self._settable(name)[inds] = np.asarray(src, np.float64)
        self._noted(name)

    def _settable(self, name: str) -> Array:
        held = self._value(name)
        if name not in self.get_input_var_names():
            raise InputError(f"{name!r} is no input; these are {[*self.get_input_var_names()]}")
        return held

    def _noted(self, name: str) -> None:
        if name in {f.name for f in self._of().model.forcings}:
            self._set.add(name)

    # --- grids -----------------------------------------------------------------------------------

    def _coordinates(self, grid: int) -> list[Array]:
        if grid not in (SCALAR, CELLS):
            raise InputError(f"there is no grid {grid}")
        return (
            [] if grid == SCALAR else [np.asarray(v, np.float64) for v in self._of().model.graph.coordinates.values()]
        )

    def get_grid_type(self, grid: int) -> str:
        found = self._coordinates(grid)
        return "scalar" if grid == SCALAR else "unstructured" if found else "vector"

    def get_grid_rank(self, grid: int) -> int:
        found = self._coordinates(grid)
        return 0 if grid == SCALAR else max(1, len(found))

    def get_grid_size(self, grid: int) -> int:
        self._coordinates(grid)
        return 1 if grid == SCALAR else self._of().model.graph.cells

    def get_grid_node_count(self, grid: int) -> int:
        return self.get_grid_size(grid)

    def get_grid_x(self, grid: int, x: Numbers) -> Numbers:
        """The first coordinate of the graph; `y` and `z` are the second and the third."""
        return self._coordinate(grid, 0, x)

    def get_grid_y(self, grid: int, y: Numbers) -> Numbers:
        return self._coordinate(grid, 1, y)

    def get_grid_z(self, grid: int, z: Numbers) -> Numbers:
        return self._coordinate(grid, 2, z)

    def _coordinate(self, grid: int, axis: int, dest: Numbers) -> Numbers:
        found = self._coordinates(grid)
        if axis >= len(found):
            raise NotImplementedError(f"grid {grid} has {len(found)} coordinates")
        dest[:] = found[axis]
        return dest

    def get_grid_edge_count(self, grid: int) -> int:
        """Nodes are the centres of cells, and edges the links between them: what the graph of the model calls faces."""
        self._coordinates(grid)
        return 0 if grid == SCALAR else len(self._of().model.graph.faces)

    def get_grid_edge_nodes(self, grid: int, edge_nodes: Numbers) -> Numbers:
        """The two cells of each link, one pair after the other."""
        if not self.get_grid_edge_count(grid):
            raise NotImplementedError(f"grid {grid} has no edges")
        edge_nodes[:] = np.asarray(self._of().model.graph.faces).reshape(-1)
        return edge_nodes

    def get_grid_face_count(self, grid: int) -> int:
        self._coordinates(grid)
        return 0

    # Of grids of other kinds.

    def get_grid_shape(self, grid: int, shape: Numbers) -> Numbers:
        raise NotImplementedError("get_grid_shape")

    def get_grid_spacing(self, grid: int, spacing: Numbers) -> Numbers:
        raise NotImplementedError("get_grid_spacing")

    def get_grid_origin(self, grid: int, origin: Numbers) -> Numbers:
        raise NotImplementedError("get_grid_origin")

    def get_grid_face_edges(self, grid: int, face_edges: Numbers) -> Numbers:
        raise NotImplementedError("get_grid_face_edges")

    def get_grid_face_nodes(self, grid: int, face_nodes: Numbers) -> Numbers:
        raise NotImplementedError("get_grid_face_nodes")

    def get_grid_nodes_per_face(self, grid: int, nodes_per_face: Numbers) -> Numbers:
        raise NotImplementedError("get_grid_nodes_per_face")


def _at(series: TimeSeries, time: float) -> Array:
    """The value of a forcing at the start of a step."""
    values, times = np.asarray(series.values, np.float64), np.asarray(series.times)
    if series.kind == "linear":
        k = min(int(np.searchsorted(times, time, side="right")), len(values) - 1)
        share = (time - times[k - 1]) / (times[k] - times[k - 1])
        return np.atleast_1d(values[k - 1] + share * (values[k] - values[k - 1])).ravel()
    return np.atleast_1d(values[min(int(np.searchsorted(times, time, side="right")) - 1, len(values) - 1)])
