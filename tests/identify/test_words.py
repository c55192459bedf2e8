"""Directions in words."""

from __future__ import annotations

import numpy as np

from pydiffgeo.identify.words import direction_in_words

NAMES = ["a", "c", "k"]


def words(*direction: float, error: float = np.inf, relative: bool = True) -> str:
    return direction_in_words(NAMES, np.array(direction), error, relative=relative)


def test_a_product_a_ratio_and_powers() -> None:
    assert words(0.7, -0.7, 0.0) == "a up, c down in proportion does not change what is observed: only a c is known"
    assert words(0.7, 0.7, 0.0).endswith("only a / c is known")
    # Along (2, -1) in logarithms, a^(1/2) c stays what it is.
    assert words(0.8, -0.4, 0.0).endswith("only a^0.5 c is known")


def test_single_values_and_many() -> None:
    assert words(0.0, 1.0, 0.01) == "c: the data say nothing about it"
    assert words(1.0, 0.0, 0.0, error=0.5) == "a: the data know it to ± 50 % only"
    assert words(1.0, 0.0, 0.0, error=2.0, relative=False) == "a: the data know it to 2 only"
    assert words(1.0, 0.0, 0.0, error=1.2) == "a: the data know it to a factor of 3.3 only"
    assert words(1.0, 0.0, 0.0, error=9.0) == "a: it is not known even to a factor of 100"
    several = words(0.6, -0.6, 0.5, error=0.3)
    assert (
        several
        == "a up by 10 %, c down by 10 %, k up by 8.3 % together hardly changes what is observed, and is known to ± 30 % only"
    )
