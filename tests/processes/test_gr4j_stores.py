"""The rates of GR4J against the formulas of Santos et al. 2018 in plain numbers."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.processes import gr4j_stores


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(("rain", "demand", "left"), [(9.3, 0.4, (8.9, 0.0, 0.4)), (1.0, 4.0, (0.0, 3.0, 1.0))])
def test_rain_and_demand_are_set_off(rain: float, demand: float, left: tuple[float, ...]) -> None:
    assert [v.item() for v in gr4j_stores.net_weather(of(rain), of(demand))] == pytest.approx([*left])


def test_the_production_store() -> None:
    # Filled to three quarters: 1 - 9/16 of the rain enters, 2 x 3/4 - 9/16 of the demand is met.
    assert gr4j_stores.infiltration(of(300.0), of(16.0), of(400.0)).item() == pytest.approx(7.0)
    assert gr4j_stores.evapotranspiration(of(300.0), of(16.0), of(400.0)).item() == pytest.approx(15.0)
    # (4/9)^4 S^5 / (4 X1^4).
    assert gr4j_stores.percolation(of(300.0), of(400.0)).item() == pytest.approx((4 / 9) ** 4 * 300**5 / (4 * 400**4))
    # Nothing enters a store that was started above its capacity.
    assert gr4j_stores.infiltration(of(500.0), of(16.0), of(400.0)).item() == 0.0
    assert gr4j_stores.evapotranspiration(of(500.0), of(16.0), of(400.0)).item() == 16.0


def test_the_routing_store_and_the_exchange() -> None:
    assert gr4j_stores.routed_flow(of(40.0), of(80.0)).item() == pytest.approx(40**5 / (4 * 80**4))
    assert gr4j_stores.exchange(of(40.0), of(-2.0), of(80.0)).item() == pytest.approx(-2 * 0.5**3.5)
    assert gr4j_stores.exchange(of(-1e-9), of(-2.0), of(80.0)).item() == 0.0
    assert gr4j_stores.direct_flow(of(0.3), of(-0.1)).item() == pytest.approx(0.2)
    assert gr4j_stores.direct_flow(of(0.3), of(-0.4)).item() == 0.0
