"""The local interaction basis of a layered network: directions that matter, uncorrelated over the data, layer by layer.

From the outputs backwards, activations are whitened over the data, directions in which they do not vary are dropped, and the rest
is turned to the axes of `M`, the mean of `J' C C' J`, with `J` the Jacobian to the next layer and `C` its basis;
directions that change nothing there are dropped as well. Features `C' a` are uncorrelated, and the variance of each is its eigenvalue of `M`.

Sources: Bushnaq et al. 2024, arXiv 2405.10927, for the three kinds of degeneracy; arXiv 2405.10928, section 3, for the basis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError, ShapeError
from ..nn import ParameterNetwork

Layer = Callable[[Tensor], Tensor]
# Eigenvalues below this part of the largest are zero: of activations in double precision over a thousand data.
TOLERANCE = 1e-12
# Units whose correlation over the data differs from one by less than this are copies.
COPY = 1e-9


@dataclass(frozen=True, eq=False)
class LayerBasis:
    """The basis of what enters a layer, or of the outputs.

    Attributes:
        width: units. varying: directions in which activations vary over the data.
        effective: directions to which the outputs respond, of all activations: those of gradients that are not dependent.
        basis: `C`, `(width, kept)`. variance: of each feature, falling, `(kept,)`.
        copies: groups of units that are the same over the data but for scale and shift.
        synchronised: groups of units that are zero and positive on the same data, but no copies; some of each.
        idle: units that never vary.
    """

    width: int
    varying: int
    effective: int
    basis: Tensor
    variance: Tensor
    copies: tuple[tuple[int, ...], ...]
    synchronised: tuple[tuple[int, ...], ...]
    idle: tuple[int, ...]

    @property
    def kept(self) -> int:
        """Directions that vary and matter."""
        return len(self.variance)

    def features(self, activations: Tensor) -> Tensor:
        """Activations `(data, width)` less their mean, in the basis, `(data, kept)`."""
        return (activations - activations.mean(0)) @ self.basis


@dataclass(frozen=True, eq=False)
class InteractionBasis:
    """The bases of a network, from its inputs to its outputs."""

    layers: tuple[LayerBasis, ...]

    def table(self) -> str:
        """How many directions of each layer do nothing, as text."""
        lines = [f"{'':10}{'units':>8}{'varying':>9}{'felt':>8}{'kept':>8}  copies; fire together"]
        for number, layer in enumerate(self.layers):
            name = "inputs" if number == 0 else "outputs" if number == len(self.layers) - 1 else f"hidden {number}"
            together = "; ".join(
                " ".join(f"{g}" for g in groups) or "none" for groups in (layer.copies, layer.synchronised)
            )
            lines.append(f"{name:10}{layer.width:8}{layer.varying:9}{layer.effective:8}{layer.kept:8}  {together}")
        return "\n".join(lines)


def layers_of(network: torch.nn.Module) -> tuple[Layer, ...]:
    """The layers of a `torch.nn.Sequential`, or of a `ParameterNetwork` without weather, each from one set of units to the next.

    Raises:
        InputError: the network is of another kind; give its layers as functions.
    """
    if isinstance(network, ParameterNetwork):
        if network.weather:
            raise InputError("a network with weather has no layers one after the other")
        return (*layers_of(network.layers), network.head)
    if not isinstance(network, torch.nn.Sequential):
        raise InputError(f"{type(network).__name__} is no torch.nn.Sequential; give its layers as functions")
    groups = list[list[torch.nn.Module]]()
    for part in network:
        if isinstance(part, torch.nn.Linear) or not groups:
            groups.append([])
        groups[-1].append(part)
    return tuple(torch.nn.Sequential(*parts) for parts in groups)


def interaction_basis(
    network: torch.nn.Module | Sequence[Layer],
    data: Tensor,
    *,
    metric: Tensor | None = None,
    tolerance: float = TOLERANCE,
) -> InteractionBasis:
    """The basis of each layer over some data.

    Args:
        network: see `layers_of`; or functions of `(data, units)`, which act row by row.
        data: inputs `(data, inputs)`, as the first layer takes them: of a `ParameterNetwork` its scaled attributes. Double
            precision, or small eigenvalues are lost.
        metric: how much outputs matter, `(outputs, outputs)` or one for each datum, such as `S'S` of what is observed to
            the outputs; all alike where not given.
        tolerance: eigenvalues below this part of the largest count as zero.

    Raises:
        InputError: see `layers_of`. ShapeError: data are no matrix.
    """
    if data.ndim != 2:
        raise ShapeError(f"data must be (data, inputs), got {tuple(data.shape)}")
    layers = layers_of(network) if isinstance(network, torch.nn.Module) else tuple(network)
    with torch.no_grad():
        activations = [data.detach().double()]
        for layer in layers:
            activations.append(layer(activations[-1]))
        found, after, total = list[LayerBasis](), torch.empty(0), torch.empty(0)
        for number in range(len(layers), -1, -1):
            a = activations[number]
            if number == len(layers):
                weight = torch.eye(a.shape[1], dtype=a.dtype) if metric is None else metric.to(a)
                towards = weight.expand(len(a), -1, -1)
                total = towards
            else:
                slope = _jacobian(layers[number], a)
                towards = torch.einsum("dji,jk,dlm,lk->dim", slope, after, slope, after)
                total = torch.einsum("dji,djl,dlm->dim", slope, total, slope)
            found.insert(0, _layer(a, towards.mean(0), total.mean(0), tolerance))
            after = found[0].basis
    return InteractionBasis(tuple(found))


def _jacobian(layer: Layer, a: Tensor) -> Tensor:
    """`(data, after, before)`."""
    return torch.func.vmap(torch.func.jacrev(lambda row: layer(row[None])[0]))(a)


def _layer(a: Tensor, towards: Tensor, total: Tensor, tolerance: float) -> LayerBasis:
    centred = a - a.mean(0)
    sizes, axes = torch.linalg.eigh(centred.T @ centred / len(a))
    varies = sizes > tolerance * sizes.max().clamp(min=1e-300)
    spread, axes = sizes[varies].sqrt(), axes[:, varies]
    whitened = (spread[:, None] * (axes.T @ towards @ axes)) * spread
    variance, turned = torch.linalg.eigh(whitened)
    order = torch.argsort(variance, descending=True)
    order = order[variance[order] > tolerance * variance.max().clamp(min=1e-300)] if len(variance) else order
    basis = (axes / spread) @ turned[:, order] * variance[order].sqrt()
    response = torch.linalg.eigvalsh(total)
    effective = int((response > tolerance * response.max().clamp(min=1e-300)).sum())
    idle = tuple(int(i) for i in torch.nonzero(centred.abs().amax(0) <= 1e-14 * (1 + a.abs().amax(0))))
    copies = _groups(_alike(centred, idle))
    on = a > 0
    rectified = [
        i for i in range(a.shape[1]) if bool((a[:, i] >= 0).all()) and bool(on[:, i].any()) and not bool(on[:, i].all())
    ]
    together = torch.zeros(a.shape[1], a.shape[1], dtype=torch.bool)
    for i in rectified:
        for j in rectified:
            together[i, j] = bool((on[:, i] == on[:, j]).all())
    synchronised = tuple(g for g in _groups(together) if g not in copies)
    return LayerBasis(a.shape[1], int(varies.sum()), effective, basis, variance[order], copies, synchronised, idle)


def _alike(centred: Tensor, idle: Sequence[int]) -> Tensor:
    norm = centred.norm(dim=0)
    unit = centred / norm.clamp(min=1e-300)
    same = (unit.T @ unit).abs() > 1 - COPY
    same[list(idle)] = False
    same[:, list(idle)] = False
    return same


def _groups(same: Tensor) -> tuple[tuple[int, ...], ...]:
    """Sets of two or more that belong together."""
    found, seen = list[tuple[int, ...]](), set[int]()
    for i in range(len(same)):
        group = tuple(int(j) for j in torch.nonzero(same[i]).reshape(-1)) if i not in seen else ()
        if len(group) > 1:
            found.append(group)
            seen |= {*group}
    return tuple(found)
