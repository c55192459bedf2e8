"""Axes of times: regular ones, and one for several basins."""

from __future__ import annotations

import numpy as np
import pytest

from pydiffgeo.errors import DataError, TimeAxisError
from pydiffgeo.io.axis import regular, together

DAYS = np.arange("2001-01-01", "2001-01-11", dtype="datetime64[D]").astype("datetime64[ns]")


def test_axes_of_hours_and_of_several_basins():
    hours = np.datetime64("2001-01-01", "ns") + np.array([0, 1, 3]) * np.timedelta64(1, "h")
    assert len(regular(hours, "f")) == 4
    with pytest.raises(TimeAxisError, match="f: there are no times"):
        regular(DAYS[:0], "f")
    with pytest.raises(TimeAxisError, match="f: entry 1 of the time axis is missing"):
        regular([DAYS[0], np.datetime64("NaT")], "f")
    times, values = together([(DAYS[:2], {"a": np.ones(2)}), (DAYS[6:8], {"a": np.zeros(2)})], ["f", "g"])
    np.testing.assert_array_equal(times, DAYS[:8])
    np.testing.assert_array_equal(values["a"][1], [np.nan] * 6 + [0, 0])
    with pytest.raises(TimeAxisError, match=r"f: its times, every 1 d .* do not meet .* every 1 h"):
        together([(DAYS[:2], {}), (hours[:2], {})], ["f", "g"])
    with pytest.raises(DataError, match="there are no basins"):
        together([], [])
