"""Are the gradients of a model right? `check_gradients` compares three ways of finding them."""

from .gradient_report import Derivative, GradientReport, GroupCheck, Run
from .gradients import check_gradients

__all__ = ["Derivative", "GradientReport", "GroupCheck", "Run", "check_gradients"]
