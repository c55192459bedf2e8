"""Enthalpy of freezing soil against the heat of each part of the way, added up."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.processes.freezing import enthalpy, from_enthalpy, mixed, three_zones

C, C_F, L, T_F = 2.9, 2.0, 100.0, -0.5


@pytest.mark.parametrize("temperature", [-20.0, -0.51, -0.3, -1e-3, 0.0, 1e-3, 15.0])
def test_heat_is_that_of_each_part_of_the_way(temperature: float) -> None:
    # Above zero the thawed capacity; below it the frozen one, and the heat of fusion of what freezes.
    frozen = min(max(-temperature, 0.0) / -T_F, 1.0)
    heat = C * temperature if temperature > 0 else C_F * temperature - L * frozen
    numbers = [torch.tensor(v) for v in (C, C_F, L, T_F)]
    assert enthalpy(torch.tensor(temperature), *numbers).item() == pytest.approx(heat, abs=1e-12)
    found = from_enthalpy(torch.tensor(heat), *numbers)
    assert found.temperature.item() == pytest.approx(temperature, abs=1e-12)
    assert found.liquid.item() == pytest.approx(1 - frozen, abs=1e-12)


def test_properties_of_what_is_half_frozen() -> None:
    liquid, thawed, frozen = torch.tensor([0.0, 0.3, 1.0]), torch.tensor(1.6), torch.tensor(2.4)
    torch.testing.assert_close(mixed(liquid, thawed, frozen), torch.tensor([2.4, 0.3 * 1.6 + 0.7 * 2.4, 1.6]))
    torch.testing.assert_close(three_zones(liquid, thawed, frozen), torch.tensor([2.4, 2.0, 1.6]))
