"""What data tell of what is sought."""

from .intrinsic_dimension import IntrinsicDimension, intrinsic_dimension
from .subspace import in_subspace, out_of_subspace

__all__ = ["IntrinsicDimension", "in_subspace", "intrinsic_dimension", "out_of_subspace"]
