"""Ready models are made once for the same arguments."""

from __future__ import annotations

import numpy as np
import pytest

import pydiffgeo as dg
from pydiffgeo.errors import ModelError


def test_a_ready_model_is_made_once() -> None:
    column = dg.models.RichardsColumn
    assert dg.models.ExpHydro() is dg.models.ExpHydro()
    assert column(1.0, 10, top="head") is column(1.0, 10, top="head")
    assert column(1.0, 10) is not column(1.0, 11)
    # Arrays are compared by their values, and wrong arguments are refused every time.
    thickness, other = np.full(10, 0.1), np.repeat([0.05, 0.15], 5)
    assert column(1.0, 10, thickness=thickness) is column(1.0, 10, thickness=thickness.copy())
    assert column(1.0, 10, thickness=thickness) is not column(1.0, 10, thickness=other)
    for _ in range(2):
        with pytest.raises(ModelError, match="cells"):
            column(1.0, True)
