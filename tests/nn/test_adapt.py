"""Low-rank adaptation: nothing at first, exact counts, what a rank can and cannot say, files, merging."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError
from pydiffgeo.nn.low_rank import TuckerUpdate, from_matrix, matrix_shape

LAYERS = {
    "linear": lambda: (nn.Linear(6, 5), torch.randn(3, 6)),
    "conv1d": lambda: (nn.Conv1d(4, 6, 3), torch.randn(2, 4, 9)),
    "conv2d": lambda: (nn.Conv2d(4, 6, (3, 2), stride=2, padding=1), torch.randn(2, 4, 8, 8)),
    "conv3d": lambda: (nn.Conv3d(4, 6, 2), torch.randn(2, 4, 4, 4, 4)),
    "grouped": lambda: (nn.Conv2d(4, 8, 3, groups=2), torch.randn(2, 4, 8, 8)),
    "depthwise": lambda: (nn.Conv2d(4, 4, 3, groups=4), torch.randn(2, 4, 8, 8)),
    "gru": lambda: (nn.GRU(4, 5, num_layers=2), torch.randn(7, 2, 4)),
    "lstm": lambda: (nn.LSTM(4, 5), torch.randn(7, 2, 4)),
}


def out_of(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = layer(x)
    return y[0] if isinstance(y, tuple) else y


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """The same numbers each time; tensors this small are slower with threads."""
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", ["tucker", "matrix"])
@pytest.mark.parametrize("layer", LAYERS)
def test_outputs_are_the_same_at_first_and_after_all_is_taken_out(layer: str, kind: str) -> None:
    network, x = LAYERS[layer]()
    before, y = copy.deepcopy(network.state_dict()), out_of(network, x)
    adaptation = dg.nn.adapt(network, 1, kind=kind)
    assert torch.equal(out_of(network, x), y)
    assert not [n for n, p in network.named_parameters() if p.requires_grad and "parametrizations" not in n]
    # One step of a descent, and another: the core alone moves at first, then the factors.
    optimiser = torch.optim.SGD(adaptation.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        out_of(network, x).square().sum().backward()
        optimiser.step()
    changed = out_of(network, x)
    assert not torch.allclose(changed, y, atol=1e-3)
    adaptation.merge()
    torch.testing.assert_close(out_of(network, x), changed, rtol=1e-12, atol=1e-12)
    assert network.state_dict().keys() == before.keys()
    adaptation.unmerge()
    torch.testing.assert_close(out_of(network, x), changed, rtol=1e-12, atol=1e-12)
    adaptation.remove()
    assert torch.equal(out_of(network, x), y)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(
    ("layer", "kind", "rank", "count"),
    [
        # Arithmetic of the parameterisations: sum of size x rank, and the product of the ranks.
        (lambda: nn.Conv2d(64, 64, 3), "tucker", (8, 8, 2, 2), 1292),
        (lambda: nn.Conv2d(64, 64, 3), "matrix", 8, 3072),
        (lambda: nn.Conv2d(64, 64, 3), "matrix", 3, 1152),
        (lambda: nn.Conv2d(256, 256, 3), "tucker", (16, 16, 2, 2), 9228),
        (lambda: nn.Conv2d(256, 256, 3), "matrix", 16, 24576),
        (lambda: nn.Linear(768, 768), "tucker", 8, 12352),
        (lambda: nn.Linear(768, 768), "matrix", 8, 12288),
    ],
)
def test_counts(layer, kind: str, rank, count: int) -> None:
    assert dg.nn.adapt(layer(), {"weight": rank}, kind=kind).count == count


def recovered(update: torch.Tensor, rank, kind: str, steps: int = 200) -> float:
    """Relative error of an update learnt by its square distance."""
    layer = nn.Conv2d(update.shape[1], update.shape[0], update.shape[2:], bias=False)
    target = layer.weight.detach() + update
    optimiser = torch.optim.Adam(dg.nn.adapt(layer, {"weight": rank}, kind=kind).parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        error = (layer.weight - target).square().sum() / update.square().sum()
        error.backward()
        optimiser.step()
        schedule.step()
    return error.item() ** 0.5


def unreachable(update: torch.Tensor, rank: int) -> float:
    """What the best matrix of a rank misses, as a share: the singular values that it leaves out."""
    shape = update.shape
    matrix = update.permute(0, 2, 1, 3).reshape(matrix_shape(shape))
    values = torch.linalg.svdvals(matrix)
    return float((values[rank:].square().sum() / values.square().sum()).sqrt())


def test_a_kernel_of_low_tucker_rank_is_learnt_and_a_matrix_of_no_more_numbers_cannot() -> None:
    ranks, shape = (8, 8, 2, 2), (64, 64, 3, 3)
    teacher = TuckerUpdate(torch.zeros(shape), ranks, 1.0)
    nn.init.normal_(teacher.core)
    update = teacher.update.detach()
    assert recovered(update, ranks, "tucker") < 1e-2
    # 1,152 numbers beside the 1,292 of the core and its factors.
    missed = recovered(update, 3, "matrix")
    assert missed == pytest.approx(unreachable(update, 3), rel=0.1)
    assert missed > 0.3


def test_without_structure_neither_is_better() -> None:
    update = torch.randn(64, 64, 3, 3)
    tucker, matrix = recovered(update, (8, 8, 2, 2), "tucker"), recovered(update, 3, "matrix")
    assert 0.9 < tucker < 1.0
    assert abs(tucker - matrix) < 0.05


def test_the_layout_of_a_kernel_as_a_matrix() -> None:
    weight = torch.randn(4, 3, 2, 5)
    rows, columns = matrix_shape(weight.shape)
    assert (rows, columns) == (4 * 2, 3 * 5)
    matrix = torch.stack([weight[o, :, a, :].reshape(-1) for o in range(4) for a in range(2)])
    assert torch.equal(from_matrix(matrix, weight.shape), weight)


def network() -> dg.nn.ParameterNetwork:
    model = dg.Model(
        name="Decay",
        graph=dg.single_cell(),
        states=(dg.State("u", "mm", "what decays", default=2.0, low=0.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", 0.5, low=0.0, open_low=True, typical=(0.05, 3.0), log=True),),
        source=lambda cell, forcing: {"u": -cell.k * cell.u},
    )
    return dg.nn.ParameterNetwork(model, ["a", "b"], hidden=(8,))


def test_an_adapted_parameter_network_is_saved_in_two_parts(tmp_path) -> None:
    base, attributes = network(), torch.randn(5, 2)
    base.normalise(attributes)
    saved = base.save(tmp_path / "base.npz")
    adaptation = dg.nn.adapt(base, 2, only=["layers.0.weight"])
    with torch.no_grad():
        adaptation.updates["layers.0.weight"].core.normal_()
    with pytest.raises(InputError, match=r"layers\.0 are adapted: merge"):
        base.save(tmp_path / "both.npz")
    path = adaptation.save(tmp_path / "region.npz")
    again = dg.nn.ParameterNetwork.load(saved, base.model)
    dg.nn.adapt(again, 2, only=["layers.0.weight"], seed=5).load(path)
    assert torch.equal(again(attributes)["k"], base(attributes)["k"])
    adaptation.merge()
    whole = dg.nn.ParameterNetwork.load(base.save(tmp_path / "both.npz"), base.model)
    torch.testing.assert_close(whole(attributes)["k"], again(attributes)["k"], rtol=1e-14, atol=0)


def test_updates_of_another_network_kind_or_rank_are_refused(tmp_path) -> None:
    path = dg.nn.adapt(nn.Linear(4, 4), 2).save(tmp_path / "a.npz")
    torch.manual_seed(3)
    same = nn.Linear(4, 4)
    dg.nn.adapt(copy.deepcopy(same), 2).load(path)
    for other, choice in (
        (nn.Linear(4, 4), {"rank": 2}),
        (same, {"rank": 2, "kind": "matrix"}),
        (same, {"rank": 3}),
        (same, {"rank": 2, "scale": 2.0}),
    ):
        with pytest.raises(DataError, match=r"a\.npz"):
            dg.nn.adapt(copy.deepcopy(other), **choice).load(path)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"rank": 0}, "weight: ranks must be whole numbers"),
        ({"rank": 5}, "weight: ranks must be whole numbers"),
        ({"rank": (2, 2, 2)}, "weight has 2 dimensions, and 3 ranks"),
        ({"rank": True}, "whole numbers"),
        ({"rank": (2, 2), "kind": "matrix"}, "one rank"),
        ({"rank": 2, "kind": "svd"}, "tucker or matrix"),
        ({"rank": 2, "scale": math.nan}, "scale"),
        ({"rank": 2, "only": ["bias"]}, "no weight 'bias'"),
        ({"rank": {"other": 2}}, "no weight 'other'"),
        ({"rank": 2, "only": []}, "nothing to adapt"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_changes(choice, message: str) -> None:
    layer = nn.Linear(4, 6)
    with pytest.raises(InputError, match=message):
        dg.nn.adapt(layer, **choice)
    assert layer.weight.requires_grad
    assert not nn.utils.parametrize.is_parametrized(layer)


def test_twice_is_refused() -> None:
    layer = nn.Sequential(nn.Linear(4, 4))
    adaptation = dg.nn.adapt(layer, 1)
    with pytest.raises(InputError, match=r"weights of 0 are adapted: merge\(\) or remove\(\)"):
        dg.nn.adapt(layer, 1)
    with pytest.raises(InputError, match="not merged"):
        adaptation.unmerge()
    adaptation.merge()
    with pytest.raises(InputError, match="have been merged"):
        adaptation.merge()
