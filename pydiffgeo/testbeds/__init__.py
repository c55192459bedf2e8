"""Chaotic flows to try methods on: pseudo-spectral, batched, differentiable, double precision, in plain PyTorch.

They are not the business of the stiff engines, and no model of this package uses them: assimilation, discovery of
missing terms and learned closures are tested on them because their statistics are published.
"""

from .kuramoto_sivashinsky import KuramotoSivashinsky
from .quasi_geostrophic import QuasiGeostrophicChannel

__all__ = ["KuramotoSivashinsky", "QuasiGeostrophicChannel"]
