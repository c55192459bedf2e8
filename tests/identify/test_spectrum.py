"""What the data fix and what they do not, against directions that follow from the equations."""

from __future__ import annotations

import numpy as np
import pytest
from identified import DESIGN, at, linear, parallel_reservoirs, product_reservoir

from pydiffgeo.errors import UnknownNameError
from pydiffgeo.identify import at_mode, spectrum


def test_only_the_product_of_gain_and_share_is_seen(engine: str) -> None:
    found = spectrum(at(product_reservoir(engine), a=0.8, c=0.9, k=0.2))
    assert found.rank == 2
    # a up and c down in proportion changes nothing: a c k S with S in proportion to a.
    assert np.abs(np.abs(found.null[0]) - np.array([1, 1, 0]) / np.sqrt(2)).max() < 1e-6
    assert found.null[0, 0] * found.null[0, 1] < 0
    assert found.sizes[2] < found.tolerance < 1e-3 * found.sizes[1]
    assert any(("only" in s and "a c" in s) or "c a" in s for s in found.sentences())


def test_nearly_equal_reservoirs_are_practically_one(usual_engine: str) -> None:
    apart = spectrum(at(parallel_reservoirs(usual_engine, (0.05, 1.0)), k_1=0.05, k_2=1.0))
    alike = spectrum(at(parallel_reservoirs(usual_engine, (0.2, 0.2)), k_1=0.2, k_2=0.2002))
    assert apart.rank == alike.rank == 2  # both are seen: rates that differ are no exact degeneracy
    assert apart.effective(0.2) == 2
    # Of rates that are nearly equal their mean is known; the difference hardly changes what flows out.
    assert alike.effective(0.2) == 1
    assert np.abs(np.abs(alike.directions[0]) - np.sqrt(0.5)).max() < 0.01
    assert alike.standard_errors[1] > 100 * alike.standard_errors[0]


def test_singular_values_are_those_of_the_design() -> None:
    found = spectrum(at_mode(linear()).problem, variables="search")
    assert found.sizes == pytest.approx(np.linalg.svd(DESIGN.numpy() / 0.5)[1], rel=1e-12)
    assert found.sentences() == ()
    assert "rank 3 of 3" in found.table()


def test_other_variables_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="natural"):
        spectrum(linear(), variables="log")
