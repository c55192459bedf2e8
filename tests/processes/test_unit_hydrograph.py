"""Unit hydrographs against the gamma density written out, and NumPy's convolution."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pydiffgeo.processes.unit_hydrograph import convolve, gamma_weights


@pytest.mark.parametrize(("shape", "scale"), [(2.5, 1.5), (0.1, 0.5), (3.0, 7.0)])
def test_weights_are_a_gamma_density_at_mid_day(shape: float, scale: float) -> None:
    t = np.arange(15) + 0.5
    density = t ** (shape - 1) * np.exp(-t / scale) / (math.gamma(shape) * scale**shape)
    found = gamma_weights(torch.tensor(shape), torch.tensor(scale))
    assert found.numpy() == pytest.approx(density / density.sum(), rel=1e-12)


def test_weights_are_those_of_the_field(shared_data: Path) -> None:
    given = json.loads((shared_data / "models" / "hbv" / "hbv_ten_days.json").read_text())["gamma_unit_hydrograph"]
    for name, weights in given["values"].items():
        shape, scale = (float(part.split("=")[1]) for part in name.split(","))
        assert gamma_weights(torch.tensor(shape), torch.tensor(scale)).numpy() == pytest.approx(weights, rel=1e-10)


def test_convolution_of_several_basins() -> None:
    runoff, random = torch.rand(3, 40, generator=torch.Generator().manual_seed(1)), np.random.default_rng(0)
    weights = torch.from_numpy(random.random((3, 15)))
    found = convolve(runoff, weights).numpy()
    for i in range(3):
        assert found[i] == pytest.approx(np.convolve(runoff[i], weights[i])[:40], rel=1e-12)
    # Fewer days than weights.
    assert convolve(runoff[0, :4], weights[0]).numpy() == pytest.approx(np.convolve(runoff[0, :4], weights[0])[:4])


def test_gradients_reach_shape_scale_and_runoff() -> None:
    runoff = torch.rand(20, generator=torch.Generator().manual_seed(1)).requires_grad_()
    values = torch.tensor(2.5, requires_grad=True), torch.tensor(1.5, requires_grad=True)
    assert torch.autograd.gradcheck(lambda q, a, b: convolve(q, gamma_weights(a, b)), (runoff, *values))
