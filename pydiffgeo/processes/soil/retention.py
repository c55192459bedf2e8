"""Soil hydraulic closures: water retention and hydraulic conductivity, with elastic storage.

Every closure maps the volumetric water content `theta` to head and conductivity, so that `theta`
stays the state in saturated soil as well. The curves are the published ones up to an effective
saturation of `1 - NEAR`; that is a suction of one or two millimetres in most soils. Beyond it the
head goes on as a straight line, which the elastic storage `S_s` (slope 1/S_s above saturation) joins
with a rounded corner, and the Mualem conductivity, whose slope is infinite at saturation (Vogel et
al. 2001, Adv. Water Resour. 24), as a cubic to `K_s`. Heads are then continuously differentiable,
their slope never exceeds about 1/S_s, and Newton's method has no infinite slope to meet.

Heads are negative in unsaturated soil. Lengths and times are in any consistent set of units; the
typical ranges are for metres and days.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ...copies import Made
from ...model import Constraint, Parameter, Place
from ..smoothing import smooth_ramp

LOAM = "Carsel and Parrish 1988, table 3 (loam)"


def _positive(
    name: str,
    unit: str,
    description: str,
    default: float | None,
    typical: tuple[float, float] | None = None,
    source: str = "",
    *,
    low: float = 0.0,
    log: bool = False,
) -> Parameter:
    """A parameter above `low`, without an upper bound."""
    return Parameter(name, unit, description, default, low, open_low=True, typical=typical, log=log, source=source)


THETA_R = Parameter(
    "theta_r", "1", "residual water content", 0.078, 0.0, 1.0, open_high=True, typical=(0.0, 0.15), source=LOAM
)
THETA_S = Parameter(
    "theta_s", "1", "saturated water content", 0.43, 0.0, 1.0, open_low=True, typical=(0.3, 0.6), source=LOAM
)
K_S = _positive("K_s", "m d-1", "saturated hydraulic conductivity", 0.2496, (1e-3, 10.0), LOAM, log=True)
S_S = _positive("S_s", "m-1", "specific storage", 1e-4, (1e-6, 1e-3), "Freeze and Cherry 1979", log=True)
ALPHA = _positive("alpha", "m-1", "inverse of the air-entry head", 3.6, (0.1, 20.0), LOAM, log=True)
N = _positive("n", "1", "pore-size distribution index", 1.56, (1.05, 5.0), LOAM, low=1.0)

POROSITY = Constraint("theta_r < theta_s", ("theta_r", "theta_s"), lambda p: p.theta_r < p.theta_s)

# Below this effective saturation, far drier than any soil, curves go on as straight lines. Heads keep falling:
# held constant, they would leave a cell that errors of a solver took below the residual water content there.
DRIEST = 1e-12
# Width, in effective saturation, of the range below saturation in which the curves are extended.
NEAR = 1e-4
# Width, in water content, of the corner where elastic storage begins.
CORNER = 1e-5


@dataclass(frozen=True)
class Closure(Made):
    """A soil hydraulic closure.

    Attributes:
        parameters: what it needs, besides what the model itself declares.
        head_and_conductivity: `(theta, soil) -> (head, K)`, the form used inside the solver.
        water_content: `(head, soil) -> theta`, for initial and boundary heads.
        conductivity: `(head, soil) -> K`, for boundary heads.
    """

    name: str
    parameters: tuple[Parameter, ...]
    head_and_conductivity: Callable[[Tensor, Place], tuple[Tensor, Tensor]]
    water_content: Callable[[Tensor, Place], Tensor]
    conductivity: Callable[[Tensor, Place], Tensor]
    source: str

    def _functions(self) -> dict[str, Callable[..., object]]:
        kinds = ("head_and_conductivity", "water_content", "conductivity")
        return {f"its function {k!r}": getattr(self, k) for k in kinds}


def _conductivity(
    head_and_conductivity: Callable[[Tensor, Place], tuple[Tensor, Tensor]],
    water_content: Callable[[Tensor, Place], Tensor],
    h: Tensor,
    soil: Place,
) -> Tensor:
    """Conductivity at a head, where it has no closed form."""
    return head_and_conductivity(water_content(h, soil), soil)[1]


def _saturation(theta: Tensor, soil: Place) -> tuple[Tensor, Tensor]:
    """Effective saturation, and the same held between `DRIEST` and `1 - NEAR`."""
    se = (theta - soil.theta_r) / (soil.theta_s - soil.theta_r)
    return se, torch.clamp(se, DRIEST, 1 - NEAR)


def _extend_head(theta: Tensor, head: Tensor, slope: Tensor, soil: Place) -> Tensor:
    """Head on both sides of the published curve: `head` and its `slope` at the saturation held inside of it.

    The slope is d(head)/d(saturation); elastic storage comes in above saturation.
    """
    se, inside = _saturation(theta, soil)
    return head + slope * (se - inside) + smooth_ramp(theta - soil.theta_s, CORNER) / soil.S_s


def _extend_water_content(
    h: Tensor, curve: Callable[[float], tuple[Tensor, Tensor]], saturation: Callable[[Tensor], Tensor], soil: Place
) -> Tensor:
    """Inverse of the head: the published curve, extended on both sides.

    `curve` gives head and slope at a saturation, `saturation` that at a suction.
    """
    (h_0, slope_0), (h_1, slope) = curve(DRIEST), curve(1 - NEAR)
    # Held at the head near saturation so that powers keep a finite slope where they are not used.
    se = torch.where(h < h_0, DRIEST + (h - h_0) / slope_0, saturation(torch.maximum(-h, -h_1)))
    a = slope / (soil.theta_s - soil.theta_r)
    above = h - h_1 - slope * NEAR  # what the head exceeds its value at theta_s by
    positive = torch.clamp(above, min=0.0)
    # a x + x^2 / (2 CORNER S_s) = above in the rounded corner, a straight line after it.
    corner = 2 * positive / (a + torch.sqrt(a**2 + 2 * positive / (CORNER * soil.S_s)))
    line = (above + CORNER / (2 * soil.S_s)) / (a + 1 / soil.S_s)
    excess = torch.where(above < 0.0, above / a, torch.clamp(corner, max=CORNER) + torch.clamp(line - CORNER, min=0.0))
    return torch.where(h < h_1, soil.theta_r + (soil.theta_s - soil.theta_r) * se, soil.theta_s + excess)


# --- van Genuchten 1980, eqs 3, 8 and 21 (Mualem 1976 conductivity) -------------------------------


def _vg_curves(inside: Tensor, soil: Place) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Head, its slope, relative conductivity and its slope at the effective saturation `inside`."""
    m = 1 - 1 / soil.n
    # For n near one the power of the driest saturation is below the smallest number, or its square is.
    x = torch.clamp(inside ** (1 / m), min=1e-100)
    y = (1 - x) ** m
    # (1/x - 1)^(1/n) written with the powers at hand: x^(-1/n) = se / x, (1 - x)^(1/n) = (1 - x)/y.
    head = -(1 - x) * inside / (y * x * soil.alpha)
    head_slope = -head / ((soil.n - 1) * (1 - x) * inside)
    root = torch.sqrt(inside)
    relative = root * (1 - y) ** 2
    relative_slope = (0.5 * relative + 2 * root * (1 - y) * y * x / (1 - x)) / inside
    return head, head_slope, relative, relative_slope


