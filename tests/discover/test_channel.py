"""Structural errors of a two-layer channel are found with signs and coefficients, from all points and from a quarter of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.discover import Interpolated, Network, RandomFeatures, Term
from pydiffgeo.testbeds import QuasiGeostrophicChannel

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
# The cells of the published domain, fewer of them.
TRUTH = QuasiGeostrophicChannel(32, 64, 15.5, 22.5)


@pytest.fixture(scope="module")
def states() -> torch.Tensor:
    return TRUTH.advance(TRUTH.start(4, seed=2), 0.25, 240)


def found(
    pair: torch.Tensor,
    dt: float,
    layer: int,
    wrong: dict[str, float],
    keep: Callable[[torch.Tensor], torch.Tensor] = lambda f: f,
    tolerance: float = 0.01,
) -> dg.discover.Discovery:
    model = replace(TRUTH, **wrong)

    def part(f: torch.Tensor) -> torch.Tensor:
        return keep(f[:, layer] if f.dim() == 4 else f)[:, 8:-8, ::2]

    each = dg.discover.increments(
        lambda q, t: model.advance(q, t / 2, 2), *pair, dt, smooth=part, treatment="edges cut"
    )
    library = [Term(name, part(values)) for name, values in TRUTH.terms(each.middle).items()]
    assert len(library) == 11
    return dg.discover.discover(library, each, resamples=5, tolerance=tolerance)


@pytest.mark.parametrize(
    ("wrong", "layer", "terms"),
    [
        ({"relaxation": 0.11, "equilibrium": 0.11}, 0, {"psi1": -0.1, "psi2": 0.1, "psi_R": 0.1}),
        (
            {"relaxation": 0.11, "equilibrium": 0.11, "friction": 0.37},
            1,
            {"psi1": 0.1, "psi2": -0.1, "psi_R": -0.1, "lap psi2": 0.3},
        ),
        ({"relaxation": 0.0, "equilibrium": 0.0}, 0, {"psi1": 0.01, "psi2": -0.01, "psi_R": -0.01}),
        ({"advection": 0.5}, 0, {"J1": -0.5}),
        ({"friction": 0.37}, 1, {"lap psi2": 0.3}),
        ({"friction": 0.0}, 1, {"lap psi2": -0.07}),
        ({"equilibrium": 0.0}, 1, {"psi_R": 0.01}),
        ({"beta": 0.0}, 1, {"psi2_x": -0.196}),
        ({}, 0, {}),
        ({"friction": 0.37}, 0, {}),
    ],
)
def test_from_all_points(states, wrong: dict[str, float], layer: int, terms: dict[str, float]) -> None:
    pair = torch.stack([states, TRUTH.advance(states, 0.025, 2)])
    seen = found(pair, 0.05, layer, wrong)
    assert seen.verdict == ("found" if terms else "no error found")
    assert seen.terms == pytest.approx(terms, rel=0.02)


def sparse(pair: torch.Tensor, method) -> tuple[Interpolated, torch.Tensor]:
    """Vorticity from stream functions at a quarter of the points, with noise of a thousandth of their spread."""
    x = torch.arange(32, dtype=torch.float64) / 32 * 15.5
    y = torch.arange(64, dtype=torch.float64) / 64 * 22.5
    at = torch.stack([x.expand(64, 32).flatten(), y[:, None].expand(64, 32).flatten()], 1)
    stream = TRUTH.stream(pair)
    chosen = torch.from_numpy(np.random.default_rng(3).permutation(len(at))[: len(at) // 4])
    noise = torch.randn(stream.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    values = (stream + 1e-3 * stream.std((-2, -1), keepdim=True) * noise).flatten(-2)[..., chosen]
    made = dg.discover.interpolate(at[chosen], values, at, method, periods=(15.5, 22.5))
    return made, TRUTH.vorticity(made.fields.reshape(stream.shape))


NETWORK = Network(128, widths=(64, 64), steps=500, refinements=300)


@pytest.mark.parametrize(
    ("method", "seen"),
    [(RandomFeatures(), True), (NETWORK, True), (replace(NETWORK, features=0), False)],
    ids=["random waves", "network on features", "network without"],
)
def test_from_a_quarter_of_the_points(states, method, seen: bool) -> None:
    """With random Fourier features the right terms are found; without, nothing is claimed."""
    pair = torch.stack([states, TRUTH.advance(states, 0.05, 5)])
    made, vorticity = sparse(pair, method)
    assert "512 points" in made.treatment

    def low(f: torch.Tensor) -> torch.Tensor:
        return TRUTH.low_pass(f, 1.5)

    verdicts = [
        (found(vorticity, 0.25, layer, wrong, low, 0.05), right)
        for layer, wrong, right in ((1, {"friction": 0.37}, {"lap psi2": 0.3}), (0, {"advection": 0.5}, {"J1": -0.5}))
    ]
    for verdict, right in verdicts:
        if seen:
            assert verdict.verdict == "found"
            assert verdict.terms == pytest.approx(right, rel=0.15)
        else:
            assert verdict.verdict == "not trustworthy"
