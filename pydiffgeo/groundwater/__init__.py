"""Groundwater: what an aquifer exchanges water with, and what follows from its heads and flows.

Models are made by `pydiffgeo.models.Aquifer`.
"""

from ..processes.groundwater.conditions import (
    Condition,
    Drain,
    Evapotranspiration,
    GeneralHead,
    GivenHead,
    Recharge,
    River,
    Well,
)
from .budgets import budget, capture, drawdown
from .pilot_points import PilotPoints, pilot_points
from .steady_flow import steady

__all__ = [
    "Condition",
    "Drain",
    "Evapotranspiration",
    "GeneralHead",
    "GivenHead",
    "PilotPoints",
    "Recharge",
    "River",
    "Well",
    "budget",
    "capture",
    "drawdown",
    "pilot_points",
    "steady",
]
