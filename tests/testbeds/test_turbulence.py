"""Invariants, exact decay and waves, order of convergence, and what was measured of closures elsewhere."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pydiffgeo.errors import InputError, ShapeError
from pydiffgeo.testbeds import DynamicSmagorinsky, ForcedTurbulence, InvariantNetwork, Leith, Smagorinsky

IDEAL = ForcedTurbulence(reynolds=1e30, drag=0.0, forcing_wavenumber=0, dealias=True)
LES = ForcedTurbulence()


def mesh(cells: int = 32) -> tuple[Tensor, Tensor]:
    x = 2 * math.pi * torch.arange(cells, dtype=torch.float64) / cells
    return x[None].expand(cells, cells), x[:, None].expand(cells, cells)


def energy(system: ForcedTurbulence, w: Tensor) -> Tensor:
    u, v = system.flow(w).velocity
    return (u**2 + v**2).mean((-2, -1)) / 2


def test_without_forcing_and_friction_energy_and_enstrophy_are_kept() -> None:
    w = IDEAL.advance(IDEAL.start(2, seed=1), 1e-3)  # the modes that are kept
    drift = []
    for dt in (4e-3, 2e-3, 1e-3):
        later = IDEAL.advance(w, dt, round(0.4 / dt))
        assert (later - w).square().mean() > 1  # it moves
        drift.append(
            max(
                float((energy(IDEAL, later) / energy(IDEAL, w) - 1).abs().max()),
                float((later.square().mean((-2, -1)) / w.square().mean((-2, -1)) - 1).abs().max()),
            )
        )
    # Fluxes keep both; what drifts is the step, by its second or a higher power.
    assert drift[-1] < 1e-5
    assert drift[0] / drift[2] > 14


def test_enstrophy_is_kept_with_aliases() -> None:
    rough = replace(IDEAL, dealias=False, cells=16)
    w = rough.advance(rough.start(seed=2), 1e-3, 1000)  # as full of small scales as the grid allows
    before = w.square().mean()
    assert abs(float(rough.advance(w, 2.5e-4, 400).square().mean() / before) - 1) < 1e-5


def test_a_taylor_green_vortex_decays_by_viscosity_and_drag() -> None:
    still = ForcedTurbulence(reynolds=50.0, drag=0.3, forcing_wavenumber=0)
    x, y = mesh()
    w = torch.cos(3 * x) * torch.cos(2 * y)
    expected = math.exp(-(13 / 50 + 0.3) * 0.5) * w
    torch.testing.assert_close(still.advance(w, 1e-3, 500), expected, atol=2e-8, rtol=0)


def test_an_eddy_viscosity_is_a_viscosity() -> None:
    still = ForcedTurbulence(reynolds=1e30, drag=0.0, forcing_wavenumber=0)
    x, y = mesh()
    w = torch.cos(3 * x) * torch.cos(2 * y)
    nu = 0.02
    found = still.advance(w, 1e-3, 500, lambda flow: torch.full((1, 1), nu, dtype=torch.float64))
    torch.testing.assert_close(found, math.exp(-13 * nu * 0.5) * w, atol=2e-6, rtol=0)


def test_a_viscosity_that_varies_neither_makes_vorticity_nor_enstrophy() -> None:
    still = ForcedTurbulence(reynolds=1e30, drag=0.0, forcing_wavenumber=0)
    w = still.start(seed=3)
    later = still.advance(w, 1e-3, 20, lambda flow: 1e-2 * (1 + flow.vorticity.tanh()))
    assert later.mean().abs() < 1e-14
    assert later.square().mean() < w.square().mean()


def test_a_rossby_wave_travels() -> None:
    plane = ForcedTurbulence(reynolds=1e30, drag=0.0, forcing_wavenumber=0, beta=20.0)
    x, y = mesh()
    later = plane.advance(torch.cos(3 * x + 2 * y), 1e-3, 300)
    torch.testing.assert_close(later, torch.cos(3 * x + 2 * y + 20.0 * 3 / 13 * 0.3), atol=1e-4, rtol=0)


def test_forcing_drives_its_mode_against_drag() -> None:
    """From rest the forced waves, which do not advect themselves, grow to -kf / (drag + kf^2 / Re) cos."""
    calm = ForcedTurbulence(reynolds=1.0, drag=5.0)
    x, y = mesh()
    w = calm.advance(torch.zeros(32, 32, dtype=torch.float64), 0.01, 200)
    expected = -4 / (5 + 16) * (torch.cos(4 * x) + torch.cos(4 * y))
    torch.testing.assert_close(w, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("closure", [None, Leith(0.17), Smagorinsky(0.07)], ids=["none", "Leith", "Smagorinsky"])
def test_order_two(closure: object) -> None:
    w = LES.advance(LES.start(seed=4), 5e-3, 400, closure)
    fine = LES.advance(w, 0.2 / 1280, 1280, closure)
    errors = [float((LES.advance(w, 0.2 / n, n, closure) - fine).abs().max()) for n in (40, 80, 160)]
    assert all(1.8 < math.log2(a / b) < 2.5 for a, b in itertools.pairwise(errors))


def test_derivatives_and_invariants_of_a_known_flow() -> None:
    """psi = cos(2x) sin(3y): u = -3 cos cos, v = -2 sin sin."""
    x, y = mesh()
    flow = LES.flow(-13 * torch.cos(2 * x) * torch.sin(3 * y))
    cc, ss = torch.cos(2 * x) * torch.cos(3 * y), torch.sin(2 * x) * torch.sin(3 * y)
    cs, sc = torch.cos(2 * x) * torch.sin(3 * y), torch.sin(2 * x) * torch.cos(3 * y)
    torch.testing.assert_close(torch.stack(flow.velocity), torch.stack([-3 * cc, -2 * ss]), atol=1e-12, rtol=0)
    first = torch.stack([torch.stack([6 * sc, 9 * cs], -1), torch.stack([-4 * cs, -6 * sc], -1)], -2)
    second = torch.stack([torch.stack([12 * cc, -18 * ss], -1), torch.stack([-12 * cc, 18 * ss], -1)], -2)
    expected = []
    for matrix in (first, second):
        even, odd = (matrix + matrix.mT) / 2, (matrix - matrix.mT) / 2
        expected += [torch.einsum("...ii->...", m) for m in (even, even @ even, odd @ odd)]
    torch.testing.assert_close(flow.invariants, torch.stack(expected, -1), atol=1e-10, rtol=0)
    torch.testing.assert_close(flow.strain_rate**2, 2 * expected[1], atol=1e-10, rtol=0)


def test_coefficients_of_closures() -> None:
    flow = LES.flow(LES.start(seed=5))
    w_x, w_y = flow.vorticity_gradient
    steep = (w_x**2 + w_y**2).sqrt().mean((-2, -1))
    assert float(Leith(0.2)(flow)) == pytest.approx(float((0.2 * 2 * math.pi / 32) ** 3 * steep))
    # In a periodic flow without divergence, mean 2 S:S is the mean square of the vorticity.
    size = flow.vorticity.square().mean().sqrt()
    assert float(Smagorinsky(0.1)(flow)) == pytest.approx(float((0.1 * 2 * math.pi / 32) ** 2 * size))


def test_germano_finds_a_coefficient_of_its_known_size_in_turbulence() -> None:
    w = LES.advance(LES.start(3, seed=11), 5e-3, 400, Smagorinsky(0.1))
    flow = LES.flow(w)
    c = (DynamicSmagorinsky()(flow) / flow.strain_rate).sqrt() / (2 * math.pi / 32)
    torch.testing.assert_close(c, c[..., :1, :1].expand_as(c))  # one for a whole field
    assert c.min() > 0.04
    assert c.max() < 0.2


def test_where_the_test_filter_takes_nothing_there_is_no_eddy_viscosity() -> None:
    x, y = mesh()
    steady = LES.flow(torch.cos(x) + torch.cos(y))
    # All modes are below the test filter, products too: nothing is lost.
    assert float(DynamicSmagorinsky()(steady).abs().max()) < 1e-12
    assert float(DynamicSmagorinsky()(LES.flow(LES.start(seed=6))).min()) >= 0


def test_a_network_begins_as_leiths_closure_and_sees_its_own_point_only() -> None:
    network = InvariantNetwork(coefficient=0.17)
    assert sum(p.numel() for p in network.parameters()) <= 200
    flow = LES.flow(LES.start(3, seed=7))
    torch.testing.assert_close(network(flow), Leith(0.17)(flow).expand(3, 32, 32))
    with torch.no_grad():
        network.layers[-1].weight.normal_(generator=torch.Generator().manual_seed(1))
    seen = network.coefficients(flow)
    assert seen.std() > 0
    assert seen.abs().max() < 0.125
    moved = network.coefficients(LES.flow(torch.roll(flow.vorticity, (3, 5), (-2, -1))))
    torch.testing.assert_close(moved, torch.roll(seen, (3, 5), (-2, -1)))


def test_members_do_not_meet() -> None:
    network = InvariantNetwork(seed=1)
    w = LES.start(3, seed=8)
    torch.testing.assert_close(LES.advance(w, 2e-3, 20, network)[1], LES.advance(w[1], 2e-3, 20, network))


@pytest.mark.parametrize("closure", ["leith", "dynamic"])
def test_gradients(closure: str) -> None:
    small = ForcedTurbulence(cells=8, forcing_wavenumber=2)
    c = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def later(w: Tensor, c: Tensor) -> Tensor:
        return small.advance(w, 0.01, 3, Leith(c) if closure == "leith" else DynamicSmagorinsky())

    w = small.start(seed=9).requires_grad_()
    assert torch.autograd.gradcheck(lambda w, c: later(w, c) + 0 * c, (w, c))


@pytest.fixture
def dns(shared_data: Path) -> Callable[[str], Tensor]:
    file = shared_data / "methods" / "turbulence_re20k_kf4.npz"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    return lambda name: torch.from_numpy(np.load(file)[name]).double()


def test_spectra_are_in_the_convention_of_the_reference(dns: Callable[[str], Tensor]) -> None:
    """The fields are filtered: they lose little at large scales. The public reference turns out to be their own mean."""
    flow = LES.flow(dns("vorticity_32"))
    for mine, name in ((flow.enstrophy_spectrum, "enstrophy_spectrum"), (flow.energy_spectrum, "energy_spectrum")):
        ratio = mine.mean(0)[:6] / dns(name)[:6]
        assert (ratio - 1).abs().max() < 0.06, name


def test_closures_do_to_the_spectrum_what_was_measured_elsewhere(dns: Callable[[str], Tensor]) -> None:
    """Without a closure small scales pile up; Leith's of 0.17 is near the spectrum, that of 0.4 far below it."""
    w, reference = dns("vorticity_32"), dns("enstrophy_spectrum")[:16]
    c = torch.tensor([0.0, 0.17, 0.4], dtype=torch.float64).repeat_interleave(5)[:, None, None]
    w, spectra = w.repeat(3, 1, 1), []
    for _ in range(30):
        w = LES.advance(w, 5e-3, 40, Leith(c))
        spectra.append(LES.flow(w).enstrophy_spectrum)
    ratio = torch.stack(spectra[10:]).mean(0).reshape(3, 5, 16).mean(1) / reference
    # Six units of time are few, for large scales most of all: from the forced one on, and less sharp than the long runs.
    none, leith, thick = ratio.log()[:, 4:15].square().mean(-1).sqrt()
    assert 0.8 < none < 1.4
    assert leith < 0.45
    assert 1.3 < thick < 2.0
    assert 3 < ratio[0, 12] < 5.5
    assert ratio[2, 12] < 0.2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="even number of cells"):
        ForcedTurbulence(cells=9)
    with pytest.raises(InputError, match="forcing_wavenumber from 0 to 15"):
        ForcedTurbulence(forcing_wavenumber=16)
    with pytest.raises(InputError, match="drag"):
        ForcedTurbulence(drag=-0.1)
    with pytest.raises(ShapeError, match=r"\(\.\.\., 32, 32\)"):
        LES.advance(torch.zeros(1, 16, 16, dtype=torch.float64), 0.1)
    with pytest.raises(InputError, match="dt"):
        LES.advance(LES.start(), 0.0)
    with pytest.raises(InputError, match="coefficient"):
        InvariantNetwork(coefficient=0.6)
