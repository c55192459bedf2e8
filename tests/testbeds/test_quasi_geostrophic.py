"""Inversion, invariants, waves and growth against theory, and orders of both schemes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pydiffgeo.errors import InputError, ShapeError
from pydiffgeo.testbeds import QuasiGeostrophicChannel

SMALL = QuasiGeostrophicChannel(32, 64, 18.0, 30.0)
# Nothing but advection.
INVISCID = replace(SMALL, beta=0.0, relaxation=0.0, equilibrium=0.0, friction=0.0, viscosity=0.0, sponge=0.0)


def plane(system: QuasiGeostrophicChannel, k: int, m: int, phase: float = 0.0) -> torch.Tensor:
    x = torch.arange(system.columns, dtype=torch.float64) / system.columns
    y = torch.arange(system.rows, dtype=torch.float64)[:, None] / system.rows
    return torch.cos(2 * math.pi * (k * x + m * y) - phase)


def flow(system: QuasiGeostrophicChannel = SMALL, steps: int = 0) -> torch.Tensor:
    return system.advance(system.start(seed=3), 0.1, steps)


def test_vorticity_has_its_inverse_and_is_that_of_a_wave() -> None:
    q = flow()
    torch.testing.assert_close(SMALL.vorticity(SMALL.stream(q)), q, atol=1e-12, rtol=0)
    wave, square = plane(SMALL, 2, -3), (4 * math.pi / 18) ** 2 + (6 * math.pi / 30) ** 2
    q = SMALL.vorticity(torch.stack([wave, 0 * wave]))
    torch.testing.assert_close(q, torch.stack([-(square + 1) * wave, wave]), atol=1e-12, rtol=0)


def test_derivatives_and_jacobian_of_waves() -> None:
    a, b, k, m = plane(SMALL, 2, 1), plane(SMALL, 1, -3), 2 * math.pi / 18, 2 * math.pi / 30
    third = -((2 * k) ** 2) * m * plane(SMALL, 2, 1, math.pi / 2) * -1
    torch.testing.assert_close(SMALL.derivative(a, x=2, y=1), third, atol=1e-11, rtol=0)
    # J(a, b) = (2 k (-3 m) - m k) sin sin = 7 k m (cos of the sum - cos of the difference) / 2.
    expected = 7 * k * m / 2 * (plane(SMALL, 3, -2) - plane(SMALL, 1, 4))
    torch.testing.assert_close(SMALL.jacobian(a, b), expected, atol=1e-11, rtol=0)


def test_the_jet_of_equilibrium() -> None:
    whole = QuasiGeostrophicChannel()
    speed = -torch.gradient(whole.equilibrium_stream, spacing=whole.width / whole.rows)[0]
    assert float(speed.max()) == pytest.approx(1.0, abs=0.01)
    assert int(speed.argmax()) == whole.rows // 2
    assert float(whole.equilibrium_stream.mean()) == pytest.approx(0, abs=1e-12)


def test_advection_alone_keeps_energy_and_enstrophy() -> None:
    """Exactly where it is truncated (Galerkin); the scheme's error, of fourth order, is what is left."""
    q = flow(INVISCID, 50)
    p = INVISCID.stream(q)
    change = INVISCID.jacobian(p, q)
    size = float(change.abs().mean())
    assert float((p * change).sum(1).mean().abs()) < 1e-12 * size
    assert (q * change).mean((-2, -1)).abs().max() < 1e-12 * size

    def drift(n: int) -> float:
        later = INVISCID.advance(q, 8.0 / n, n)
        energy = (INVISCID.energy(later) / INVISCID.energy(q) - 1).abs().max()
        return float(energy + (later.square().sum() / q.square().sum() - 1).abs())

    errors = [drift(n) for n in (16, 32, 64)]
    assert errors[-1] < 1e-6
    assert all(math.log2(a / b) > 3.7 for a, b in itertools.pairwise(errors))


@pytest.mark.parametrize(("below", "shear"), [(1.0, 0.0), (-1.0, 2.0)])
def test_rossby_waves_travel_as_they_must(below: float, shear: float) -> None:
    """One wave advects nothing of itself; omega = -beta k / (k^2 + m^2), with 2 more below if layers are opposed."""
    system = replace(INVISCID, beta=0.196)
    wave = 0.3 * plane(system, 2, 1)
    k, m, t = 4 * math.pi / 18, 2 * math.pi / 30, 20.0
    turn = -0.196 * k / (k**2 + m**2 + shear) * t
    later = system.stream(system.advance(system.vorticity(torch.stack([wave, below * wave])), 0.25, 80))
    moved = 0.3 * plane(system, 2, 1, turn)
    torch.testing.assert_close(later, torch.stack([moved, below * moved]), atol=1e-6, rtol=0)


