"""Networks that local functions call: what they are made of, and their weights as one vector.

A network is a `torch.nn.Module`. Engines know its architecture, by which they compile, and read its weights anew at
every solve. They see `activation(W x + b)`, layer by layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError, ModelError
from ..looking import look

# Name -> the activation on tensors; `a` is its parameter, where it has one.
ACTIVATIONS: Final[dict[str, Callable[[Tensor, float], Tensor]]] = {
    "identity": lambda x, a: x,
    "tanh": lambda x, a: torch.tanh(x),
    "sigmoid": lambda x, a: torch.sigmoid(x),
    "relu": lambda x, a: torch.relu(x),
    # Without PyTorch's threshold, beyond which it takes x itself.
    "softplus": lambda x, a: torch.logaddexp(a * x, torch.zeros((), dtype=x.dtype)) / a,
    "silu": lambda x, a: functional.silu(x),
    "gelu": lambda x, a: functional.gelu(x),
    "elu": lambda x, a: functional.elu(x, a),
}
# What may stand between the layers; each with its name above.
MODULES: Final[dict[type[nn.Module], str]] = {
    **{nn.Identity: "identity", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.ReLU: "relu"},
    **{nn.Softplus: "softplus", nn.SiLU: "silu", nn.GELU: "gelu", nn.ELU: "elu"},
}
KNOWN: Final = f"Linear, {', '.join(sorted(kind.__name__ for kind in MODULES))}, and Sequential of these"


@dataclass(frozen=True)
class Dense:
    """`activation(W x + b)`, with `(outputs, inputs)` weights; `shape` is the parameter of the activation."""

    inputs: int
    outputs: int
    bias: bool
    activation: str = "identity"
    shape: float = 1.0

    @property
    def weights(self) -> int:
        """How many numbers it has."""
        return self.outputs * (self.inputs + self.bias)


@dataclass(frozen=True)
class Architecture:
    """The layers of a network, by which engines compile it."""

    layers: tuple[Dense, ...]

    @property
    def features(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].outputs

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def kinks(self) -> bool:
        """May its slopes jump?"""
        return any(d.activation == "relu" or (d.activation == "elu" and d.shape != 1.0) for d in self.layers)


def architecture_of(name: str, module: object) -> Architecture:
    """What a module is made of.

    Raises:
        ModelError: it is no module, or has something in it that engines do not know; names it.
    """
    layers: list[Dense] = []
    for path, part in _flat(name, module):
        if isinstance(part, nn.Linear):
            if layers and layers[-1].outputs != part.in_features:
                raise ModelError(f"{path} takes {part.in_features} values, and gets {layers[-1].outputs}")
            layers.append(Dense(part.in_features, part.out_features, part.bias is not None))
            continue
        if not layers or layers[-1].activation != "identity":
            raise ModelError(f"{path} is {part}, which must follow a Linear layer")
        kind = MODULES[type(part)]
        shape = 1.0
        if isinstance(part, nn.GELU) and part.approximate != "none":
            raise ModelError(f"{path} is {part}; use the exact GELU, approximate='none'")
        if isinstance(part, nn.Softplus | nn.ELU):
            shape = float(part.beta if isinstance(part, nn.Softplus) else part.alpha)
            if not (shape > 0 and math.isfinite(shape)):
                raise ModelError(f"{path} is {part}; its parameter must be positive")
        last = layers[-1]
        layers[-1] = Dense(last.inputs, last.outputs, last.bias, kind, shape)
    if not layers:
        raise ModelError(f"{name} has no Linear layer")
    return Architecture(tuple(layers))


def _flat(path: str, module: object) -> Iterator[tuple[str, nn.Module]]:
    """Layers and activations in their order, each with what it is called."""
    if isinstance(module, nn.Module) and (module._forward_hooks or module._forward_pre_hooks):
        raise ModelError(f"{path} has hooks, which no engine would call")
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for key, part in module.named_children():
            yield from _flat(f"{path}.{key}", part)
    elif type(module) in (nn.Linear, *MODULES):
        assert isinstance(module, nn.Module)
        yield path, module
    else:
        shown = type(module).__name__ if isinstance(module, nn.Module) else repr(module)
        raise ModelError(f"{path} is {shown}; networks in local functions are made of {KNOWN}")


def pack_weights(name: str, module: nn.Module) -> Tensor:
    """Weights of a network, `(weights,)`, differentiable: of each layer `W` column by column, then `b`.

    Raises:
        InputError: a weight is not finite; names it.
    """
    parts: list[Tensor] = []
    for path, part in _flat(name, module):
        if isinstance(part, nn.Linear):
            for key, value in (("weight", part.weight), ("bias", part.bias)):
                if value is not None:
                    parts.append(_double(f"{path}.{key}", value).t().reshape(-1))
    return torch.cat(parts)


def _double(path: str, value: Tensor) -> Tensor:
    def see(value: Tensor) -> None:
        if not torch.isfinite(value).all():
            raise InputError(f"{path} must be finite; an optimiser may have taken it too far")

    double = value.to(device="cpu", dtype=torch.float64)
    look(see, double.detach())
    return double


def evaluate(architecture: Architecture, weights: Tensor, features: Tensor) -> Tensor:
    """Outputs `(..., items, outputs)` of features `(..., items, features)` with packed weights `(..., weights)`."""
    x, at = features, 0
    for layer in architecture.layers:
        size = layer.outputs * layer.inputs
        matrix = weights[..., at : at + size].unflatten(-1, (layer.inputs, layer.outputs))
        x, at = x @ matrix, at + size
        if layer.bias:
            x, at = x + weights[..., None, at : at + layer.outputs], at + layer.outputs
        x = ACTIVATIONS[layer.activation](x, layer.shape)
    return x
