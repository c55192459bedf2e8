"""Training of any module in a random subspace: its weights are `theta_0 + P v`, and only `v` is learnt."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ..checks import check_whole
from ..errors import InputError
from .projection import PROJECTIONS, Projection, random_projection

Module = TypeVar("Module", bound=torch.nn.Module)
VECTOR = "subspace_vector"


class _Place:
    """Where the weights are: the vector, its projection, and the whole of `P v` while a forward pass lasts."""

    def __init__(self, vector: torch.nn.Parameter, map_: Projection) -> None:
        self.vector, self.map, self.now = vector, map_, None

    now: Tensor | None

    def offset(self) -> Tensor:
        return self.map.apply(self.vector) if self.now is None else self.now

    def begin(self, *_: object) -> None:
        self.now = self.map.apply(self.vector)

    def end(self, *_: object) -> None:
        self.now = None


class _Moved(torch.nn.Module):
    """The parametrisation of one tensor."""

    def __init__(self, place: _Place, first: int, count: int) -> None:
        super().__init__()
        self.place, self.first, self.count = place, first, count

    def forward(self, start: Tensor) -> Tensor:
        part = self.place.offset()[self.first : self.first + self.count]
        return start + part.reshape(start.shape).to(start)


def in_subspace(module: Module, dimension: int, *, projection: str = "fastfood", seed: int = 0) -> Module:
    """A copy of a module whose trainable tensors move along `dimension` random directions from where they are.

    It is called, trained and saved as the module is; what an optimiser of its `parameters()` changes is one vector,
    `subspace_vector`, shared by all tensors, which starts at zero. A decay of weights in the optimiser would pull that vector
    and not the weights: set it to zero.

    Args:
        module: what is trained directly otherwise, a `ParameterNetwork` too; it is left as it is.
        dimension: number of directions.
        projection: "dense" (quick up to a few hundred directions, keeps all their entries), "sparse", or
            "fastfood", whose memory does not grow with `dimension`.
        seed: of the directions; keep it over a curve, or vary it with the seed of the training.

    Raises:
        InputError: an unknown projection, or more directions than weights.

    Source: Li, Farkhoor, Liu and Yosinski 2018, ICLR, section 2.
    """
    check_whole(1, dimension=dimension)
    check_whole(0, seed=seed)
    if not isinstance(projection, str) or projection not in PROJECTIONS:
        raise InputError(f"projection must be one of {', '.join(PROJECTIONS)}, got {projection!r}")
    moved = copy.deepcopy(module)
    tensors = [(name, p) for name, p in moved.named_parameters() if p.requires_grad]
    sizes = [p.numel() for _, p in tensors]
    if dimension > sum(sizes):
        raise InputError(f"{dimension} directions are more than the {sum(sizes)} weights of the module")
    if any(parametrize.is_parametrized(m) for m in moved.modules()):
        raise InputError("the module is parametrised already, perhaps in a subspace")
    vector = torch.nn.Parameter(torch.zeros(dimension, dtype=tensors[0][1].dtype, device=tensors[0][1].device))
    place, first = _Place(vector, random_projection(projection, sizes, dimension, seed)), 0
    for name, p in tensors:
        owner, _, key = name.rpartition(".")
        p.requires_grad_(False)
        parametrize.register_parametrization(moved.get_submodule(owner), key, _Moved(place, first, p.numel()))
        first += p.numel()
    moved.register_parameter(VECTOR, vector)
    # The projection of a pass is computed once, not for each tensor.
    moved.register_forward_pre_hook(place.begin)
    moved.register_forward_hook(place.end, always_call=True)
    for part in moved.modules():
        if isinstance(part, torch.nn.RNNBase):
            part.register_forward_pre_hook(_refresh)
            part.register_forward_hook(_forget, always_call=True)
    return moved


def _refresh(part: torch.nn.RNNBase, _: object) -> None:
    """Recurrent units keep a list of their tensors, which must be those of now."""
    part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]


def _forget(part: torch.nn.RNNBase, *_: object) -> None:
    """What a pass has computed cannot be copied with the module."""
    part._flat_weights = [None for _ in part._flat_weights_names]


def out_of_subspace(module: Module) -> Module:
    """A copy of what `in_subspace` made as a plain module, with the weights it has come to; for saving, say.

    Raises:
        InputError: the module is in no subspace.
    """
    if not hasattr(module, VECTOR):
        raise InputError("the module is in no subspace; this takes what in_subspace returned")
    plain = copy.deepcopy(module)
    for part in [*plain.modules()]:
        if not parametrize.is_parametrized(part):
            continue
        moved = [key for key, _ in part.parametrizations.named_children()]  # type: ignore[union-attr]
        weights = {key: getattr(part, key).detach().clone() for key in moved}
        # `remove_parametrizations` would take the tensors from all copies, which share a class.
        part.__class__ = parametrize.type_before_parametrizations(part)
        del part._modules["parametrizations"]
        for key, value in weights.items():
            part.register_parameter(key, torch.nn.Parameter(value))
        if isinstance(part, torch.nn.RNNBase):
            part._forward_pre_hooks.clear()
            part._forward_hooks.clear()
            part._forward_hooks_always_called.clear()
            _refresh(part, None)
    delattr(plain, VECTOR)
    plain._forward_pre_hooks.clear()
    plain._forward_hooks.clear()
    plain._forward_hooks_always_called.clear()
    return plain