def fastest(system: QuasiGeostrophicChannel, k: float, speed: np.ndarray) -> tuple[complex, np.ndarray]:
    """Growth rate and stream functions of the fastest wave on a flow `(2, rows)`: dense matrices along y."""
    n, width = system.rows, system.width
    j = np.arange(n)
    # Second derivative of periodic points (Trefethen 2000, chapter 3).
    h = 2 * np.pi / n
    d = j[:, None] - j
    with np.errstate(divide="ignore"):
        second = np.where(d == 0, -(np.pi**2) / (3 * h**2) - 1 / 6, -((-1.0) ** d) / (2 * np.sin(d * h / 2) ** 2))
    second *= (2 * np.pi / width) ** 2
    one, zero = np.eye(n), np.zeros((n, n))
    lap = second - k**2 * one
    to_q = np.block([[lap - one, one], [one, lap - one]])
    gradient = system.beta - np.stack([second @ u for u in speed])
    gradient += np.stack([speed[0] - speed[1], speed[1] - speed[0]])
    carried = np.block([[np.diag(speed[0]), zero], [zero, np.diag(speed[1])]])
    rates, modes = np.linalg.eig(-1j * k * (carried + np.diag(gradient.ravel()) @ np.linalg.inv(to_q)))
    best = rates.real.argmax()
    return complex(rates[best]), np.linalg.solve(to_q, modes[:, best]).reshape(2, n)


def test_a_baroclinic_wave_grows_as_linear_theory_says() -> None:
    system = replace(INVISCID, beta=0.1)
    profile = np.exp(-((np.asarray(system.y) / 4) ** 2))
    speed = np.stack([profile - profile.mean(), 0 * profile])
    # u = -dp/dy.
    modes = np.fft.rfft(-speed) / np.where(np.arange(33) == 0, 1, 2j * np.pi * np.arange(33) / 30)
    modes[:, [0, -1]] = 0
    jet = torch.from_numpy(np.fft.irfft(modes, 64))[:, :, None].expand(2, 64, 32)
    k = 2 * 2 * math.pi / 18
    rate, shape = fastest(system, k, speed)
    assert rate.real > 0.05
    x = np.arange(32) / 32 * 18
    t = 5.0
    begin, end = (
        np.real((shape * np.exp(rate * s))[:, :, None] * np.exp(1j * k * x)) / np.abs(shape).max() for s in (0, t)
    )
    small = 1e-6
    later = system.stream(system.advance(system.vorticity(jet + small * torch.from_numpy(begin)), 0.05, 100))
    found = ((later - jet) / small).numpy()
    # The constant of the stream function is free.
    assert np.abs(found - found.mean() - end).max() < 1e-3 * np.abs(end).max()


def test_the_interface_relaxes_and_the_bottom_rubs() -> None:
    """A wave of the interface decays with 2 r / (K^2 + 2), one of the lower layer's own vorticity feels friction f."""
    quiet = replace(INVISCID, relaxation=0.3)
    wave, square, t = plane(quiet, 1, 1), (2 * math.pi / 18) ** 2 + (2 * math.pi / 30) ** 2, 2.0
    both = torch.stack([wave, -wave])
    later = quiet.stream(quiet.advance(quiet.vorticity(both), 0.1, 20))
    torch.testing.assert_close(later, both * math.exp(-0.6 / (square + 2) * t), atol=1e-6, rtol=0)
    rubbed = replace(INVISCID, friction=0.3)
    change = rubbed.advance(rubbed.vorticity(both), 1e-5, 1) - rubbed.vorticity(both)
    torch.testing.assert_close(change[0] / 1e-5, 0 * wave, atol=1e-6, rtol=0)
    # Of -wave the vorticity is square * wave, which decays.
    torch.testing.assert_close(change[1] / 1e-5, -0.3 * square * wave, atol=1e-4, rtol=0)


def test_orders_in_time() -> None:
    """Four for ETDRK4; one for the published scheme, because of its filter, and two without it and viscosity."""
    q = flow(steps=30)

    def orders(system: QuasiGeostrophicChannel, scheme: str, counts: tuple[int, ...], **settings: float) -> list[float]:
        truth, advance = system.advance(q, 0.02, 100), getattr(system, scheme)
        errors = [float((advance(q, 2 / n, n, **settings) - truth).abs().max()) for n in counts]
        return [math.log2(a / b) for a, b in itertools.pairwise(errors)]

    assert min(orders(SMALL, "advance", (5, 10, 20))) > 3.6
    assert orders(SMALL, "leapfrog", (100, 200))[-1] == pytest.approx(1.0, abs=0.2)
    plain = replace(SMALL, viscosity=0.0)
    assert orders(plain, "leapfrog", (40, 80), damping=0.0)[-1] == pytest.approx(2.0, abs=0.2)


def test_members_do_not_meet_and_gradients_are_right() -> None:
    q = SMALL.start(2, seed=1)
    torch.testing.assert_close(SMALL.advance(q, 0.1, 5)[1:], SMALL.advance(q[1:], 0.1, 5), atol=1e-12, rtol=0)
    tiny = QuasiGeostrophicChannel(8, 8, 5.0, 8.0)
    state = tiny.start(seed=2)[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda v: tiny.advance(v, 0.1, 2)[..., ::3, ::3], (state,), atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="even numbers of cells"):
        QuasiGeostrophicChannel(31, 64)
    with pytest.raises(InputError, match="lengths must be positive"):
        QuasiGeostrophicChannel(length=0.0)
    with pytest.raises(ShapeError, match=r"\(\.\.\., 2, 64, 32\)"):
        SMALL.advance(torch.zeros(64, 32), 0.1)
