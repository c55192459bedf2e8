"""Flow into a cell of an aquifer from what lies outside, by its head (m3/d; m and d stand for any units).

Laws and names are those of MODFLOW (Harbaugh 2005, USGS Techniques and Methods 6-A16; Langevin et al. 2017, 6-A55), with
slopes that turn over a short way instead of at a point.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..smoothing import smooth_clip, smooth_maximum, smooth_ramp

# Width (in the unit of length) over which the flow of rivers and drains turns at their beds.
TURN = 1e-3
# The same of evapotranspiration, as a share of its extinction depth.
BEND = 1e-3


def general_head(head: Tensor, outside: Tensor, conductance: Tensor) -> Tensor:
    """Flow from water at the head `outside` through a conductance (m2/d)."""
    return conductance * (outside - head)


def river(head: Tensor, stage: Tensor, conductance: Tensor, bed: Tensor) -> Tensor:
    """Flow through a river bed; where the head is below it, the river loses as much as through an unsaturated zone."""
    return conductance * (stage - smooth_maximum(head, bed, TURN))


def drain(head: Tensor, conductance: Tensor, elevation: Tensor) -> Tensor:
    """Flow (negative) to a drain, of heads above its elevation."""
    return -conductance * smooth_ramp(head - elevation + TURN / 2, TURN)


def evapotranspiration(
    head: Tensor, rate: Tensor, surface: Tensor, depth: Tensor, segments: Sequence[tuple[float, float]] = ()
) -> Tensor:
    """Evapotranspiration (m/d) that falls from `rate` at the surface to zero at the extinction `depth` below it.

    `segments` are points on the way, as shares of depth and of rate; straight lines join them (Banta 2000, USGS OFR 00-466).
    """
    below = (surface - head) / depth
    points = [(0.0, 1.0), *segments, (1.0, 0.0)]
    lost = 0.0 * below
    # Not `pairwise`, whose results are others at each call as far as tracing can tell.
    for k in range(len(points) - 1):
        (from_depth, before), (to_depth, after) = points[k], points[k + 1]
        steep = (before - after) / (to_depth - from_depth)
        lost = lost + steep * smooth_clip(below - from_depth, to_depth - from_depth, BEND)
    return rate * (1 - lost)
