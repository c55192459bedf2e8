"""The base flow of records whose slow part is known."""

from __future__ import annotations

import numpy as np
import pytest

from pydiffgeo.errors import InputError
from pydiffgeo.hydrology.base_flow import base_flow, base_flow_index


def test_constant_runoff_is_all_base_flow() -> None:
    assert base_flow(np.full(30, 2.0)) == pytest.approx(np.full(30, 2.0))
    assert base_flow_index(np.full(30, 2.0)) == 1.0
    assert np.isnan(base_flow_index(np.zeros(30)))


def test_one_pass_is_the_filter_written_as_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rise by one: its quick part is 0.9625 that day and 0.925 of it each day after."""
    monkeypatch.setattr("pydiffgeo.hydrology.base_flow.PASSES", 1)
    runoff = np.where(np.arange(40) >= 5, 3.0, 2.0)
    later = np.arange(40) - 5.0
    expected = np.where(later >= 0, 3.0 - 0.9625 * 0.925 ** np.maximum(later, 0), 2.0)
    assert base_flow(runoff) == pytest.approx(expected, rel=1e-12)


def test_it_lies_between_nothing_and_the_runoff_and_is_smoother() -> None:
    random = np.random.default_rng(0)
    runoff = np.convolve(random.gamma(0.2, 10.0, 400), 0.7 ** np.arange(20))[:400] + 1.0
    slow = base_flow(runoff)
    assert (slow >= 0).all()
    assert (slow <= runoff + 1e-12).all()
    assert np.abs(np.diff(slow)).sum() < 0.5 * np.abs(np.diff(runoff)).sum()
    assert 0.1 < base_flow_index(runoff) < 0.9


def test_gaps_are_refused() -> None:
    with pytest.raises(InputError, match="without gaps"):
        base_flow(np.array([1.0, np.nan, 2.0]))
