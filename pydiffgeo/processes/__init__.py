"""Processes and relations, one to a file, in plain PyTorch: `models` are composed of them, and so are models of users."""

from . import evaporation, groundwater, heat, reservoir, smoothing, snow, soil, solute

__all__ = ["evaporation", "groundwater", "heat", "reservoir", "smoothing", "snow", "soil", "solute"]
