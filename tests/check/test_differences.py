"""Finite differences that know their error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pydiffgeo.check.differences import difference
from pydiffgeo.errors import BoundsError


def test_differences_know_their_error() -> None:
    rng = np.random.default_rng(0)
    for noise in (0.0, 1e-12, 1e-9, 1e-6, 1e-4):
        for curve, slope in ((lambda h: math.exp(3 * h), 3.0), (lambda h: 1 / (1.2 - h), 1 / 1.44), (math.sin, 1.0)):
            for one_sided in (False, True):
                known: dict[float, float] = {}

                def at(h: float, curve=curve, known=known, noise=noise) -> float:
                    return known.setdefault(h, curve(h) + noise * rng.uniform(-1, 1))

                found = difference(at, one_sided, noise=noise)
                assert abs(found.value - slope) <= 5 * found.error + 1e-12, (noise, slope, one_sided, found)
                assert found.error <= max(1e-5, 3e3 * noise)
                assert found.sides is None


def test_differences_follow_a_bend_within_their_step() -> None:
    # Rounded over 1e-5, far less than the first step.
    found = difference(lambda h: 0.5 * (h + math.hypot(h, 1e-5)) - 0.5 * 1e-5, noise=1e-12)
    assert found.value == pytest.approx(0.5, abs=1e-3)
    ahead = difference(lambda h: 0.5 * (h + math.hypot(h, 1e-5)), one_sided=True, noise=1e-12)
    assert ahead.value == pytest.approx(0.5, abs=1e-2)


def test_differences_stay_within_bounds() -> None:
    def inside(h: float) -> float:
        if abs(h) > 0.003:
            raise BoundsError("out")
        return 2 * h

    assert difference(inside).value == pytest.approx(2)

    def nowhere(h: float) -> float:
        if h:
            raise BoundsError("out")
        return 0.0

    with pytest.raises(BoundsError):
        difference(nowhere)
