"""What instruments would have seen of a solution: at their times and depths, over their windows.

All functions are differentiable with respect to what was solved for, and keep the batch as leading
dimensions. They are linear in the solution, so the gradients of gaps and of failed members are zero.
"""

from .observation import Observation, misfit
from .operators import SAME, check_windows, depth_weights, flux_means, flux_sums, heads, values_at

__all__ = [
    "SAME",
    "Observation",
    "check_windows",
    "depth_weights",
    "flux_means",
    "flux_sums",
    "heads",
    "misfit",
    "values_at",
]
