"""Terms of a stream's heat budget against numbers computed independently."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.processes import stream_heat as heat


def weather(radiation: float, air: float, humidity: float, wind: float, shade: float = 0.3) -> heat.Weather:
    return heat.Weather(*map(torch.tensor, (radiation, air, humidity, wind, shade)))


def test_each_term_of_a_summer_day() -> None:
    day, water = weather(500.0, 20.0, 0.6, 2.0), torch.tensor(18.0)
    bed = heat.bed(water, *map(torch.tensor, (10.0, 1.65, 1.0)))
    found = [
        heat.shortwave(day),
        heat.longwave(day),
        heat.emitted(water),
        heat.latent(water, day),
        heat.sensible(water, day),
        bed,
    ]
    right = [329.0, 346.59939, -395.23065, -46.27143, 9.17, -13.2]
    assert [x.item() for x in found] == pytest.approx(right, abs=4e-5)  # digits of the Stefan-Boltzmann constant
    assert (heat.surface(water, day) + bed).item() == pytest.approx(230.06731, abs=4e-5)


@pytest.mark.parametrize(
    ("air", "equilibrium", "exchange"),
    [((500.0, 20.0, 0.6, 2.0), 27.652426, 20.74928), ((0.0, 12.0, 0.85, 1.0), 6.879823, 16.84375)],
)
def test_the_temperature_of_equilibrium(air: tuple[float, ...], equilibrium: float, exchange: float) -> None:
    def budget(water: torch.Tensor) -> torch.Tensor:
        return heat.surface(water, weather(*air)) + heat.bed(water, *map(torch.tensor, (10.0, 1.65, 1.0)))

    assert budget(torch.tensor(equilibrium)).item() == pytest.approx(0.0, abs=2e-5)
    # The exchange is the slope of the budget at the temperature of the water.
    water = torch.tensor(18.0, requires_grad=True)
    budget(water).backward()
    assert -water.grad.item() == pytest.approx(exchange, abs=1e-5)


def test_falling_water_warms() -> None:
    # 2 m3/s over 1 % of slope, 10 m wide: 9805 * 2 * 0.01 / 10.
    assert heat.friction(*map(torch.tensor, (2.0, 0.01, 10.0))).item() == pytest.approx(19.61)
