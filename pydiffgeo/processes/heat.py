"""Conduction of heat (Fourier's law; Carslaw and Jaeger 1959)."""

from __future__ import annotations

from torch import Tensor

from ..model import Place


def conduction(left: Place, right: Place, face: Place) -> Tensor:
    """Heat (MJ/m2/d) from the left cell to the right one: two half cells in series, so that their mean is harmonic."""
    conductivity = 2 / (1 / left.conductivity + 1 / right.conductivity)
    return conductivity * (left.temperature - right.temperature) / face.distance


def conduction_from(temperature: Tensor, cell: Place, face: Place) -> Tensor:
    """Heat (MJ/m2/d) into a cell from a side that is held at a temperature (degC), `face.distance` from its middle."""
    return cell.conductivity * (temperature - cell.temperature) / face.distance
