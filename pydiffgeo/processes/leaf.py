"""A leaf of a C3 plant: photosynthesis after Farquhar, stomata after Medlyn, and both together.

Fluxes are in umol/m2/s, concentrations of CO2 in umol/mol, of oxygen in mmol/mol, conductances in mol/m2/s, energies in
J/mol. Farquhar et al. 1980, Planta 149; constants at 25 degC and activation energies are those of the land models CLM5 and
FATES (technical note of CLM5, chapter "Stomatal Resistance and Photosynthesis").
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..engines.ir.implicit import implicit

R, T_25, ZERO = 8.3144598, 298.15, 273.15
OXYGEN = 210.0
# Share of the light that leaves take in and use in one of two photosystems.
LEAF_ABSORPTION, PHOTOSYSTEM = 0.85, 0.85 / 2
CURVATURE_J = 0.7  # of electron transport with light
CURVATURE = 0.98  # of assimilation between both limits
RESPIRATION = 0.015  # by the carboxylation capacity, at 25 degC
WATER_BY_CO2 = 1.6  # ratio of diffusivities in air
# Assimilation (umol/m2/s) over which stomata begin to open; at ten its rounding adds 2e-6 of it.
OPENING = 1e-2
# Deficit (kPa) of vapour below which stomata are no wider.
MOIST = 0.05


class Capacity(NamedTuple):
    """Carboxylation `V`, electron transport `J`, respiration `R_d`, compensation point `G`, and `K_m`, all at leaf temperature."""

    V: Tensor
    J: Tensor
    R_d: Tensor
    G: Tensor
    K_m: Tensor


class Exchange(NamedTuple):
    """CO2 inside the leaf, net assimilation, and stomatal conductance to water vapour."""

    C_i: Tensor
    assimilation: Tensor
    conductance: Tensor


def arrhenius(temperature: Tensor, activation: float) -> Tensor:
    """Factor on a rate, 1 at 25 degC."""
    return torch.exp(activation / (R * T_25) * (1.0 - T_25 / (temperature + ZERO)))


def peaked(temperature: Tensor, activation: float, deactivation: float, entropy: float) -> Tensor:
    """The same for a rate that heat undoes (Medlyn et al. 2002, Plant Cell Environ. 25, eq 17)."""
    kelvin = temperature + ZERO
    at_25 = 1.0 + torch.exp((entropy * T_25 - deactivation) / (R * T_25) + 0.0 * kelvin)
    return (
        arrhenius(temperature, activation) * at_25 / (1.0 + torch.exp((entropy * kelvin - deactivation) / (R * kelvin)))
    )


def _lesser(a: Tensor, b: Tensor, curvature: float) -> Tensor:
    """The lesser root of curvature x^2 - (a + b) x + a b = 0: the lesser of both, rounded."""
    return 2.0 * a * b / (a + b + torch.sqrt((a + b) ** 2 - 4.0 * curvature * a * b))


def capacity(temperature: Tensor, light: Tensor, V_25: Tensor, J_25: Tensor) -> Capacity:
    """Of a leaf at a temperature (degC) in photosynthetic light (umol/m2/s)."""
    J_max = J_25 * peaked(temperature, 43540.0, 152040.0, 495.0)
    K_c, K_o = 404.9 * arrhenius(temperature, 79430.0), 278.4 * arrhenius(temperature, 36380.0)
    return Capacity(
        V_25 * peaked(temperature, 65330.0, 149250.0, 485.0),
        _lesser(LEAF_ABSORPTION * PHOTOSYSTEM * light, J_max, CURVATURE_J),
        # Bernacchi et al. 2001, Plant Cell Environ. 24; land models let heat reduce respiration as well.
        RESPIRATION * V_25 * arrhenius(temperature, 46390.0),
        42.75 * arrhenius(temperature, 37830.0),
        K_c * (1.0 + OXYGEN / K_o),
    )


def gross(C_i: Tensor, leaf: Capacity) -> Tensor:
    """Assimilation before respiration: the lesser of what Rubisco and light allow (Farquhar et al. 1980, Planta 149)."""
    by_rubisco, by_light = leaf.V / (C_i + leaf.K_m), leaf.J / (4.0 * C_i + 8.0 * leaf.G)
    return (C_i - leaf.G) * _lesser(by_rubisco, by_light, CURVATURE)


def stomata(
    assimilation: Tensor, C_a: Tensor, deficit: Tensor, g_0: Tensor, g_1: Tensor, turgor: Tensor | float = 1.0
) -> Tensor:
    """Conductance (Medlyn et al. 2011, Glob. Change Biol. 17, eq 11), `deficit` in kPa and `g_1` in kPa^0.5; `g_0` at night.

    `turgor` is the share to which leaves that lack water open, see `plant_water.turgor`.
    """
    open_ = 0.5 * (assimilation + torch.sqrt(assimilation**2 + OPENING**2))
    return g_0 + WATER_BY_CO2 * turgor * (1.0 + g_1 / torch.sqrt(torch.clamp(deficit, min=MOIST))) * open_ / C_a


def exchange(
    leaf: Capacity, C_a: Tensor, deficit: Tensor, g_0: Tensor, g_1: Tensor, turgor: Tensor | float = 1.0
) -> Exchange:
    """Both at once: the CO2 inside at which as much diffuses in as is assimilated, between its compensation point and night."""

    def residual(C_i: Tensor) -> Tensor:
        assimilation = gross(C_i, leaf) - leaf.R_d
        return (C_a - C_i) * stomata(assimilation, C_a, deficit, g_0, g_1, turgor) - WATER_BY_CO2 * assimilation

    highest = C_a + WATER_BY_CO2 * leaf.R_d / g_0 + 1.0
    guess = C_a * g_1 / (g_1 + torch.sqrt(torch.clamp(deficit, min=MOIST)))
    C_i = implicit(residual, guess, between=(leaf.G, highest), iterations=12)
    assimilation = gross(C_i, leaf) - leaf.R_d
    return Exchange(C_i, assimilation, stomata(assimilation, C_a, deficit, g_0, g_1, turgor))
