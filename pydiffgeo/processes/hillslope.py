"""What soil, groundwater and river of a hillslope exchange with each other; metres, days and MJ."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import Place, Values
from . import heat
from .groundwater.exchange import TURN
from .heat import WATER_CAPACITY, WATT
from .smoothing import smooth_maximum, smooth_ramp
from .soil.surface import FILM, PASSAGE

# Distance (m) over which the water table passes from below the base of the soil into it.
PASSING = 0.01


def recharge(left: Place, right: Place, face: Place) -> Values:
    """Flux from the last cell of a soil column down to the water table, negative where it rises (Buckingham 1907).

    The gradient is that between the middle of the cell and the table, at which the pressure head is zero; of a table above
    the `base` of the soil it is that at the base, where the head is known. The conductivity is that of the cell, so that water
    drains under a unit gradient to a table far below, and is at rest above one in equilibrium with it.
    """
    above, half = right.head - face.base, left.thickness / 2
    pressure, distance = smooth_ramp(above, PASSING), half + smooth_ramp(-above, PASSING)
    down = left.K * ((left.head - pressure) / distance + 1.0)
    # A dry aquifer has nothing to give.
    return {"theta->water": torch.where(down < 0, down * torch.clamp(right.saturation, min=0.0), down)}


def seepage(left: Place, right: Place, face: Place) -> Values:
    """Flow (m3/d) from the groundwater beside a reach into it, negative where the reach loses.

    Bed and half of the cell beside the river, of which only the saturated part conducts outwards, are in series. Below
    the bed the reach loses as through an unsaturated zone (Harbaugh 2005, USGS Techniques and Methods 6-A16, chapter 6).
    """
    bed = right.bed_leakance * right.width * right.length
    beside = left.K * left.thickness * face.banks / face.half
    out = (smooth_maximum(left.head, face.bed, TURN) - face.bed - right.depth) / (1.0 / bed + 1.0 / beside)
    return {"water->storage": torch.where(out > 0, out * torch.clamp(left.saturation, min=0.0), out)}


def surface_runoff(left: Place, right: Place, face: Place) -> Values:
    """All that stands on the soil in more than a film (m/d)."""
    return {"pond->storage": smooth_ramp(left.pond, FILM) / PASSAGE}


def recharge_heat(left: Place, right: Place, face: Place) -> Values:
    """Heat (MJ/m2/d) from the last cell of a soil column to groundwater: with the recharge, and conducted between their middles."""
    water = recharge(left, right, face)["theta->water"]
    near, far = left.thickness / 2, right.thickness / 2
    conductivity = (near + far) / (near / left.conductivity + far / (WATT * right.thermal_conductivity))
    return {"heat->heat": heat.fitted(left.temperature, right.temperature, conductivity, water, near + far)}


def seepage_heat(left: Place, right: Place, face: Place) -> Values:
    """Heat (MJ/d) with what seeps into a reach, as warm as the groundwater, or out of it, as warm as the river."""
    return {
        "heat->heat": heat.carried(seepage(left, right, face)["water->storage"], left.temperature, right.temperature)
    }


def runoff_heat(left: Place, right: Place, face: Place) -> Values:
    """Heat (MJ/m2/d) with what runs off, as warm as the surface."""
    return {"heat->heat": heat_of_runoff(left.pond, left.surface_temperature)}


def heat_of_runoff(pond: Tensor, temperature: Tensor) -> Tensor:
    """The same by the depth of ponded water (m)."""
    return WATER_CAPACITY * temperature * smooth_ramp(pond, FILM) / PASSAGE
