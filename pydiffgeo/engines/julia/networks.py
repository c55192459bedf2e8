"""Networks as the Julia package takes them."""

from __future__ import annotations

import numpy as np

from ...arrays import Array, Indices
from ..ir.kernels import NetworkStage, System

# Those of a network: items; widths, biases, activations and their parameters; its first weight, features and outputs.
NetworkArguments = tuple[int, Indices, Indices, Indices, Array, int, Indices, Indices]
# Activations in the order of their numbers in `networks.jl`.
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu", "softplus", "silu", "gelu", "elu")


def kinks(system: System) -> bool:
    """May slopes of a network jump? Where they do is located while there are few units (`network_kinks.jl`)."""
    return any(stage.architecture.kinks for stage in system.stages if isinstance(stage, NetworkStage))


def network_arguments(stage: NetworkStage, system: System) -> NetworkArguments:
    """The arguments of a network in Julia, counted from one."""
    layers = stage.architecture.layers
    codes = [ACTIVATIONS.index(layer.activation) for layer in layers]
    return (
        stage.features.shape[1],
        np.array([stage.architecture.features, *(layer.outputs for layer in layers)]),
        np.array([int(layer.bias) for layer in layers]),
        np.array(codes),
        np.array([layer.shape for layer in layers]),
        system.n_states + stage.weights.start + 1,
        (stage.features + 1).reshape(-1),
        (stage.outputs + 1).reshape(-1),
    )
