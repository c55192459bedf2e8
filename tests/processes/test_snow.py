"""Snow by temperature against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from pydiffgeo.processes.snow import degree_day_melt, partition


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def logistic(x: float) -> float:
    """The smooth step of Hoege et al. 2022, eq 7, as the function that it is."""
    return 1 / (1 + math.exp(-10 * x))


@pytest.mark.parametrize("temperature", [-6.0, -1.3, -1.0, -0.9, 4.0])
def test_what_falls_as_snow(temperature: float) -> None:
    rain, snow = partition(of(8.0), of(temperature), of(-1.0))
    assert snow.item() == pytest.approx(8 * logistic(-1.0 - temperature), rel=1e-12)
    assert rain.item() == pytest.approx(8 * logistic(temperature + 1.0), rel=1e-12)
    if abs(temperature + 1.0) > 3:
        assert (rain.item() > 7.999) is (temperature > -1.0)


def test_melt_is_by_degrees_and_days_until_the_store_is_gone() -> None:
    # 2.5 mm a day and degree, 4 degrees above 1: ten millimetres, if there are as many.
    assert degree_day_melt(of(50.0), of(5.0), of(2.5), of(1.0)).item() == pytest.approx(10.0, rel=1e-12)
    assert degree_day_melt(of(6.0), of(5.0), of(2.5), of(1.0)).item() == pytest.approx(6.0, rel=1e-12)
    assert abs(degree_day_melt(of(50.0), of(-5.0), of(2.5), of(1.0)).item()) < 1e-20
    # A tenth of a degree above: the step is open by 73 %.
    assert degree_day_melt(of(50.0), of(1.1), of(2.5), of(1.0)).item() == pytest.approx(0.25 * logistic(0.1), rel=1e-9)
    # Of an empty store nothing melts; of one with a tenth of a millimetre, the step of the store lets it.
    assert degree_day_melt(of(0.0), of(5.0), of(2.5), of(1.0)).item() == 0.0
    assert degree_day_melt(of(0.1), of(5.0), of(2.5), of(1.0)).item() == pytest.approx(0.1 * logistic(0.1), rel=1e-12)
