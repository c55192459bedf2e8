"""A leaf against tables computed independently."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

from pydiffgeo.processes import leaf

V_25, J_25 = torch.tensor(60.0), torch.tensor(100.0)


def capacity(temperature: float, light: float) -> leaf.Capacity:
    return leaf.capacity(torch.tensor(temperature), torch.tensor(light), V_25, J_25)


def test_capacities_at_25_and_35_degrees() -> None:
    warm, hot = capacity(25.0, 1500.0), capacity(35.0, 1500.0)
    assert warm.V.item() == pytest.approx(60.0)
    assert warm.J.item() == pytest.approx(94.071439, rel=1e-7)
    assert warm.R_d.item() == pytest.approx(0.9)
    assert hot.V.item() == pytest.approx(78.162713, rel=1e-7)
    assert hot.G.item() == pytest.approx(70.1473, rel=1e-6)
    assert hot.R_d.item() == pytest.approx(1.651899, rel=1e-6)
    # Rubisco alone, then light alone, at 280 umol/mol.
    assert (warm.V * (280 - warm.G) / (280 + warm.K_m)).item() == pytest.approx(14.374138, rel=1e-7)
    assert (warm.J * (280 - warm.G) / (4 * 280 + 8 * warm.G)).item() == pytest.approx(15.265697, rel=1e-7)
    assert leaf.gross(torch.tensor(280.0), warm).item() == pytest.approx(12.936846, rel=1e-7)


def test_the_whole_table(shared_data: Path) -> None:
    path = shared_data / "models" / "vegetation" / "c3_leaf.csv"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    rows = [*csv.DictReader(path.open())]
    assert len(rows) > 50
    for row in rows:
        C_i, warm = float(row["Ci_umol_mol"]), capacity(float(row["T_degC"]), float(row["PAR_umol_m2_s"]))
        found = leaf.gross(torch.tensor(C_i), warm)
        if C_i < warm.G.item():
            # Below the compensation point the table takes the more negative rate; here the lesser effort of the two.
            assert float(row["A_smooth_098"]) <= found.item() <= 0
            continue
        assert found.item() == pytest.approx(float(row["A_smooth_098"]), rel=1e-5, abs=2e-6), row


# Temperature, CO2 of the air, deficit (kPa), light; CO2 inside, net assimilation, conductance.
COUPLED = [
    ((25.0, 400.0, 1.0, 1500.0), (322.900168, 13.292304, 0.275846)),
    ((25.0, 400.0, 2.5, 1500.0), (292.783732, 12.440596, 0.185652)),
    ((35.0, 400.0, 3.0, 1500.0), (291.460269, 6.650964, 0.098043)),
    ((15.0, 400.0, 0.6, 300.0), (337.892519, 9.042567, 0.232953)),
    ((25.0, 560.0, 1.0, 1500.0), (452.759345, 15.772854, 0.235326)),
]


@pytest.mark.parametrize(("given", "expected"), COUPLED)
def test_photosynthesis_and_stomata_together(given: tuple[float, ...], expected: tuple[float, ...]) -> None:
    temperature, C_a, deficit, light = given
    found = leaf.exchange(capacity(temperature, light), *map(torch.tensor, (C_a, deficit, 0.01, 4.0)))
    assert [x.item() for x in found] == pytest.approx(expected, rel=1e-5)


def test_at_night_stomata_are_closed_and_leaves_respire() -> None:
    night = capacity(15.0, 0.0)
    found = leaf.exchange(night, *map(torch.tensor, (400.0, 0.3, 0.01, 4.0)))
    assert found.assimilation.item() == pytest.approx(-night.R_d.item())
    assert found.conductance.item() == pytest.approx(0.01, rel=1e-3)
    assert found.C_i.item() == pytest.approx(400 + 1.6 * night.R_d.item() / 0.01, rel=1e-3)


def test_every_corner_has_a_solution() -> None:
    grid = torch.cartesian_prod(
        torch.tensor([-5.0, 15.0, 42.0]),
        torch.tensor([0.0, 1.0, 50.0, 2200.0]),
        torch.tensor([20.0, 150.0]),
        torch.tensor([150.0, 900.0]),
        torch.tensor([0.0, 0.05, 6.0]),
        torch.tensor([1e-3, 0.05]),
        torch.tensor([1.0, 7.0]),
    )
    temperature, light, V, C_a, deficit, g_0, g_1 = grid.T
    found = leaf.exchange(leaf.capacity(temperature, light, V, 1.8 * V), C_a, deficit, g_0, g_1)
    assert all(x.isfinite().all() for x in found)
    diffused = (C_a - found.C_i) * found.conductance / 1.6
    torch.testing.assert_close(diffused, found.assimilation, rtol=1e-8, atol=1e-9)
    assert (found.conductance >= g_0).all()


def test_slopes_are_those_of_differences() -> None:
    def assimilation(V: torch.Tensor) -> torch.Tensor:
        light = leaf.capacity(torch.tensor(22.0), torch.tensor(700.0), V, 1.7 * V)
        return leaf.exchange(light, *map(torch.tensor, (400.0, 1.2, 0.01, 4.0))).assimilation

    V, step = torch.tensor(50.0, requires_grad=True), 1e-3
    (slope,) = torch.autograd.grad(assimilation(V), V)
    difference = (assimilation(V + step) - assimilation(V - step)).item() / (2 * step)
    assert slope.item() == pytest.approx(difference, rel=1e-7)
    assert math.isfinite(slope.item())
