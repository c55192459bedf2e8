"""Are the gradients of a model right? `check_gradients` compares three ways of finding them."""

from .gradients import check_gradients
from .report import Derivative, GradientReport, GroupCheck, Run

__all__ = ["Derivative", "GradientReport", "GroupCheck", "Run", "check_gradients"]
