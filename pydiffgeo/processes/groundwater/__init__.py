"""Groundwater: conductance between cells, storage, and what an aquifer exchanges water with."""

from . import conditions, conductance, exchange, storage

__all__ = ["conditions", "conductance", "exchange", "storage"]
