"""Days of the year, against the calendar of Python in a leap year."""

from __future__ import annotations

import datetime

import numpy as np

from pydiffgeo.days import days_of_year


def test_days_of_the_year_are_places_in_a_leap_year() -> None:
    first = datetime.date(1899, 12, 30)
    dates = [first + datetime.timedelta(days=int(k)) for k in range(0, 60_000, 7)]
    found = days_of_year(np.array(dates, "datetime64[D]"))
    assert found.tolist() == [d.replace(year=2000).timetuple().tm_yday - 1 for d in dates]
