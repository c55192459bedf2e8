"""Diffusion in two dimensions."""

from __future__ import annotations

from ..model import Model, Parameter, State, raster
from ..model.remember import remembered
from ..processes import solute


@remembered
def DiffusionRaster(n: int) -> Model:
    """2-D diffusion on the unit square with no flow across its edge (Fick's law)."""
    return Model(
        name="DiffusionRaster",
        graph=raster((n, n), (1 / n, 1 / n)),
        states=(State("c", "1", "concentration", default=0.0),),
        parameters=(Parameter("D", "m2 d-1", "diffusivity", 1.0, 0.0, open_low=True),),
        flux=lambda left, right, face: {"c": solute.diffusion(left, right, face)},
        reference="Crank 1975",
    )
