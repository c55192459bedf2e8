"""A snow pack with liquid water against numbers worked out by hand, and its exact decline."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.processes.wet_snow import drainage, melt, rain_share, refreezing


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    ("temperature", "share"),
    [(-9.0, 0.0), (0.5, 0.0), (0.75, 0.15625), (1.0, 0.5), (1.25, 0.84375), (1.5, 1.0), (20.0, 1.0)],
)
def test_rain_turns_to_snow_over_the_width(temperature: float, share: float) -> None:
    # 3 s^2 - 2 s^3 of the place s within the width.
    assert rain_share(of(temperature), of(1.0), 1.0).item() == pytest.approx(share, abs=1e-15)
    assert rain_share(of(temperature), of(1.0), 0.0).item() == float(temperature >= 1.0)


def test_melt_by_degrees_until_the_store_limits_it() -> None:
    assert melt(of(50.0), of(5.0), of(1.0), of(2.5), 1.0).item() == 10.0
    assert melt(of(6.0), of(5.0), of(1.0), of(2.5), 1.0).item() == 6.0
    assert melt(of(0.6), of(5.0), of(1.0), of(2.5), 0.1).item() == pytest.approx(6.0)
    assert melt(of(50.0), of(0.9), of(1.0), of(2.5), 1.0).item() == 0.0


def test_refreezing_of_the_first_day_of_the_ten_day_case() -> None:
    # 0.05 x 3 mm/d/degC x 3 degrees of frost, of 2 mm of water; nothing above the threshold.
    assert refreezing(of(2.0), of(-3.0), of(0.0), of(3.0), of(0.05), 1.0).item() == pytest.approx(0.45)
    assert refreezing(of(0.2), of(-3.0), of(0.0), of(3.0), of(0.05), 1.0).item() == pytest.approx(0.2)
    assert refreezing(of(2.0), of(1.0), of(0.0), of(3.0), of(0.05), 1.0).item() == 0.0


def test_water_above_a_tenth_of_the_snow_drains() -> None:
    assert drainage(of(5.0), of(30.0), of(0.1), 1.0).item() == pytest.approx(2.0)
    assert drainage(of(5.0), of(30.0), of(0.1), 0.5).item() == pytest.approx(4.0)
    assert drainage(of(5.0), of(60.0), of(0.1), 1.0).item() == 0.0


def test_a_pack_melts_in_a_line_and_then_exponentially(engine: str) -> None:
    """20 mm at 6 mm/d: a line until 6 mm are left, after 7/3 d; then what there is in a day."""
    model = dg.Model(
        "Pack",
        dg.single_cell(),
        states=(dg.State("snow", "mm", "snow"),),
        source=lambda cell, forcing: {
            "snow": -melt(cell.snow, 2.0 + 0.0 * cell.snow, 0.0 * cell.snow, 3.0 + 0.0 * cell.snow, 1.0)
        },
    )
    sol = dg.solve(model, initial={"snow": 20.0}, times=[0.0, 2.0, 3.0, 5.0], engine=engine, rtol=1e-9, atol=1e-12)
    expected = [20.0, 8.0, 6 * np.exp(-2 / 3), 6 * np.exp(-8 / 3)]
    assert sol.states["snow"][:, 0].numpy() == pytest.approx(expected, rel=1e-8)
    assert expected[2:] == pytest.approx([3.0805027142, 0.4169007073], rel=1e-9)
