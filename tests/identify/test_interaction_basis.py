"""Degeneracies that were put into a network are found."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.errors import InputError
from pydiffgeo.identify import effective_weights, interaction_basis

X = torch.randn(300, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def layer(wide: int, narrow: int, seed: int) -> torch.nn.Linear:
    made = torch.nn.Linear(wide, narrow, dtype=torch.float64)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    return made


def doubled(copies: dict[int, tuple[int, float]], narrow: int = 6) -> torch.nn.Linear:
    """A layer in which some units are others times a factor."""
    made = layer(8, narrow, 2)
    with torch.no_grad():
        for unit, (other, factor) in copies.items():
            made.weight[unit], made.bias[unit] = factor * made.weight[other], factor * made.bias[other]
    return made


def test_a_linear_network_with_a_duplicated_unit() -> None:
    first = doubled({5: (4, 1.0)})
    hidden = interaction_basis(torch.nn.Sequential(first, layer(6, 2, 3)), X).layers[1]
    # Six units, one of them twice: five directions vary, and two outputs feel two of them.
    assert (hidden.varying, hidden.kept, hidden.effective) == (5, 2, 2)
    assert hidden.copies == ((4, 5),)
    features = hidden.features(first(X).detach())
    covariance = features.T @ features / len(X)
    assert covariance == pytest.approx(torch.diag(hidden.variance), abs=1e-10 * float(hidden.variance.max()))


def test_units_that_fire_together_are_found() -> None:
    first = doubled({3: (2, 2.0), 5: (4, 1.0)})
    with torch.no_grad():
        first.weight[1], first.bias[1] = 0.0, -1.0
    found = interaction_basis(torch.nn.Sequential(first, torch.nn.ReLU(), layer(6, 3, 3)), X).layers[1]
    assert found.copies == ((2, 3), (4, 5))
    assert found.idle == (1,)
    # Three units of their own vary: 0, 2 and 4.
    assert found.varying == 3


def test_synchronised_units_need_not_be_copies() -> None:
    """Two units that see one variable with the same sign switch at the same data, whatever they add."""

    def first(a: torch.Tensor) -> torch.Tensor:
        on = (a[:, :1] > 0).to(a)
        return torch.cat([on * a[:, :1], on * a[:, :1] ** 2, torch.relu(a[:, 1:2])], dim=1)

    found = interaction_basis([first, layer(3, 3, 3)], X).layers[1]
    assert found.copies == ()
    assert found.synchronised == ((0, 1),)
    assert found.varying == 3


def test_weights_that_are_used() -> None:
    """A linear map through two units has rank two: 2 (8 + 5 - 2) numbers, and biases one for each output."""
    module = torch.nn.Sequential(layer(8, 2, 4), layer(2, 5, 5))
    found = effective_weights(module, X)
    assert found.weights == 8 * 2 + 2 + 2 * 5 + 5
    assert found.rank == 2 * (8 + 5 - 2) + 5


def test_other_networks_need_their_layers() -> None:
    with pytest.raises(InputError, match="Sequential"):
        interaction_basis(torch.nn.Bilinear(2, 2, 2), X)
