"""Arguments as one text and two arrays: kinds and sizes stand where they are read."""

from __future__ import annotations

import numpy as np

from pydiffgeo.engines.julia.writing import written


def test_values_of_every_kind() -> None:
    text, whole, numbers = written(7, True, "ab", np.array([4, 5]), (np.array([[0.5], [1.5]]), "c"), [], np.empty(0))
    assert text == "abc"
    # Seven values; 7; true; a text of two; two integers, 4 and 5; two values: two numbers, a text of one; none; no numbers.
    expected = [[5, 7], [0, 7], [1, 1], [2, 2], [3, 2], [4, 5], [5, 2], [4, 2], [2, 1], [5, 0], [4, 0]]
    assert whole.tolist() == [value for pair in expected for value in pair]
    assert numbers.tolist() == [0.5, 1.5]
    assert whole.dtype == np.int64
    assert numbers.dtype == np.float64
