"""Units as files spell them: right by their definition, or refused with file, variable and remedy."""

from __future__ import annotations

import numpy as np
import pint
import pytest

from pydiffgeo.errors import UnitError
from pydiffgeo.io import units
from pydiffgeo.io.units import convert

FOOT = 0.3048  # metres, exactly
SURVEY_FOOT = 1200 / 3937  # of which an acre has 43560 squares
GALLON = 231 * 0.0254**3  # cubic metres, exactly: 231 cubic inches


def to(unit: str, target: str, value: float = 1.0) -> float:
    return float(convert(np.array([value]), unit, target, file="some.nc", variable="v")[0])


@pytest.mark.parametrize(
    ("unit", "target", "factor"),
    [
        *(("ML/day", "m3 d-1", 1000), ("ML d-1", "m3 d-1", 1000), ("Ml/d", "m3 d-1", 1000)),
        *(("ml/d", "m3 d-1", 1e-6), ("ML per day", "m3 d-1", 1000), ("Mgal/day", "m3 d-1", 1e6 * GALLON)),
        *(("hm3 d-1", "m3 d-1", 1e6), ("acre-ft/day", "m3 d-1", 43560 * SURVEY_FOOT**2 * FOOT)),
        *(("cfs", "m3 s-1", FOOT**3), ("ft^3/s", "m3 s-1", FOOT**3), ("cumecs", "m3 s-1", 1)),
        *(("cms", "m3 s-1", 1), ("1e6 m3 d-1", "m3 d-1", 1e6), ("10^3 m3/d", "m3 d-1", 1e3)),
        *(("l s-1 km-2", "mm d-1", 0.0864), ("L/s/km2", "mm d-1", 0.0864), ("m3 ha-1 d-1", "mm d-1", 0.1)),
        *(("kg m-2 s-1", "mm d-1", 86400), ("kg/m2/s", "mm d-1", 86400), ("kg m**-2 s**-1", "mm d-1", 86400)),
        *(("m s-1", "mm d-1", 86400e3), ("in/d", "mm d-1", 25.4), ("mm hr-1", "mm d-1", 24)),
        *(("0.1 mm d-1", "mm d-1", 0.1), ("mm day\u22121", "mm d-1", 1), ("mm·d-1", "mm d-1", 1)),
        *(("mm d^{-1}", "mm d-1", 1), ("m3 s^{-1}", "m3 d-1", 86400), ("m³ s⁻¹", "m3 d-1", 86400)),
        *(("cm d-1", "mm d-1", 10), ("mb", "Pa", 100), ("mbar", "Pa", 100), ("hPa", "Pa", 100)),
        *(("MJ m-2 d-1", "W m-2", 1e6 / 86400), ("langley/day", "W m-2", 41840 / 86400), ("g cm-2", "mm", 10)),
        *(("kg m-2", "mm", 1), ("common_year", "d", 365), ("%", "1", 0.01), ("1e-3", "1", 1e-3)),
        *(("fraction", "1", 1), ("d", "h", 24), ("mi2", "km2", 1.609344**2), ("ha", "km2", 0.01)),
    ],
)
def test_units_by_their_definition(unit, target, factor):
    assert to(unit, target, 3.0) == pytest.approx(3.0 * factor, rel=1e-9)


@pytest.mark.parametrize(
    "word", ["", "deg", "deg ", "deg. ", "deg_", "degree ", "degree_", "degrees ", "degrees_", "°", "° "]
)
@pytest.mark.parametrize(
    ("scale", "celsius"),
    [
        *(("C", 281.0), ("Celsius", 281.0), ("celsius", 281.0), ("K", 7.85), ("kelvin", 7.85)),
        *(("Kelvin", 7.85), ("F", (281 - 32) / 1.8), ("Fahrenheit", (281 - 32) / 1.8)),
    ],
)
def test_a_degree_before_a_scale_is_no_angle(word, scale, celsius):
    assert to(word + scale, "degC", 281.0) == pytest.approx(celsius, abs=1e-9)


