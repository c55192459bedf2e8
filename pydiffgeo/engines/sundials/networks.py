"""Networks on CasADi symbols: products of matrices, which take the same time to set up whatever their size."""

from __future__ import annotations

from collections.abc import Callable

import casadi as ca

from ..ir.kernels import NetworkStage

# As in `symbols.py`, of matrices just as well.
S = ca.SX


def _softplus(x: S, a: float) -> S:
    return (ca.fmax(a * x, 0.0) + ca.log1p(ca.exp(-ca.fabs(a * x)))) / a


def _sigmoid(x: S) -> S:
    return 0.5 + 0.5 * ca.tanh(0.5 * x)


def _elu(x: S, a: float) -> S:
    return ca.fmax(x, 0.0) + a * ca.expm1(ca.fmin(x, 0.0))


# Those of `model.networks.ACTIVATIONS`.
ACTIVATIONS: dict[str, Callable[[S, float], S]] = {
    "identity": lambda x, a: x,
    "tanh": lambda x, a: ca.tanh(x),
    "sigmoid": lambda x, a: _sigmoid(x),
    "relu": lambda x, a: ca.fmax(x, 0.0),
    "softplus": _softplus,
    "silu": lambda x, a: x * _sigmoid(x),
    "gelu": lambda x, a: 0.5 * x * (1 + ca.erf(x / 2**0.5)),
    "elu": _elu,
}


def outputs_of(stage: NetworkStage, v: S, n_states: int) -> S:
    """What a network assigns, as a column: all items of its first output, then those of the next."""
    count, items = stage.features.shape
    x = ca.reshape(v[stage.features.reshape(-1).tolist()], items, count).T
    at = n_states + stage.weights.start
    for layer in stage.architecture.layers:
        size = layer.outputs * layer.inputs
        x = ca.mtimes(ca.reshape(v[at : at + size], layer.outputs, layer.inputs), x)
        at += size
        if layer.bias:
            x = x + ca.repmat(v[at : at + layer.outputs], 1, items)
            at += layer.outputs
        x = ACTIVATIONS[layer.activation](x, layer.shape)
    return ca.vec(x.T)
