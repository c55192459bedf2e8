"""Measures of flow duration curves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pydiffgeo.errors import InputError
from pydiffgeo.losses import flow_duration_curve, rms_log_ratio
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


def test_a_flow_duration_curve_is_linear_between_ranks():
    flow = torch.tensor([3.0, 9.0, 1.0, 5.0], dtype=torch.float64, requires_grad=True)
    # Ranks 1 to 4 are exceeded with 0.2, 0.4, 0.6 and 0.8; beyond them the curve ends.
    found = flow_duration_curve(flow, [0.1, 0.2, 0.5, 0.8, 0.9])
    assert found.tolist() == pytest.approx([9.0, 9.0, 4.0, 1.0, 1.0])
    found[2].backward()
    assert flow.grad.tolist() == pytest.approx([0.5, 0.0, 0.0, 0.5])


def test_gaps_are_left_out_of_a_flow_duration_curve():
    nan = float("nan")
    flow = torch.tensor([[3.0, nan, 9.0, 1.0, 5.0], [3.0, 2.0, 9.0, 1.0, 5.0]], dtype=torch.float64)
    assert flow_duration_curve(flow, [0.5]).flatten().tolist() == pytest.approx([4.0, 3.0])
    with pytest.raises(InputError, match="has none"):
        flow_duration_curve(torch.full((3,), nan), [0.5])
    with pytest.raises(InputError, match="between 0 and 1"):
        flow_duration_curve(flow, [0.5, 1.0])


def test_ratios_of_logarithms():
    found = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    assert rms_log_ratio(2 * found, found).item() == pytest.approx(np.log(2))
    assert rms_log_ratio(found, [1.0, 4.0, float("nan")]).item() == pytest.approx(np.log(2) / np.sqrt(2))
    with pytest.raises(InputError, match="positive"):
        rms_log_ratio(found, [1.0, 0.0, 2.0])
