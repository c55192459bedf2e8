"""Sections and uniform flow against formulas of the books, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.processes.channel import manning, power_celerity, power_section, trapezoid


def number(value: float) -> torch.Tensor:
    return torch.tensor(value)


def test_a_trapezoid() -> None:
    depth = torch.tensor(1.5, requires_grad=True)
    section = trapezoid(depth, number(10.0), number(2.0))
    flow = manning(section.area, section.hydraulic_radius, number(0.001), number(0.035))
    # A = (10 + 2 * 1.5) 1.5, P = 10 + 2 * 1.5 sqrt(5).
    assert section.area.item() == pytest.approx(19.5)
    assert section.hydraulic_radius.item() == pytest.approx(19.5 / (10 + 3 * 5**0.5), rel=1e-12)
    assert flow.item() == pytest.approx(19.53003986, rel=1e-9)
    # Celerity dQ/dA by the product rule: v (5/3 - 2/3 R dP/dA), dP/dA = 2 sqrt(1 + z^2) / B.
    rise, width = (torch.autograd.grad(q, depth, retain_graph=True)[0] for q in (flow, section.area))
    assert (rise / width).item() == pytest.approx(1.451424525, rel=1e-9)
    assert width.item() == pytest.approx(section.top_width.item())


@pytest.mark.parametrize(
    ("discharge", "depth", "velocity"),
    [(1.0, 0.2887077278, 0.4604519867), (10.0, 0.8355969966, 0.9351400533), (100.0, 2.418440081, 1.899192412)],
)
def test_power_law_sections(discharge: float, depth: float, velocity: float) -> None:
    width, exponent, n, slope = map(number, (21.0, 0.5, 0.03, 0.001))
    area = number(discharge / velocity).requires_grad_()
    section = power_section(area, width, exponent)
    flow = manning(section.area, section.hydraulic_radius, slope, n)
    assert section.depth.item() == pytest.approx(depth, rel=1e-8)
    assert flow.item() == pytest.approx(discharge, rel=1e-8)
    # The area is that under the width over the depth.
    assert section.area.item() == pytest.approx(21.0 * depth**1.5 / 1.5, rel=1e-8)
    (slope_of,) = torch.autograd.grad(flow, area)
    assert power_celerity(flow, section, exponent).item() == pytest.approx(slope_of.item(), rel=1e-12)


def test_a_dry_section_has_finite_slopes() -> None:
    area = torch.zeros((), requires_grad=True)
    section = power_section(area, number(10.0), number(0.0))
    flow = manning(section.area, section.hydraulic_radius, number(0.01), number(0.03))
    (slope,) = torch.autograd.grad(flow, area)
    assert 0 < flow.item() < 1e-12
    assert slope.isfinite()
