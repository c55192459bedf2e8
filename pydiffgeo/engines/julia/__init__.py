"""The Julia engine: SciML's stiff solvers and adjoints."""

from .engine import JuliaEngine

__all__ = ["JuliaEngine"]
