"""Chaotic flows to try methods on: pseudo-spectral, batched, differentiable, double precision, in plain PyTorch.

They are not the business of the stiff engines, and no model of this package uses them: assimilation, discovery of
missing terms and learned closures are tested on them because their statistics are published.
"""

from .eddy_viscosity import BOUND, DynamicSmagorinsky, InvariantNetwork, Leith, Smagorinsky, leith_scale
from .kuramoto_sivashinsky import KuramotoSivashinsky
from .quasi_geostrophic import QuasiGeostrophicChannel
from .turbulence import Closure, ForcedTurbulence
from .vorticity import Flow, Grid

__all__ = [
    "BOUND",
    "Closure",
    "DynamicSmagorinsky",
    "Flow",
    "ForcedTurbulence",
    "Grid",
    "InvariantNetwork",
    "KuramotoSivashinsky",
    "Leith",
    "QuasiGeostrophicChannel",
    "Smagorinsky",
    "leith_scale",
]
