"""Heat in soil: conduction (Fourier's law; Carslaw and Jaeger 1959), and what flowing water carries."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import Place
from . import solute

# Heat that a cubic metre of water holds per degree (MJ/m3/K), and one W/m/K in MJ/m/d/K.
WATER_CAPACITY = 4.18
WATT = 0.0864


def conduction(left: Place, right: Place, face: Place) -> Tensor:
    """Heat (MJ/m2/d) from the left cell to the right one: two half cells in series, so that their mean is harmonic."""
    conductivity = 2 / (1 / left.conductivity + 1 / right.conductivity)
    return conductivity * (left.temperature - right.temperature) / face.distance


def conduction_from(temperature: Tensor, cell: Place, face: Place) -> Tensor:
    """Heat (MJ/m2/d) into a cell from a side that is held at a temperature (degC), `face.distance` from its middle."""
    return cell.conductivity * (temperature - cell.temperature) / face.distance


def carried(water: Tensor, behind: Tensor, ahead: Tensor) -> Tensor:
    """Heat (MJ/m2/d) with a flux of water (m/d): at the temperature (degC) that it comes from, behind or ahead.

    With the very flux that moves the water no heat is made: water of one temperature stays at it.
    """
    return WATER_CAPACITY * (torch.clamp(water, min=0.0) * behind + torch.clamp(water, max=0.0) * ahead)


def fitted(behind: Tensor, ahead: Tensor, conductivity: Tensor, water: Tensor, distance: Tensor) -> Tensor:
    """Heat (MJ/m2/d) conducted and carried from behind ahead, exact where the profile between is steady.

    As `solute.fitted`: Bredehoeft and Papadopulos 1965, Water Resour. Res. 1, between two points.
    """
    return solute.fitted(behind, ahead, WATER_CAPACITY * water, conductivity, distance)


# --- Thermal properties of soil: Johansen 1975, as given by Farouki 1981, CRREL Monograph 81-1, section 7.11 --------
# Conductivities of quartz, other minerals, water and ice (W/m/K); a soil with less than a fifth of quartz has others.
QUARTZ, OTHER, OTHER_COARSE, WATER, ICE = 7.7, 2.0, 3.0, 0.57, 2.2
GRAINS = 2700.0  # density of grains (kg/m3)
# Volumetric heat capacity of minerals (MJ/m3/K; de Vries 1963).
MINERAL_CAPACITY = 2.0


def dry_conductivity(porosity: Tensor) -> Tensor:
    """Of dry soil (W/m/K), by its bulk density."""
    density = GRAINS * (1.0 - porosity)
    return (0.135 * density + 64.7) / (GRAINS - 0.947 * density)


def saturated_conductivity(porosity: Tensor, quartz: Tensor, liquid: Tensor | float = 1.0) -> Tensor:
    """Of saturated soil (W/m/K), by the share of quartz in its grains, and the share of its water that is liquid."""
    other = torch.where(quartz > 0.2, OTHER + 0.0 * quartz, OTHER_COARSE + 0.0 * quartz)
    grains = QUARTZ**quartz * other ** (1.0 - quartz)
    return grains ** (1.0 - porosity) * WATER ** (porosity * liquid) * ICE ** (porosity * (1.0 - liquid))


def johansen(saturation: Tensor, porosity: Tensor, quartz: Tensor) -> Tensor:
    """Conductivity (W/m/K) of unfrozen fine soil: between dry and saturated by Kersten's number, log10(saturation) + 1."""
    kersten = torch.log10(torch.clamp(saturation, min=0.1)) + 1.0
    dry = dry_conductivity(porosity)
    return dry + (saturated_conductivity(porosity, quartz) - dry) * kersten


def soil_capacity(water_content: Tensor, porosity: Tensor) -> Tensor:
    """Heat capacity (MJ/m3/K) of grains and water (de Vries 1963)."""
    return MINERAL_CAPACITY * (1.0 - porosity) + WATER_CAPACITY * water_content
