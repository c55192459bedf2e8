"""What a solve returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from .arrays import Array, Numbers
from .engines.base import Forward, Stats, Status
from .engines.ir.evaluation import evaluate_outputs
from .engines.ir.kernels import System
from .engines.ir.traced_model import Programs
from .errors import InputError, SolverError, UnknownNameError
from .inputs import Inputs
from .model import CoupledModel, IntegratedFlux, Model, Quantity, quantities, single


def total(flux: IntegratedFlux, amounts: Tensor) -> Tensor:
    """The sum over cells, faces or places of a flux that has one for each."""
    return amounts if flux.on == "total" else amounts.sum(-1)


@dataclass(frozen=True, eq=False, repr=False)
class Solved(ABC):
    """What a `Solution` and a `SteadySolution` have in common.

    Pickled, saved by `torch.save`, or sent to another process, they take their values along as tensors without
    gradients: those need the solver, which stays where it is. `copy.deepcopy` keeps them.
    """

    model: Model
    states: Mapping[str, Tensor]
    fluxes: Mapping[str, Tensor]
    parameters: Mapping[str, Tensor]
    report: Forward
    batched: bool
    programs: Programs
    forcing: Mapping[str, Tensor]
    networks: Mapping[str, Tensor]

    @classmethod
    def of(
        cls,
        model: Model,
        programs: Programs,
        system: System,
        inputs: Inputs,
        found: tuple[Tensor, Tensor, Forward],
        forcing: Mapping[str, Tensor],
        *more: object,
    ) -> Self:
        """What has been found: states `(members, ..., states)`, fluxes `(members, ..., fluxes)`, and the report.

        `more` are the fields that only this kind of solution has.
        """
        y, q, report = found
        batched = inputs.batch is not None
        if not batched:
            y, q = y[0], q[0]
        states = {name: y.index_select(-1, torch.from_numpy(at)) for name, at in system.states.items()}
        fluxes = {name: q.index_select(-1, torch.from_numpy(at)) for name, at in system.fluxes.items()}
        fluxes = {f.name: fluxes[f.name].squeeze(-1) if f.on == "total" else fluxes[f.name] for f in model.fluxes}
        return cls(model, states, fluxes, inputs.parameters, report, batched, programs, forcing, inputs.networks, *more)

    @property
    def status(self) -> list[Status]:
        return self.report.status

    @property
    def reasons(self) -> Mapping[int, str]:
        return self.report.reasons

    @property
    @abstractmethod
    def balances(self) -> Mapping[str, Tensor]: ...

    @property
    def balance(self) -> Tensor:
        """The only one of `balances`.

        Raises:
            InputError: no flux of the model declares a balance, or fluxes of several units do.
        """
        errors, name = self.balances, self.model.name
        if len(errors) > 1:
            raise InputError(f"{name} has balances in {', '.join(errors)}: take one of `balances`")
        if not errors:
            raise InputError(
                f"no flux of {name} declares a balance; give those that add to what is stored balance=+1, and those "
                "that take away -1"
            )
        return next(iter(errors.values()))

    def failures(self) -> Iterator[str]:
        """One sentence per failed member."""
        for member, status in enumerate(self.status):
            if not status.ok:
                yield f"member {member}: {status.value} {self.reasons.get(member, '')}".rstrip()

    def or_error(self, fate: str, engine: str) -> Self:
        """The solution itself.

        Raises:
            SolverError: members failed; says how many met which fate, and the first few by number.
        """
        if failed := list(self.failures()):
            raise SolverError(
                f"{len(failed)} of {len(self.status)} members {fate}; {'; '.join(failed[:3])}"
                f"{'; ...' if len(failed) > 3 else ''} (engine {engine!r}; throw=False keeps the others)",
                self,
            )
        return self

    def _outputs(self, parameters: Mapping[str, Tensor], instead: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Algebraic outputs, shaped as states; NaN in failed members. Parameters broadcast to states."""
        model = self.model
        if not model.outputs and model.output is None:
            return {}
        beside = isinstance(model, CoupledModel) or model.stages
        shown = {p.name for p in model.parameters if beside or p.on == "cell"}
        values = {k: v for k, v in parameters.items() if k in shown}
        seen = {s.name: self.states[s.name] for s in (model.all_states if model.stages else model.states)}
        # NaN in a failed member would reach parameters through 0 * NaN: outputs are taken somewhere else instead.
        solved = torch.stack([torch.isfinite(v).all(-1, keepdim=True) for v in seen.values()]).all(0)
        values |= {k: torch.where(solved, v, instead(v)) for k, v in seen.items()}
        outputs = evaluate_outputs(model, self.programs, values, self.forcing, self.networks)
        return {k: torch.where(solved, v, np.nan) for k, v in outputs.items()}

    def _with(self, change: Callable[[Tensor], Tensor], networks: bool = True) -> Self:
        """The solution with each tensor changed; with `networks`, the weights of networks too."""

        def changed(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: change(v) for name, v in values.items()}

        return replace(
            self,
            states=changed(self.states),
            fluxes=changed(self.fluxes),
            parameters=changed(self.parameters),
            forcing=changed(self.forcing),
            networks=changed(self.networks) if networks else self.networks,
        )

    def _bare(self) -> Forward:
        """The report without what only derivatives need."""
        nothing = np.empty((0, 0, 0))
        return replace(self.report, y=nothing, q=nothing, tape=None)

    def __reduce__(self) -> tuple[object, ...]:
        values = replace(self._with(Tensor.detach), report=self._bare())
        return type(self), tuple(getattr(values, f.name) for f in fields(values))

    def __copy__(self) -> Self:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # Of a tensor that has a history, a clone is the copy. The report learns of an adjoint that fails later.
        return self._with(Tensor.clone)

    def _described(self, how: str) -> str:
        shapes = ", ".join(f"{k} {tuple(v.shape)}" for k, v in self.states.items())
        good = sum(s.ok for s in self.status)
        return (
            f"{type(self).__name__}({self.model.name}: {shapes}; fluxes {', '.join(self.fluxes) or 'none'}; "
            f"{good} of {len(self.status)} {how})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Solution(Solved):
    """What a solve returns. Leading dimensions are the batch, absent where nothing was batched.

    What follows from states and fluxes (`outputs`, `storage`, `balances`) is computed when it is asked for, and not
    kept: it has gradients where they are asked for then, whoever looked at it before, and how.

    Attributes:
        grid: output times `(time,)`, an array; `times` as a tensor.
        states: name -> `(..., time, cell)`, differentiable.
        fluxes: name -> amount per interval between `times`, `(..., time - 1)`, differentiable.
        status: one `Status` per member; its value is a sentence.
        reasons: member -> the solver's own words, for those that failed.
        programs: the local functions as they were solved, with what they closed over then.
        forcing: name -> value at the end of the interval before each output time, `(..., time, 1)` or `(..., time, cell)`,
            where outputs may need it.
        networks: weights of the networks that these call, packed, as they were then.
        stats: engine, solver, sensitivity, and why each was chosen; tolerances; time spent; members that another
            method solved, "fallbacks"; see `help(pydiffgeo.engines.base.Stats)`.

    Pickled, saved by `torch.save`, or sent to another process, it takes its values along, as tensors without gradients:
    those need the solver, which stays where it is. `copy.deepcopy` keeps them.
    """

    grid: Array

    @property
    def times(self) -> Tensor:
        """Output times `(time,)`."""
        return torch.from_numpy(self.grid.copy())

    @property
    def end(self) -> Mapping[str, Tensor]:
        """States at the last time, `(..., cell)`, differentiable: `solve(..., initial=solution.end)` goes on from there."""
        return {name: values[..., -1, :] for name, values in self.states.items()}

    @property
    def stats(self) -> Stats:
        """Engine, method, steps, seconds, and what it fell back on."""
        return self.report.stats

    @property
    def ok(self) -> Tensor:
        """Which members succeeded: `(batch,)`, or `()` where nothing was batched."""
        if len(self.status) != (len(next(iter(self.states.values()))) if self.batched else 1):
            # Within `torch.vmap`: the report is that of all that is mapped over.
            every = [torch.isfinite(v).flatten(1 if self.batched else 0).all(-1) for v in self.states.values()]
            return torch.stack(every).all(0)
        good = torch.tensor([s.ok for s in self.status])
        return good if self.batched else good[0]

    @property
    def outputs(self) -> Mapping[str, Tensor]:
        """Algebraic outputs at `times`: name -> `(..., time, cell)`, differentiable."""
        values = {k: v.unsqueeze(-2) if self.batched else v[0] for k, v in self.parameters.items()}
        start = partial(torch.narrow, dim=-2, start=0, length=1)
        return self._outputs(values, lambda v: start(v).detach())

    @property
    def storage(self) -> Tensor:
        """Amount stored in the model at `times`, `(..., time)`, differentiable.

        Raises:
            InputError: the model stores quantities that do not add up, such as water and heat; see `storages`.
        """
        return self._stored(single(self.model))

    @property
    def storages(self) -> Mapping[str, Tensor]:
        """Unit -> amount stored `(..., time)` of each quantity whose fluxes declare a balance, as `balances`."""
        return {quantity.unit: self._stored(quantity) for quantity in quantities(self.model)}

    @property
    def balances(self) -> Mapping[str, Tensor]:
        """Unit -> closure error of each member, `(batch,)` or `()`: the largest |change of storage - net inflow|.

        One for each unit in which fluxes of the model declare a balance (`IntegratedFlux.balance`), in that unit (m
        for a soil column, mm for a basin); empty where none does. `Solution.storages` has what is stored.

        Raises:
            InputError: units do not tell which states belong to the fluxes.
        """
        errors = {}
        with torch.no_grad():
            for quantity in quantities(self.model):
                storage = self._stored(quantity)
                net = torch.zeros_like(storage[..., 1:])
                for flux in quantity.fluxes:
                    net = net + flux.balance * total(flux, self.fluxes[flux.name])
                change = storage[..., 1:] - storage[..., :1]
                errors[quantity.unit] = (change - net.cumsum(-1)).abs().amax(-1)
        return errors

    def _stored(self, quantity: Quantity) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for name, weight in quantity.weights.items():
            total = total + (self.states[name] * torch.from_numpy(weight.copy())).sum(-1)
        return total

    def on_grid(self, name: str) -> Tensor:
        """A state or an output at `times` as a field `(..., time, *shape)`, or a parameter as one `(..., *shape)`.

        With NaN where the grid has no cell; differentiable.

        Raises:
            UnknownNameError: the solution has nothing of that name on its cells.
            ShapeError: the cells make up no grid.
        """
        model, graph = self.model, self.model.graph
        states, outputs = [s.name for s in model.states], [o.name for o in model.outputs]
        parameters = [p.name for p in model.parameters if p.on.rpartition("/")[2] == "cell"]
        if isinstance(model, CoupledModel):
            own = (r.model.graph for r in model.regions.values() if name in {*r.names.values(), *r.outputs.values()})
            graph = next(own, graph)
        if name in states:
            return graph.on_grid(self.states[name])
        if name in outputs:
            return graph.on_grid(self.outputs[name])
        if name in parameters:
            values = self.parameters[name] if self.batched else self.parameters[name][0]
            return graph.on_grid(values.expand(*values.shape[:-1], graph.cells))
        raise UnknownNameError(
            f"{model.name} has no {name!r} on its cells; there are {[*states, *outputs, *parameters]}"
        )

    def select(self, members: Numbers) -> Solution:
        """The solution of some members of the batch, chosen by a mask `(batch,)` or their numbers.

        Raises:
            InputError: nothing was batched, or the mask or the numbers do not fit the batch.
        """
        if not self.batched:
            raise InputError("select chooses members of a batch, and nothing was batched")
        at = self._members(members)
        return replace(self._with(lambda values: values[at], networks=False), report=self.report.report_of(at.tolist()))

    def _members(self, members: Numbers) -> Tensor:
        """The numbers, from zero on, of members given by a mask or by numbers, which may count from the last."""
        count = len(self.status)
        try:
            chosen = torch.as_tensor(members).cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"members must be a mask ({count},) or numbers, got {members!r}") from error
        if chosen.ndim == 1 and not chosen.numel():
            chosen = chosen.to(torch.int64)
        if chosen.dtype == torch.bool and tuple(chosen.shape) == (count,):
            return chosen.nonzero()[:, 0]
        if chosen.ndim != 1 or chosen.dtype == torch.bool or chosen.dtype.is_floating_point or chosen.is_complex():
            raise InputError(f"members must be a mask ({count},) or numbers, got {chosen.dtype} {tuple(chosen.shape)}")
        chosen = chosen.to(torch.int64)
        if (outside := (chosen < -count) | (chosen >= count)).any():
            raise InputError(f"member {int(chosen[outside][0])} is not one of {count}")
        return torch.where(chosen < 0, chosen + count, chosen)

    def __deepcopy__(self, memo: dict[int, object]) -> Solution:
        return replace(super().__deepcopy__(memo), grid=self.grid.copy())

    def __repr__(self) -> str:
        return self._described(f"solved by {self.stats['engine']}, {self.stats['solver']}")
