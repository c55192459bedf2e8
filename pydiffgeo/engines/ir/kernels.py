"""A model as numbers: kernels over a flat vector of values, and nothing else for an engine to know.

Every value that a local function can read lives in one vector,

    v = [ states | parameters | forcings | constants | assigned values ],

and every local function becomes a `Kernel`: a scalar program, the positions it gathers its inputs
from, one column per cell (or face, or boundary cell), and the positions it scatters its results to.
Kernels of stages assign to `v`, or add up there; the others add, with a weight such as area over volume, to the
vector of rates `[ d(states)/dt | integrated fluxes ]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...arrays import Array, Indices
from ...model.networks import Architecture
from .program import Program


@dataclass(frozen=True)
class Scatter:
    """Where one result of a kernel goes: `rates[target] += weight * result`, one entry per item."""

    output: str
    target: Indices
    weight: Array


@dataclass(frozen=True, eq=False)
class Kernel:
    """One local function over all its items.

    Attributes:
        gather: positions in `v`, shape `(inputs, items)`, in the order of `program.inputs`.
        scatter: for kernels of stages the target is a position in `v`, else in the rates.
        sums: of a stage that adds its results up, times the weights, the positions of the sums; None elsewhere.
    """

    program: Program
    gather: Indices
    scatter: tuple[Scatter, ...]
    sums: Indices | None = None


@dataclass(frozen=True, eq=False)
class NetworkStage:
    """A network over all its items, which assigns its outputs.

    Attributes:
        weights: where its packed weights are among the parameters (`model.networks.pack_weights`); they are read as one
            block, and never gathered for each item.
        features: positions in `v`, `(features, items)`.
        outputs: positions in `v`, `(outputs, items)`.
    """

    name: str
    architecture: Architecture
    weights: slice
    features: Indices
    outputs: Indices


# What assigns values, in order; later stages read what earlier ones have assigned.
Assigning = Kernel | NetworkStage


@dataclass(frozen=True, eq=False)
class Guard:
    """A `Limit` over all its items: what an engine looks at after every step.

    Attributes:
        kernel: gives `low`, `value` and `high`, and scatters nothing.
        cells: number of the cell of each item.
    """

    kernel: Kernel
    name: str
    unit: str
    cells: Indices
    remedy: str

    def message(self, item: int, low: float, value: float, high: float, when: str) -> str:
        """What is wrong with an item, where and when, and what may be done about it."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        remedy = f"; {self.remedy}" if self.remedy else ""
        return (
            f"{self.name!r} in cell {self.cells[item]}{when} is {value:.6g}{unit}, "
            f"and must lie in [{low:.6g}, {high:.6g}]{unit}{remedy}"
        )


# How far out of its range an error of the solver may take what is limited: in tolerances.
SLACK = 10.0


@dataclass(frozen=True, eq=False)
class System:
    """A model with a layout of its parameters, ready for an engine.

    Attributes:
        n_states, n_parameters, n_forcings, n_fluxes: sizes of the parts of `v` and of the rates. The
            parameters are those given, the weights of networks, and the prepared values (`hoisted.py`).
        constants: values of the constant part of `v` (geometry).
        n_values: length of `v`.
        stages, kernels: what assigns values or calls networks, in order, each of which reads what was assigned before
            it; and what adds to the rates.
        states: state name -> positions among the states, in order of the cells.
        parameters: parameter name -> slice among the parameters.
        forcings: forcing name -> positions among the forcings (one, or one per cell).
        fluxes: name of an integrated flux -> positions among them, one or one for each item.
        controls: `(state, assigned value, size)` positions and sizes of assigned values whose error
            counts besides that of a state; -1 stands for the state itself.
        prepared: what computes the prepared values, from `[ given parameters | constants ]`.
        guards: ranges that must hold after every step.
        held: what computes the held values (`held.py`), which follow from forcings that are constant in each interval and
            come after those given among the forcings, from `[ parameters | given forcings | constants ]`.
        still: whether forcings are constant in each interval; always so where there are held values.
    """

    name: str
    n_states: int
    n_parameters: int
    n_forcings: int
    n_fluxes: int
    n_values: int
    constants: Array
    stages: tuple[Assigning, ...]
    kernels: tuple[Kernel, ...]
    states: Mapping[str, Indices]
    parameters: Mapping[str, slice]
    forcings: Mapping[str, Indices]
    fluxes: Mapping[str, Indices]
    controls: tuple[tuple[int, int, float], ...] = ()
    prepared: tuple[Kernel, ...] = ()
    guards: tuple[Guard, ...] = ()
    held: tuple[Kernel, ...] = ()
    still: bool = False
