"""Soil hydraulic closures: water retention and hydraulic conductivity, with elastic storage.

Every closure maps the volumetric water content `theta` to head and conductivity. Above the head
`h_c`, where the slope of the retention curve falls to the specific storage `S_s`, the curve goes on
as a straight line of slope `S_s`, so that `theta` stays a valid state in saturated soil and
d(head)/d(theta) never exceeds 1/S_s. `h_c` is zero or lies a tiny fraction of a millimetre below it
for usual soils.

Heads are negative in unsaturated soil. Lengths and times are in any consistent set of units; the
typical ranges are for metres and days.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from .model import Constraint, Parameter

THETA_R = Parameter("theta_r", "1", "residual water content", 0.078, 0.0, 1.0, open_high=True, typical=(0.0, 0.15),
                    source="Carsel and Parrish 1988, table 3 (loam)")  # fmt: skip
THETA_S = Parameter("theta_s", "1", "saturated water content", 0.43, 0.0, 1.0, open_low=True, typical=(0.3, 0.6),
                    source="Carsel and Parrish 1988, table 3 (loam)")  # fmt: skip
K_S = Parameter("K_s", "m d-1", "saturated hydraulic conductivity", 0.2496, 0.0, open_low=True,
                typical=(1e-3, 10.0), log=True, source="Carsel and Parrish 1988, table 3 (loam)")  # fmt: skip
S_S = Parameter("S_s", "m-1", "specific storage", 1e-4, 0.0, open_low=True, typical=(1e-6, 1e-3), log=True,
                source="Freeze and Cherry 1979")  # fmt: skip
ALPHA = Parameter("alpha", "m-1", "inverse of the air-entry head", 3.6, 0.0, open_low=True,
                  typical=(0.1, 20.0), log=True, source="Carsel and Parrish 1988, table 3 (loam)")  # fmt: skip
N = Parameter("n", "1", "pore-size distribution index", 1.56, 1.0, open_low=True, typical=(1.05, 5.0),
              source="Carsel and Parrish 1988, table 3 (loam)")  # fmt: skip

POROSITY = Constraint("theta_r < theta_s", ("theta_r", "theta_s"), lambda p: p.theta_r < p.theta_s)

# Effective saturation is kept above this, far drier than any soil, so that powers stay finite.
DRIEST = 1e-12
Soil = SimpleNamespace
Local = Callable[..., Any]


@dataclass(frozen=True)
class Closure:
    """A soil hydraulic closure.

    Attributes:
        parameters: what it needs, besides what the model itself declares.
        head_and_conductivity: `(theta, soil) -> (head, K)`, the form used inside the solver.
        water_content: `(head, soil) -> theta`, for initial and boundary heads.
        conductivity: `(head, soil) -> K`, for boundary heads.
    """

    name: str
    parameters: tuple[Parameter, ...]
    head_and_conductivity: Local
    water_content: Local
    conductivity: Local
    source: str


def _split(theta: Any, theta_c: Any, h_c: Any, soil: Soil, head: Any) -> Any:
    """`head` below `theta_c`, the elastic line above it."""
    return torch.where(theta < theta_c, head, h_c + (theta - theta_c) / soil.S_s)


def _join(h: Any, h_c: Any, theta_c: Any, soil: Soil, saturation: Any) -> Any:
    """Water content below `h_c` from the effective saturation, the elastic line above it."""
    unsaturated = soil.theta_r + (soil.theta_s - soil.theta_r) * saturation
    return torch.where(h < h_c, unsaturated, theta_c + soil.S_s * (h - h_c))


# --- van Genuchten 1980, eqs 3, 8 and 21 (Mualem 1976 conductivity) -------------------------------


def _vg_join(soil: Soil) -> tuple[Any, Any, Any]:
    """Where C(h) = S_s: (alpha |h_c|)^n, effective saturation and head there.

    Near saturation C = (theta_s - theta_r) (n - 1) alpha (alpha |h|)^(n - 1) to leading order.
    """
    slope = soil.S_s / ((soil.theta_s - soil.theta_r) * (soil.n - 1) * soil.alpha)
    # The floor keeps 1 - x clear of round-off for n close to 1, where h_c underflows; the ceiling
    # keeps the leading order good where S_s is unusually large.
    power = torch.clamp(slope ** (soil.n / (soil.n - 1)), 1e-13, 1e-2)
    return power, (1 + power) ** (1 / soil.n - 1), -(power ** (1 / soil.n)) / soil.alpha


def _vg_head_and_conductivity(theta: Any, soil: Soil) -> tuple[Any, Any]:
    _, se_c, h_c = _vg_join(soil)
    m = 1 - 1 / soil.n
    theta_c = soil.theta_r + (soil.theta_s - soil.theta_r) * se_c
    se = torch.minimum(torch.clamp((theta - soil.theta_r) / (soil.theta_s - soil.theta_r), min=DRIEST), se_c)
    x = se ** (1 / m)
    y = (1 - x) ** m
    # (1/x - 1)^(1/n) written with the powers at hand: x^(-1/n) = se / x, (1 - x)^(1/n) = (1 - x)/y.
    head = -(1 - x) / y * se / x / soil.alpha
    conductivity = soil.K_s * torch.sqrt(se) * (1 - y) ** 2
    return _split(theta, theta_c, h_c, soil, head), conductivity


def _vg_water_content(h: Any, soil: Soil) -> Any:
    _, se_c, h_c = _vg_join(soil)
    suction = torch.clamp(-h, min=0.0) * soil.alpha
    se = (1 + torch.where(h < h_c, suction, -h_c * soil.alpha) ** soil.n) ** (1 / soil.n - 1)
    return _join(h, h_c, soil.theta_r + (soil.theta_s - soil.theta_r) * se_c, soil, se)


def _vg_conductivity(h: Any, soil: Soil) -> Any:
    return _vg_head_and_conductivity(_vg_water_content(h, soil), soil)[1]


VAN_GENUCHTEN = Closure(
    "van_genuchten",
    (THETA_R, THETA_S, ALPHA, N, K_S, S_S),
    _vg_head_and_conductivity,
    _vg_water_content,
    _vg_conductivity,
    "van Genuchten 1980, Soil Sci. Soc. Am. J. 44, eqs 3, 8, 21; Mualem 1976, Water Resour. Res. 12",
)


# --- Gardner 1958: exponential conductivity and retention ----------------------------------------


def _gardner_head_and_conductivity(theta: Any, soil: Soil) -> tuple[Any, Any]:
    se = torch.clamp((theta - soil.theta_r) / (soil.theta_s - soil.theta_r), DRIEST, 1.0)
    return _split(theta, soil.theta_s, 0.0, soil, torch.log(se) / soil.alpha), soil.K_s * se


def _gardner_water_content(h: Any, soil: Soil) -> Any:
    return _join(h, 0.0, soil.theta_s, soil, torch.exp(soil.alpha * torch.clamp(h, max=0.0)))


def _gardner_conductivity(h: Any, soil: Soil) -> Any:
    return soil.K_s * torch.exp(soil.alpha * torch.clamp(h, max=0.0))


GARDNER = Closure(
    "gardner",
    (THETA_R, THETA_S, ALPHA, K_S, S_S),
    _gardner_head_and_conductivity,
    _gardner_water_content,
    _gardner_conductivity,
    "Gardner 1958, Soil Sci. 85; with the retention of Srivastava and Yeh 1991, Water Resour. Res. 27, eq 2",
)


# --- Haverkamp et al. 1977 -----------------------------------------------------------------------

HAVERKAMP_PARAMETERS = (
    THETA_R,
    THETA_S,
    Parameter("A_theta", "m^B_theta", "retention coefficient", None, 0.0, open_low=True, log=True),
    Parameter("B_theta", "1", "retention exponent", None, 1.0, open_low=True, typical=(1.5, 8.0)),
    Parameter("A_K", "m^B_K", "conductivity coefficient", None, 0.0, open_low=True, log=True),
    Parameter("B_K", "1", "conductivity exponent", None, 1.0, open_low=True, typical=(1.5, 8.0)),
    K_S,
    S_S,
)


def _haverkamp_join(soil: Soil) -> tuple[Any, Any]:
    """Suction where C(h) = S_s, with C = (theta_s - theta_r) B |h|^(B - 1) / A to leading order."""
    slope = soil.S_s * soil.A_theta / ((soil.theta_s - soil.theta_r) * soil.B_theta)
    suction = torch.clamp(slope ** (1 / (soil.B_theta - 1)), min=1e-9)
    se_c = soil.A_theta / (soil.A_theta + suction**soil.B_theta)
    return suction, soil.theta_r + (soil.theta_s - soil.theta_r) * se_c


def _haverkamp_head_and_conductivity(theta: Any, soil: Soil) -> tuple[Any, Any]:
    suction_c, theta_c = _haverkamp_join(soil)
    inside = torch.minimum(theta, theta_c)
    se = torch.clamp((inside - soil.theta_r) / (soil.theta_s - soil.theta_r), min=DRIEST)
    suction = (soil.A_theta * (1 - se) / se) ** (1 / soil.B_theta)
    head = _split(theta, theta_c, -suction_c, soil, -suction)
    return head, _haverkamp_conductivity(head, soil)


def _haverkamp_water_content(h: Any, soil: Soil) -> Any:
    suction_c, theta_c = _haverkamp_join(soil)
    suction = torch.maximum(-h, suction_c)
    return _join(h, -suction_c, theta_c, soil, soil.A_theta / (soil.A_theta + suction**soil.B_theta))


def _haverkamp_conductivity(h: Any, soil: Soil) -> Any:
    # The floor keeps the slope of the power finite at and above saturation.
    return soil.K_s * soil.A_K / (soil.A_K + torch.clamp(-h, min=1e-12) ** soil.B_K)


HAVERKAMP = Closure(
    "haverkamp",
    HAVERKAMP_PARAMETERS,
    _haverkamp_head_and_conductivity,
    _haverkamp_water_content,
    _haverkamp_conductivity,
    "Haverkamp et al. 1977, Soil Sci. Soc. Am. J. 41, eqs 13 and 14",
)

CLOSURES = {c.name: c for c in (VAN_GENUCHTEN, GARDNER, HAVERKAMP)}


def smooth_minimum(a: Any, b: Any, width: float) -> Any:
    """The lesser of `a` and `b`, rounded over differences of about `width`; never above either.

    Rounding leaves solvers and adjoints a continuous slope where a limit begins to act.
    """
    return 0.5 * (a + b - torch.sqrt((a - b) ** 2 + width**2))


def smooth_maximum(a: Any, b: Any, width: float) -> Any:
    """The greater of `a` and `b`, rounded like `smooth_minimum`."""
    return 0.5 * (a + b + torch.sqrt((a - b) ** 2 + width**2))
