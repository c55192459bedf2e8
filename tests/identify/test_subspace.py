"""Training in random subspaces, and how many directions a training needs."""

from __future__ import annotations

import copy

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError
from pydiffgeo.identify import in_subspace, intrinsic_dimension, out_of_subspace
from pydiffgeo.identify.projection import PROJECTIONS, hadamard, random_projection


class Sums(torch.nn.Module):
    """A thousand weights; block i of a hundred must add up to i: ten constraints (Li et al. 2018, section 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.randn(1000, dtype=torch.float64))

    def forward(self) -> torch.Tensor:
        return self.weights.reshape(10, 100).sum(1)


def trained(kind: str, dimension: int | None, seed: int) -> float:
    """`exp(-loss)` at the least squares in the subspace, which training would come to."""
    torch.manual_seed(seed)
    module = Sums() if dimension is None else in_subspace(Sums(), dimension, projection=kind, seed=seed)
    free = [p for p in module.parameters() if p.requires_grad]
    search = torch.optim.LBFGS(
        free, max_iter=150, line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-14
    )
    target = torch.arange(10.0, dtype=torch.float64)

    def loss() -> torch.Tensor:
        search.zero_grad()
        value = ((module() - target) ** 2).mean()
        value.backward()
        return value

    search.step(loss)
    return float(torch.exp(-loss().detach()))


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_ten_constraints_need_ten_directions(kind: str) -> None:
    found = intrinsic_dimension(lambda d, seed: trained(kind, d, seed), [9, 10], range(3), baseline=1.0)
    assert found.value == 10
    assert found.of_seeds == (10, 10, 10)


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_directions_have_length_one_over_all_tensors(kind: str) -> None:
    sizes, dimension = [900, 30, 70], 8
    projection = random_projection(kind, sizes, dimension, seed=1)
    columns = torch.stack([projection.apply(e) for e in torch.eye(dimension, dtype=torch.float64)], dim=1)
    assert columns.norm(dim=0) == pytest.approx(torch.ones(dimension), abs=1e-5 if kind != "fastfood" else 0.08)
    # No tensor is scaled by itself: shares of the squares are those of the sizes, in the mean.
    share = torch.stack([part.pow(2).sum() / dimension for part in columns.split(sizes)])
    assert share == pytest.approx(torch.tensor(sizes) / 1000, abs=0.12)


def test_the_transform_of_hadamard_is_its_own_inverse() -> None:
    x = torch.randn(256, dtype=torch.float64)
    assert hadamard(hadamard(x)) / 256 == pytest.approx(x, abs=1e-12)
    assert hadamard(torch.tensor([1.0, 0.0, 0.0, 0.0])) == pytest.approx(torch.ones(4))
    assert hadamard(torch.tensor([1.0, 2.0])) == pytest.approx(torch.tensor([3.0, -1.0]))


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_a_module_starts_where_it_was_and_comes_out_as_it_is(kind: str) -> None:
    plain = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    x = torch.randn(7, 5)
    before = plain(x).detach()
    moved = in_subspace(plain, 3, projection=kind)
    assert torch.allclose(moved(x), before)
    assert [tuple(p.shape) for p in moved.parameters() if p.requires_grad] == [(3,)]
    other = copy.deepcopy(moved)
    with torch.no_grad():
        moved.subspace_vector += 1.0
    assert not torch.allclose(moved(x), before)
    assert torch.allclose(other(x), before)
    out = out_of_subspace(moved)
    assert torch.allclose(out(x), moved(x))
    assert [n for n, _ in out.named_parameters()] == [n for n, _ in plain.named_parameters()]
    assert torch.allclose(plain(x), before)


def test_recurrent_units_move_too() -> None:
    plain = torch.nn.GRU(2, 3)
    x, moved = torch.randn(4, 1, 2), in_subspace(plain, 2)
    with torch.no_grad():
        moved.subspace_vector += 2.0
    assert not torch.allclose(moved(x)[0], plain(x)[0])
    assert torch.allclose(out_of_subspace(moved)(x)[0], moved(x)[0])


def test_a_parameter_network_gives_values_of_its_subspace() -> None:
    plain = dg.nn.ParameterNetwork(dg.models.ExpHydro(), ["aridity", "slope"], hidden=(8,))
    attributes = torch.randn(6, 2, dtype=torch.float64)
    plain.normalise(attributes)
    moved = in_subspace(plain, 4)
    assert isinstance(moved, dg.nn.ParameterNetwork)
    assert torch.allclose(moved.variables(attributes), plain.variables(attributes))
    (slope,) = torch.autograd.grad(moved.variables(attributes).sum(), moved.subspace_vector)
    assert slope.abs().min() > 0


def test_trainings_that_are_done_are_not_done_again(tmp_path) -> None:
    made: list[tuple[int | None, int]] = []

    def train(dimension: int | None, seed: int) -> float:
        made.append((dimension, seed))
        return 1.0 if dimension is None else min(1.0, 0.2 * dimension + 0.01 * seed)

    file = tmp_path / "curve.jsonl"
    intrinsic_dimension(train, [2, 4], [0], file=file)
    found = intrinsic_dimension(train, [2, 4, 5], [0, 1], file=file)
    assert len(made) == len({*made}) == 8
    assert found.value == 5
    assert "intrinsic dimension: 5" in found.table()
    file.write_text("nothing\n")
    with pytest.raises(DataError, match="line 1"):
        intrinsic_dimension(train, [2], [0], file=file)


def test_wrong_subspaces_are_refused() -> None:
    with pytest.raises(InputError, match="dense"):
        in_subspace(torch.nn.Linear(2, 2), 2, projection="orthogonal")
    with pytest.raises(InputError, match="6 weights"):
        in_subspace(torch.nn.Linear(2, 2), 7)
    with pytest.raises(InputError, match="already"):
        in_subspace(in_subspace(torch.nn.Linear(2, 2), 2), 2)
    with pytest.raises(InputError, match="in_subspace"):
        out_of_subspace(torch.nn.Linear(2, 2))
