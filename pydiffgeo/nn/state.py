"""A training as it stands: a value that nothing changes, from which the next one follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays import Json
from ..checks import check_whole, is_number
from .training import TrainingHistory

Weights = Mapping[str, Tensor]
# Shape and type of a tensor.
Form = tuple[tuple[int, ...], torch.dtype]


@dataclass(frozen=True, eq=False)
class State:
    """How far a training has come. Its tensors belong to it alone and are never changed in place.

    Attributes:
        step: steps done. All random numbers of a step follow from the seed and its number.
        weights: of the network in training, parameters and buffers by name.
        average: their moving average, where one is taken.
        best: those that came out best of the checks; empty before the first.
        moments: what the optimiser remembers: "number of the parameter/name" -> tensor.
        stale: checks since the last gain.
        seen: what the training went through.
    """

    step: int
    weights: Weights
    average: Weights = field(default_factory=dict)
    best: Weights = field(default_factory=dict)
    moments: Weights = field(default_factory=dict)
    stale: int = 0
    seen: TrainingHistory = field(default_factory=TrainingHistory)

    @property
    def result(self) -> Weights:
        """The weights that the training would end with, if it ended here."""
        return self.best or self.average or self.weights


def copied(weights: Weights) -> dict[str, Tensor]:
    """Tensors of their own, without gradients."""
    return {name: value.detach().clone() for name, value in weights.items()}


def moments_of(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers, as `State.moments`."""
    states = optimiser.state_dict()["state"]
    return copied({f"{i}/{name}": torch.as_tensor(value) for i, kept in states.items() for name, value in kept.items()})


def remind(optimiser: torch.optim.Optimizer, moments: Weights) -> None:
    """Gives an optimiser the memory that `moments_of` took."""
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in copied(moments).items():
        number, _, name = key.partition("/")
        states.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": states})


PARTS = ("weights", "average", "best", "moments")


def to_arrays(state: State) -> tuple[dict[str, Json], dict[str, NDArray]]:
    """A state as what JSON can hold, and arrays by name."""
    about: dict[str, Json] = {"step": state.step, "stale": state.stale, "seen": asdict(state.seen)}
    return about, {f"{group}/{k}": v.numpy() for group in PARTS for k, v in getattr(state, group).items()}


def from_arrays(
    about: Mapping[str, Any], arrays: Mapping[str, NDArray], first: State, parameters: Sequence[Tensor]
) -> State:
    """The state that `to_arrays` took apart.

    Args:
        first: that the training begins with: weights must have its names, shapes and types.
        parameters: what the optimiser changes, in its order.

    Raises:
        ValueError: (or another error) it is no state of this training.
    """
    parts: dict[str, dict[str, Tensor]] = {group: {} for group in PARTS}
    for key, value in arrays.items():
        group, _, name = key.partition("/")
        parts[group][name] = torch.from_numpy(value)
    step, stale, seen = about["step"], about["stale"], TrainingHistory(**about["seen"])
    check_whole(0, step=step, stale=stale, solves=seen.solves)
    numbers = (*seen.loss, *seen.tuning, *seen.checked, *seen.failures.values(), seen.seconds)
    if not all(map(is_number, numbers)):
        raise ValueError("what the training went through must be numbers")
    if len(seen.loss) != step or len(seen.tuning) != len(seen.checked) or bool(parts["best"]) != bool(seen.checked):
        raise ValueError("its parts do not fit each other")
    shapes = _shapes(first.weights)
    for group, wanted in (("weights", True), ("average", bool(first.average)), ("best", bool(seen.checked))):
        if _shapes(parts[group]) != (shapes if wanted else {}):
            raise ValueError(f"{group} have other names, shapes or types than those of this training")
    _check_moments(parts["moments"], parameters, step)
    return State(int(step), parts["weights"], parts["average"], parts["best"], parts["moments"], int(stale), seen)


def _check_moments(moments: Weights, parameters: Sequence[Tensor], step: int) -> None:
    expected: dict[str, Form] = {}
    for i in dict.fromkeys(int(key.partition("/")[0]) for key in moments):
        like = (tuple(parameters[i].shape), parameters[i].dtype)
        # Steps are counted in the default type of PyTorch, whichever that was.
        count = moments.get(f"{i}/step", torch.zeros(()))
        steps = ((), count.dtype if count.dtype.is_floating_point else torch.float64)
        expected |= {f"{i}/step": steps, f"{i}/exp_avg": like, f"{i}/exp_avg_sq": like}
    if _shapes(moments) != expected or bool(moments) != bool(step):
        raise ValueError("moments are not those of the optimiser of this training")


def _shapes(weights: Weights) -> dict[str, Form]:
    return {name: (tuple(value.shape), value.dtype) for name, value in weights.items()}
