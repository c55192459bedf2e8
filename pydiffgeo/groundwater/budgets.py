"""Water budgets by term and zone, drawdown, and where the water of wells comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..checks import shown
from ..errors import InputError, ShapeError, UnknownNameError
from ..model import IntegratedFlux, Model
from ..model.balance import quantity_of
from ..solution import Solution
from ..steady import SteadySolution

# The flow through faces, where an aquifer keeps it.
FLOW = "flow"


def budget(
    solution: Solution | SteadySolution, zones: ArrayLike | None = None, *, of: str = "water"
) -> Mapping[str, Tensor]:
    """What comes in and goes out by each term: name -> `(..., 2)`, inflow and outflow, both positive.

    Amounts of each interval, `(..., time - 1, 2)`, or rates of a steady state. Places of one term count as inflow or
    outflow each by itself, as in the lists of MODFLOW; a term that is kept as one sum (`each=False`) does as a whole.
    The term "storage" is what cells give (inflow) and take up.

    Args:
        zones: number of the zone of each cell `(cells,)`, or a field of the grid. Then `(..., zones, 2)`, in the order
            of the numbers; with `face_flows` of the aquifer there is a term "other zones" of water too, and each zone
            closes.
        of: the state that is budgeted: "water", or a solute of a `SoluteAquifer`, by what boundaries bring and take and,
            the last of a chain, by its decay. (What the others of a chain pass on is no term.)

    Raises:
        UnknownNameError: the model has no such state.
        InputError: a term has no places to tell zones apart.
        ShapeError: zones do not fit the grid.
    """
    model = solution.model
    if not any(s.name == of for s in model.states):
        raise UnknownNameError(f"{model.name} has no state {of!r}; there are {[s.name for s in model.states]}")
    count, zone = _zones(model, zones)
    terms = dict[str, Tensor]()
    for flux, place in _terms(model, of):
        if zone is None or flux.on != "total":
            values = solution.fluxes[flux.name] * flux.balance
            cells = None if flux.on == "total" else torch.tensor(_touched(model, place))
            terms[place] = _summed(values.unsqueeze(-1) if cells is None else values, zone, count, cells)
        else:
            raise InputError(f"{model.name}: {flux.name!r} is kept as one sum, which has no zones; give it each=True")
    if isinstance(solution, Solution):
        released = -solution.states[of].diff(dim=-2) * torch.from_numpy(model.graph.cell["volume"].copy())
        terms["storage"] = _summed(released, zone, count, torch.arange(model.graph.cells))
    if zone is not None and of == "water" and FLOW in solution.fluxes:
        left, right = torch.from_numpy(model.graph.faces.T.copy())
        crossing = (zone[left] != zone[right]).to(torch.float64) * solution.fluxes[FLOW]
        ends = torch.cat([-crossing, crossing], -1)
        terms["other zones"] = _summed(ends, zone, count, torch.cat([left, right]))
    return terms


def drawdown(solution: Solution | SteadySolution, before: Solution | SteadySolution | Tensor) -> Tensor:
    """How far heads have fallen below those `before`, `(..., cells)`: of a steady state, or of the first time."""
    if isinstance(before, Solution):
        before = before.outputs["head"][..., :1, :]
    elif isinstance(before, SteadySolution):
        before = before.outputs["head"]
    return before - solution.outputs["head"]


def capture(solution: Solution | SteadySolution, names: str | Sequence[str], rates: Tensor) -> Tensor:
    """The share of a little more pumping that comes from the boundaries `names`, of every place of `rates`.

    One adjoint solve: with `Well(range(grid.cells), "anywhere", each=False)` and rates of zero that ask for a gradient,
    it is a map of capture (Leake et al. 2010, Ground Water 48). In a transient run it is the share of the amount that
    wells pumping all the time have taken up to the end.

    Args:
        names: of fluxes; those that give the water, such as rivers and evapotranspiration.
        rates: the forcing of wells that `solution` was made with, `()`, `(places,)` or `(intervals, places)`.

    Raises:
        UnknownNameError: there is no such flux.
        InputError: the rates ask for no gradient.
    """
    chosen = [names] if isinstance(names, str) else [*names]
    if unknown := [n for n in chosen if n not in solution.fluxes]:
        raise UnknownNameError(f"{solution.model.name} has no flux {unknown[0]!r}; there are {[*solution.fluxes]}")
    if not rates.requires_grad:
        raise InputError("rates must ask for a gradient (requires_grad) before the model is solved with them")
    total = torch.stack([solution.fluxes[n].sum() for n in chosen]).sum()
    (slope,) = torch.autograd.grad(total, rates, retain_graph=True)
    if isinstance(solution, SteadySolution):
        return -slope
    # A rate that holds all the time, whatever the intervals it is given for.
    length = float(solution.grid[-1] - solution.grid[0])
    return -(slope.sum(0) if slope.ndim == 2 else slope) / length


def _zones(model: Model, zones: ArrayLike | None) -> tuple[int, Tensor | None]:
    """How many zones there are, and the place of that of each cell among them."""
    if zones is None:
        return 1, None
    graph, numbers = model.graph, np.asarray(zones)
    if numbers.shape == graph.shape and numbers.shape != (graph.cells,):
        numbers = graph.on_cells(numbers)
    if numbers.shape != (graph.cells,) or numbers.dtype.kind not in "iu":
        raise ShapeError(f"zones must be whole numbers ({graph.cells},) or {graph.shape}, got {shown(zones)}")
    names, index = np.unique(numbers, return_inverse=True)
    return len(names), torch.from_numpy(index.reshape(-1))


def _terms(model: Model, state: str) -> Iterator[tuple[IntegratedFlux, str]]:
    """Fluxes that add to a state or take from it, and what they are called: by the boundary, where they have one."""
    end, others = f"_{state}", [f"_{s.name}" for s in model.states if s.name != state]
    stored = quantity_of(model, state)
    assert stored is not None  # aquifers declare the balance of all that they store
    last = [*stored.weights][-1] == state
    for flux in stored.fluxes:
        if flux.name.endswith(end):
            yield flux, flux.name.removesuffix(end)
        elif last and not any(flux.name.endswith(other) for other in others):
            yield flux, flux.name


def _touched(model: Model, place: str) -> list[int]:
    """The cells of a boundary."""
    return [cell for b in model.boundaries if b.name == place for cell in b.cells]


def _summed(values: Tensor, zone: Tensor | None, count: int, cells: Tensor | None) -> Tensor:
    """Inflow and outflow of `values` into the aquifer at some cells, of all or of each zone."""
    both = torch.stack([values.clamp(min=0), (-values).clamp(min=0)], -1)
    if zone is None or cells is None:
        return both.sum(-2)
    sums = torch.zeros((*values.shape[:-1], count, 2), dtype=values.dtype)
    return sums.index_add(-2, zone[cells], both)