@pytest.mark.parametrize(
    ("unit", "target", "why"),
    [
        # Capitals are part of a name: mega is not milli.
        ("ML/Day", "m3 d-1", "capitals matter: write 'day' for 'Day'"),
        ("ML/DAY", "m3 d-1", "write 'day' for 'DAY'"),
        ("ML per Day", "m3 d-1", "capitals matter"),
        ("ML Day-1", "m3 d-1", "capitals matter"),
        ("Mgal/Day", "m3 d-1", "capitals matter"),
        ("MM/Day", "mm d-1", "not known"),
        ("KPA", "Pa", "not known"),
        ("MM/d", "mm d-1", "cannot be converted"),
        ("mm D-1", "mm d-1", "cannot be converted"),
        ("M3/s", "m3 s-1", "cannot be converted"),
        # Lengths that differ from one to the next.
        ("mm/month", "mm d-1", "months differ"),
        ("mm month-1", "mm d-1", "months differ"),
        ("ML/month", "m3 d-1", "months differ"),
        ("mm yr-1", "mm d-1", "years differ"),
        ("mm a-1", "mm d-1", "years differ"),
        ("m3/year", "m3 d-1", "years differ"),
        ("kg m-2 month-1", "mm d-1", "months differ"),
        ("month", "h", "months differ"),
        ("mm decade-1", "mm d-1", "decades differ"),
        # Megametres are meant by nobody; their cube is for some a million cubic metres.
        ("Mm d-1", "mm d-1", "may be millimetres, megametres"),
        ("Mm3/d", "m3 d-1", "'1e6 m3'"),
        # Amounts without the time over which they are sums.
        ("mm", "mm d-1", "time is missing"),
        ("kg m-2", "mm d-1", "time is missing"),
        ("J m-2", "W m-2", "time is missing"),
        ("Langleys", "W m-2", "not known"),
        ("langley", "W m-2", "time is missing"),
        ("MJ m-2", "W m-2", "time is missing"),
        # UDUNITS multiplies by what stands behind a number.
        ("mm/6h", "mm d-1", "read in two ways"),
        ("mm/3hr", "mm d-1", "read in two ways"),
        ("mm 3h-1", "mm d-1", "read in two ways"),
        ("kg/m2 s", "mm d-1", "cannot be converted"),
        ("10-6 m3 d-1", "m3 d-1", "not known"),
        ("2 - 1", "1", "not known"),
        # Differences of temperatures, and angles.
        ("delta_degC", "degC", "differences of temperatures"),
        ("delta_degF", "degC", "differences of temperatures"),
        ("degree", "degC", "cannot be converted"),
        ("degrees_north", "1", "cannot be converted"),
        ("degree kg", "kg", "cannot be converted"),
        ("radian K", "degC", "cannot be converted"),
        ("K d-1", "degC", "cannot be converted"),
        ("rad", "1", "cannot be converted"),
        ("", "mm", "no attribute 'units'"),
        ("0 mm", "mm", "not known"),
        ("1e999 mm", "mm", "not known"),
    ],
)
def test_what_nobody_knows_for_sure_is_refused(unit, target, why):
    with pytest.raises(UnitError, match=why) as caught:
        to(unit, target)
    assert str(caught.value).startswith("some.nc: v has ")
    assert (caught.value.file, caught.value.variable) == ("some.nc", "v")


def test_what_cancels_is_known():
    assert to("cm month-1", "mm month-1") == pytest.approx(10)
    assert to("mm yr-1", "mm yr-1") == 1
    assert to("Mm", "Mm") == 1


def test_the_registry_of_the_program_stays_its_own():
    assert str(pint.UnitRegistry().parse_units("F")) == "farad"
    own = pint.UnitRegistry()
    before = pint.get_application_registry().get()
    pint.set_application_registry(own)
    try:
        units._registry.cache_clear()
        units._parse.cache_clear()
        assert to("F", "degC", 212.0) == pytest.approx(100.0)
        assert pint.get_application_registry().get() is own
    finally:
        pint.set_application_registry(before)


@pytest.mark.parametrize(
    ("unit", "target", "factor"),
    [
        *(("kg m-2 s-1", "mm d-1", 86400), ("kg/m2/day", "mm d-1", 1), ("mm h**-1", "mm d-1", 24)),
        *(("m.s-1", "mm d-1", 86400e3), ("in/day", "mm d-1", 25.4), ("kg m-2", "mm", 1), ("hPa", "Pa", 100)),
        *(("kPa", "Pa", 1000), ("MJ m-2 d-1", "W m-2", 1e6 / 86400), ("W/m^2", "W m-2", 1)),
        *(("ft3/s", "m3 s-1", 0.3048**3), ("cfs", "m3 s-1", 0.3048**3), ("L s-1", "m3 s-1", 1e-3)),
        *(("ha", "km2", 0.01), ("seconds", "h", 1 / 3600), ("%", "1", 0.01), ("-", "1", 1)),
    ],
)
def test_units_of_the_field(unit, target, factor):
    values = np.array([[0.0, 1.0, 7.5]])
    read = convert(values, unit, target, file="f", variable="v")
    np.testing.assert_allclose(read, values * factor, rtol=1e-12)


def test_offsets_of_temperature():
    for unit, value in (
        *(("K", 273.15), ("degF", 32.0), ("Celsius", 0.0), ("C", 0.0), ("degree_Celsius", 0.0), ("deg_C", 0.0)),
        *(("F", 32.0), ("deg_F", 32.0), ("degree_Fahrenheit", 32.0), ("°F", 32.0)),
    ):
        assert convert(np.array([value]), unit, "degC", file="f", variable="v") == pytest.approx(0.0, abs=1e-10)


def test_the_length_of_a_day_may_be_time_per_day():
    for unit, value in (("s/day", 43200.0), ("s d-1", 43200.0), ("min/day", 720.0), ("h/d", 12.0)):
        assert convert(np.array([value]), unit, "h", file="f", variable="v") == pytest.approx(12.0)
    # A share without a unit could be anything, and what is no length of a day has no such unit.
    for unit, target in (("1", "h"), ("%", "h"), ("s/s", "h"), ("s/day", "mm"), ("h/d", "degC")):
        with pytest.raises(UnitError, match="cannot be converted"):
            convert(np.array([0.5]), unit, target, file="f", variable="v")
