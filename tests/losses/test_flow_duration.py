"""Measures of flow duration curves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pydiffgeo.losses.measures import fhv, flv, fms


@pytest.mark.parametrize("measure", [fhv, fms, flv])
def test_duration_curves_ignore_order_and_keep_nan_visible(measure):
    s, o = torch.from_numpy(np.random.default_rng(8).gamma(0.6, 3.0, (2, 100)))
    assert measure(s.flip(0), o).item() == pytest.approx(measure(s, o).item(), rel=1e-12)
    s[3] = float("nan")
    assert torch.isnan(measure(s, o))
    o[3] = float("nan")
    assert torch.isfinite(measure(s, o))


def test_the_flow_duration_curve_of_two_flows_ends_with_the_lower():
    found = fms(torch.tensor([6.0, 2.0], dtype=torch.float64), [8.0, 4.0])
    assert found.item() == pytest.approx(100 * (np.log(6 / 2) / np.log(8 / 4) - 1), rel=1e-12)
