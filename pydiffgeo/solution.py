"""What a solve returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from torch import Tensor

from .arrays import Array, Numbers
from .engines.base import Forward, Stats, Status
from .engines.ir.traced_model import Programs, evaluate_outputs
from .errors import InputError
from .model import Model, Quantity, quantities, single


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
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
        networks: weights of the networks that these call, packed, as they were then.
        stats: engine, solver, sensitivity, and why each was chosen; tolerances; time spent; members that another
            method solved, "fallbacks"; see `help(pydiffgeo.engines.base.Stats)`.

    A solution that is pickled, saved by `torch.save`, or sent to another process takes its values along, as tensors
    without gradients: those need the solver, which stays where it is. `copy.deepcopy` keeps them.
    """

    model: Model
    grid: Array
    states: Mapping[str, Tensor]
    fluxes: Mapping[str, Tensor]
    parameters: Mapping[str, Tensor]
    report: Forward
    batched: bool
    programs: Programs
    networks: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def times(self) -> Tensor:
        """Output times `(time,)`."""
        return torch.from_numpy(self.grid.copy())

    @property
    def status(self) -> list[Status]:
        return self.report.status

    @property
    def reasons(self) -> Mapping[int, str]:
        return self.report.reasons

    @property
    def stats(self) -> Stats:
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
        if self.model.output is None:
            return {}
        on_cells = {p.name for p in self.model.parameters if p.on == "cell"}
        values = {k: v.unsqueeze(-2) if self.batched else v[0] for k, v in self.parameters.items() if k in on_cells}
        # NaN in a failed member would reach parameters through 0 * NaN: outputs are taken at its start instead.
        states = {s.name: self.states[s.name] for s in self.model.states}
        solved = torch.stack([torch.isfinite(v).all(-1, keepdim=True) for v in states.values()]).all(0)
        values |= {k: torch.where(solved, v, v[..., :1, :].detach()) for k, v in states.items()}
        outputs = evaluate_outputs(self.model, self.programs, values, self.networks)
        return {k: torch.where(solved, v, np.nan) for k, v in outputs.items()}

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
                    net = net + flux.balance * self.fluxes[flux.name]
                change = storage[..., 1:] - storage[..., :1]
                errors[quantity.unit] = (change - net.cumsum(-1)).abs().amax(-1)
        return errors

    @property
    def balance(self) -> Tensor:
        """Closure error of each member, of the only one of `balances`.

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

    def _stored(self, quantity: Quantity) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for name, weight in quantity.weights.items():
            total = total + (self.states[name] * torch.from_numpy(weight.copy())).sum(-1)
        return total

    def select(self, members: Numbers) -> Solution:
        """The solution of some members of the batch, chosen by a mask `(batch,)` or their numbers.

        Raises:
            InputError: nothing was batched, or the mask or the numbers do not fit the batch.
        """
        if not self.batched:
            raise InputError("select chooses members of a batch, and nothing was batched")
        at = self._members(members)
        return replace(self._with(lambda values: values[at]), report=self.report.report_of(at.tolist()))

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

    def __reduce__(self) -> tuple[object, ...]:
        nothing = np.empty((0, 0, 0))
        report = replace(self.report, y=nothing, q=nothing, tape=None)
        values = replace(self._with(Tensor.detach), report=report, networks=self._weights(Tensor.detach))
        return type(self), tuple(getattr(values, f.name) for f in fields(values))

    def __copy__(self) -> Solution:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, object]) -> Solution:
        # Of a tensor that has a history, a clone is the copy. The report learns of an adjoint that fails later.
        return replace(self._with(Tensor.clone), grid=self.grid.copy(), networks=self._weights(Tensor.clone))

    def _with(self, change: Callable[[Tensor], Tensor]) -> Solution:
        """The solution with each tensor changed."""
        states, fluxes, parameters = (
            {name: change(v) for name, v in values.items()} for values in (self.states, self.fluxes, self.parameters)
        )
        return replace(self, states=states, fluxes=fluxes, parameters=parameters)

    def _weights(self, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        return {name: change(weights) for name, weights in self.networks.items()}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{k} {tuple(v.shape)}" for k, v in self.states.items())
        good = sum(s.ok for s in self.status)
        return (
            f"Solution({self.model.name}: {shapes}; fluxes {', '.join(self.fluxes) or 'none'}; "
            f"{good} of {len(self.status)} solved by {self.stats['engine']}, {self.stats['solver']})"
        )

    def failures(self) -> Iterator[str]:
        """One sentence per failed member."""
        for member, status in enumerate(self.status):
            if not status.ok:
                yield f"member {member}: {status.value} {self.reasons.get(member, '')}".rstrip()
