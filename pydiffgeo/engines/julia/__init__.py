"""The Julia engine: SciML's stiff solvers and adjoints."""

from .engine import FALLBACKS, JuliaEngine

__all__ = ["FALLBACKS", "JuliaEngine"]