def _vg_head_and_conductivity(theta: Tensor, soil: Place) -> tuple[Tensor, Tensor]:
    se, inside = _saturation(theta, soil)
    head, head_slope, relative, relative_slope = _vg_curves(inside, soil)
    near = torch.clamp((se - (1 - NEAR)) / NEAR, 0.0, 1.0)
    cubic = relative_slope * NEAR * near * (1 - near) ** 2 + (1 - relative) * near**2 * (3 - 2 * near)
    return _extend_head(theta, head, head_slope, soil), soil.K_s * (relative + cubic)


def _vg_water_content(h: Tensor, soil: Place) -> Tensor:
    def curve(saturation: float) -> tuple[Tensor, Tensor]:
        return _vg_curves(soil.theta_r * 0 + saturation, soil)[:2]

    return _extend_water_content(
        h, curve, lambda suction: (1 + (soil.alpha * suction) ** soil.n) ** (1 / soil.n - 1), soil
    )


VAN_GENUCHTEN = Closure(
    "van_genuchten",
    (THETA_R, THETA_S, ALPHA, N, K_S, S_S),
    _vg_head_and_conductivity,
    _vg_water_content,
    partial(_conductivity, _vg_head_and_conductivity, _vg_water_content),
    "van Genuchten 1980, Soil Sci. Soc. Am. J. 44, eqs 3, 8, 21; Mualem 1976, Water Resour. Res. 12",
)


# --- Gardner 1958: exponential conductivity and retention ----------------------------------------


