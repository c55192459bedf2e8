"""Soil water: retention curves, what happens at the surface and at the base, between cells, and at roots."""

from . import drainage, faces, retention, roots, surface

__all__ = ["drainage", "faces", "retention", "roots", "surface"]
