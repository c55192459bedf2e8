"""SNOW-17 (Anderson 1973) as continuous rates: ice, liquid water, heat deficit, temperature index and areal cover."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch

from ..checks import is_number, shown
from ..errors import ModelError
from ..model import ForcingVariable, IntegratedFlux, Model, Parameter, Place, State, Values, single_cell
from ..model.remember import remembered
from ..processes import temperature_index
from ..processes.smoothing import smooth_ramp
from ..processes.wet_snow import rain_share

SOURCE = "Anderson 2006, Snow Accumulation and Ablation Model: SNOW-17, NWS; Anderson 1973, NOAA Technical Memorandum NWS HYDRO-17"
_parameter = partial(Parameter, source="usual ranges of calibrations for the NWS")
# Days within which water leaves a ripe pack, and a store can be emptied: about the lag of the discrete model.
RELEASE = 0.1
# The largest water equivalent is followed within this time (d). New snow covers, and deficits end, over a millimetre and less.
FOLLOW, COVERING, COLD = 0.02, 1.0, 0.05
# New snow counts as such where old snow covers less than all but this share; deficits are at most a third of the ice.
PARTLY, COLDEST = 0.02, 0.33
# Stores that are just full or empty turn over so many millimetres.
TOUCH = 0.01
EVEN = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@remembered
def Snow17(depletion: Sequence[float] = EVEN, width: float = 1.0) -> Model:
    """The snow pack of SNOW-17 in millimetres and days, with `outflow` of melt and rain for a soil below.

    The discrete model's switches are rounded, and its lag of the outflow is a store of a tenth of a day. Forcings are
    `precipitation` (mm/d), air `temperature` (degC) and `day_of_year` (1 to 366).

    Args:
        depletion: share of the area under snow where the water equivalent is 0, 0.1, ..., 1 of its largest value.
        width: degrees around `PXTEMP` over which snow passes to rain; 0 is the threshold of the discrete model, to which
            `PXTEMP` has no gradient.

    Raises:
        ModelError: the curve has not eleven shares that rise, or `width` is negative.
    """
    curve = tuple(float(v) for v in depletion)
    if len(curve) != 11 or not all(0 <= a <= b <= 1 for a, b in pairwise(curve)):
        raise ModelError(
            f"Snow17: depletion must be eleven shares from 0 to 1 that do not fall, got {shown(depletion)}"
        )
    if not (is_number(width) and width >= 0):
        raise ModelError(f"Snow17: width must be degrees, 0 or more, got {shown(width)}")

    def source(cell: Place, forcing: Place) -> Values:
        return _source(cell, forcing, curve, float(width))

    return Model(
        name="Snow17",
        graph=single_cell(),
        states=(
            State("ice", "mm", "frozen water of the pack", default=0.0, low=0.0),
            State("liquid", "mm", "liquid water in the pack", default=0.0, low=0.0),
            State("heat_deficit", "mm", "water that must freeze before any leaves", default=0.0, low=0.0, stored=False),
            State("temperature_index", "degC", "of the pack below its surface", default=0.0, high=0.0, stored=False),
            State("largest", "mm", "largest water equivalent since snow began", default=0.0, low=0.0, stored=False),
            State("fresh", "mm", "new snow on a pack that covers a part", default=0.0, low=0.0, stored=False),
        ),
        parameters=(
            _parameter("SCF", "1", "correction of snowfall", 1.1, 0.0, typical=(0.7, 1.4)),
            _parameter(
                "MFMAX", "mm degC-1", "melt factor of six hours on 21 June", 1.0, 0.0, typical=(0.5, 2.0), open_low=True
            ),
            _parameter("MFMIN", "mm degC-1", "melt factor of six hours on 21 December", 0.3, 0.0, typical=(0.05, 0.6)),
            _parameter("UADJ", "mm hPa-1", "wind function of six hours of rain on snow", 0.1, 0.0, typical=(0.03, 0.2)),
            _parameter(
                "SI",
                "mm",
                "water equivalent from which all is covered",
                1000.0,
                0.0,
                typical=(10.0, 2000.0),
                open_low=True,
            ),
            _parameter("PXTEMP", "degC", "temperature of snowfall", 1.0, -20.0, 20.0, typical=(-1.0, 3.0)),
            _parameter(
                "NMF",
                "mm degC-1",
                "loss of heat in six hours at the largest melt factor",
                0.15,
                0.0,
                typical=(0.05, 0.3),
            ),
            _parameter(
                "TIPM",
                "1",
                "weight of the air's temperature of six hours in the index",
                0.1,
                0.0,
                1.0,
                typical=(0.05, 0.5),
                open_low=True,
                open_high=True,
            ),
            _parameter("MBASE", "degC", "temperature above which snow melts", 0.0, -20.0, 20.0, typical=(0.0, 1.0)),
            _parameter(
                "PLWHC", "1", "water that snow holds, as a share of the ice", 0.05, 0.0, 1.0, typical=(0.02, 0.3)
            ),
            _parameter("DAYGM", "mm d-1", "melt at the ground", 0.1, 0.0, typical=(0.0, 0.3)),
            _parameter("elevation", "m", "height above the sea", 500.0, -500.0, 9000.0, typical=(0.0, 4000.0)),
        ),
        forcings=(
            ForcingVariable("precipitation", "mm d-1", "precipitation", low=0.0),
            ForcingVariable("temperature", "degC", "air temperature", low=-100.0, high=100.0),
            ForcingVariable("day_of_year", "d", "day of the year, 1 January is 1", low=0.0, high=367.0),
        ),
        fluxes=(
            IntegratedFlux("precipitation", "mm", "rain and corrected snowfall", +1),
            IntegratedFlux("outflow", "mm", "water that leaves the pack, and rain beside it", -1),
            IntegratedFlux("snowmelt", "mm", "melt at the surface of the pack"),
        ),
        outputs=(),
        source=source,
        reference=SOURCE,
    )


def _source(cell: Place, forcing: Place, curve: tuple[float, ...], width: float) -> Values:
    ice, liquid, deficit, index = cell.ice, cell.liquid, cell.heat_deficit, cell.temperature_index
    largest, fresh, T, water = cell.largest, cell.fresh, forcing.temperature, cell.ice + cell.liquid
    share = rain_share(T, cell.PXTEMP, width)
    rain, snowfall = forcing.precipitation * share, cell.SCF * forcing.precipitation * (1.0 - share)
    factor = temperature_index.melt_factor(forcing.day_of_year, cell.MFMAX, cell.MFMIN)
    pressure = temperature_index.air_pressure(cell.elevation)
    possible = temperature_index.possible_melt(rain, T, factor, cell.MBASE, cell.UADJ, pressure)
    whole = torch.minimum(torch.clamp(largest, min=1e-3), cell.SI)
    cover = temperature_index.cover(ice, water, whole, fresh, curve, COVERING)
    melt = torch.minimum(possible * cover, ice / RELEASE)
    ground = torch.minimum(cell.DAYGM * cover, ice / RELEASE)
    entering = melt + rain * cover
    cold = torch.tanh(deficit / COLD)
    freezing = entering * cold
    draining = smooth_ramp(liquid - cell.PLWHC * ice, TOUCH) / RELEASE
    loss = (
        temperature_index.heat_loss(index, T, factor, cell.NMF, cell.MFMAX)
        + snowfall * torch.clamp(-T, min=0.0) / 160.0
    )
    limit = torch.clamp(COLDEST * ice - deficit, min=0.0) / RELEASE
    # What the pack warms up without melt ends with its deficit, and the index begins anew.
    deficit_rate = torch.minimum(torch.clamp(loss, min=0.0), limit) + torch.clamp(loss, max=0.0) * cold - freezing
    rate = -temperature_index.STEPS * torch.log(1.0 - cell.TIPM)
    index_rate = rate * (torch.clamp(T, max=0.0) - index) - index * (1.0 - cold) / RELEASE
    gone = 1.0 - torch.tanh(ice / COVERING)
    above = smooth_ramp(water - largest, TOUCH)
    old = torch.clamp((water - fresh) / torch.clamp(largest, min=1e-3), 0.0, 1.0)
    covering = snowfall * torch.clamp((1.0 - old) / PARTLY, 0.0, 1.0)
    worn = (melt + ground) * torch.tanh(fresh / COVERING) + fresh * (above / COVERING + gone) / RELEASE
    return {
        "ice": snowfall + freezing - melt - ground,
        "liquid": entering - freezing - draining,
        "heat_deficit": deficit_rate - deficit * gone / RELEASE,
        "temperature_index": index_rate,
        "largest": above / FOLLOW - largest * gone / RELEASE,
        "fresh": covering - worn,
        "precipitation": rain + snowfall,
        "outflow": draining + ground + rain * (1.0 - cover),
        "snowmelt": melt,
    }