def _gardner_head_and_conductivity(theta: Tensor, soil: Place) -> tuple[Tensor, Tensor]:
    se, inside = _saturation(theta, soil)
    head = torch.log(inside) / soil.alpha
    return _extend_head(theta, head, 1 / (soil.alpha * inside), soil), soil.K_s * torch.clamp(se, DRIEST, 1.0)


def _gardner_water_content(h: Tensor, soil: Place) -> Tensor:
    def curve(saturation: float) -> tuple[Tensor, Tensor]:
        return math.log(saturation) / soil.alpha, 1 / (soil.alpha * saturation)

    return _extend_water_content(h, curve, lambda suction: torch.exp(-soil.alpha * suction), soil)


def _gardner_conductivity(h: Tensor, soil: Place) -> Tensor:
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
    _positive("A_theta", "m^B_theta", "retention coefficient", None, log=True),
    _positive("B_theta", "1", "retention exponent", None, (1.5, 8.0), low=1.0),
    _positive("A_K", "m^B_K", "conductivity coefficient", None, log=True),
    _positive("B_K", "1", "conductivity exponent", None, (1.5, 8.0), low=1.0),
    K_S,
    S_S,
)


def _haverkamp_curve(inside: Tensor | float, soil: Place) -> tuple[Tensor, Tensor]:
    """Head and its slope at the effective saturation `inside`."""
    suction = (soil.A_theta * (1 - inside) / inside) ** (1 / soil.B_theta)
    return -suction, suction / (soil.B_theta * inside * (1 - inside))


def _haverkamp_head_and_conductivity(theta: Tensor, soil: Place) -> tuple[Tensor, Tensor]:
    head = _extend_head(theta, *_haverkamp_curve(_saturation(theta, soil)[1], soil), soil)
    return head, _haverkamp_conductivity(head, soil)


def _haverkamp_water_content(h: Tensor, soil: Place) -> Tensor:
    def curve(saturation: float) -> tuple[Tensor, Tensor]:
        return _haverkamp_curve(saturation, soil)

    return _extend_water_content(h, curve, lambda suction: soil.A_theta / (soil.A_theta + suction**soil.B_theta), soil)


def _haverkamp_conductivity(h: Tensor, soil: Place) -> Tensor:
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

# --- Brooks and Corey 1964 -----------------------------------------------------------------------
# Between the air-entry head and zero the soil is saturated: water goes on being stored elastically there.

LAMBDA = _positive("lambda_", "1", "pore-size distribution index", 0.22, (0.05, 3.0), "Rawls et al. 1982 (loam)")


def _brooks_corey_curve(inside: Tensor, soil: Place) -> tuple[Tensor, Tensor]:
    """Head and its slope at the effective saturation `inside`."""
    # For a small index the power of the driest saturation is beyond all numbers.
    head = -torch.clamp(inside ** (-1 / soil.lambda_), max=1e100) / soil.alpha
    return head, -head / (soil.lambda_ * inside)


def _brooks_corey_head_and_conductivity(theta: Tensor, soil: Place) -> tuple[Tensor, Tensor]:
    inside = _saturation(theta, soil)[1]
    head = _extend_head(theta, *_brooks_corey_curve(inside, soil), soil)
    # Burdine's theory: Se^(3 + 2/lambda), eq 12 of Brooks and Corey.
    se = (theta - soil.theta_r) / (soil.theta_s - soil.theta_r)
    return head, soil.K_s * torch.clamp(se, DRIEST, 1.0) ** (3 + 2 / soil.lambda_)


def _brooks_corey_water_content(h: Tensor, soil: Place) -> Tensor:
    def curve(saturation: float) -> tuple[Tensor, Tensor]:
        return _brooks_corey_curve(soil.theta_r * 0 + saturation, soil)

    return _extend_water_content(h, curve, lambda suction: (soil.alpha * suction) ** -soil.lambda_, soil)


BROOKS_COREY = Closure(
    "brooks_corey",
    (THETA_R, THETA_S, ALPHA, LAMBDA, K_S, S_S),
    _brooks_corey_head_and_conductivity,
    _brooks_corey_water_content,
    partial(_conductivity, _brooks_corey_head_and_conductivity, _brooks_corey_water_content),
    "Brooks and Corey 1964, Hydrology Paper 3, Colorado State University (Burdine 1953 conductivity)",
)

CLOSURES = {c.name: c for c in (VAN_GENUCHTEN, GARDNER, HAVERKAMP, BROOKS_COREY)}
