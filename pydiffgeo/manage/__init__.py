"""Decisions under models that may be wrong: policies on a grid of states, their value, crashes, and the cost of caution.

grid = torch.linspace(0, 15, 50, dtype=torch.float64)
rows = dg.manage.cell_probabilities(torch.distributions.LogNormal(growth(escapement).log(), 0.05), grid)
policy = dg.manage.DecisionProblem(grid, grid, rows, reward, discount=0.99).solve()
outcome = dg.manage.follow(policy, step, start=10.0, steps=50, runs=1000, crashed=lambda stock: stock < 1)
"""

from .decision_problem import DecisionProblem, Policy
from .following import Outcome, follow
from .gaussian_process import GaussianProcess
from .tipping_points import FixedPoint, fixed_points
from .transitions import cell_probabilities, from_draws

__all__ = [
    "DecisionProblem",
    "FixedPoint",
    "GaussianProcess",
    "Outcome",
    "Policy",
    "cell_probabilities",
    "fixed_points",
    "follow",
    "from_draws",
]
