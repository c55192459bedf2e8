"""Units as files spell them: the CF vocabulary of cf-xarray, converted with pint. Only readers of files use this module.

convert(values, "kg m-2 s-1", "mm d-1", file="a.nc", variable="pr")

Names are case-sensitive, as in UDUNITS: `ML` is a megalitre, `ml` a millilitre. What can be read in two ways
is refused: months and years, whose lengths differ, and megametres, which nobody means.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array
from ..errors import MissingPackageError, UnitError

if TYPE_CHECKING:
    import pint

# What gauges and weather stations write besides the vocabulary, and what is something else in it, or nothing:
# UDUNITS reads "F" as the farad.
_FURTHER = (
    "cubic_foot_per_second = foot ** 3 / second = cfs = cusec",
    "cubic_metre_per_second = meter ** 3 / second = cms = cumec = cumecs",
    "millibar = 100 * pascal = mb",
    "@alias degF = F = deg_F = Fahrenheit = degrees_Fahrenheit",
    "@alias kelvin = Kelvin",
)
# The comment of numbers whose unit nobody states: none is made up, and they are not taken for dimensionless.
UNSTATED = "unit not stated by the source"
_DIMENSIONLESS = ("-", "none", "unitless", "fraction")
WATER_DENSITY = 1000.0  # kg m-3
# The word "degree" before a scale of temperature is no angle: "degrees Kelvin", "deg. K", "° C".
_DEGREES = re.compile(r"(?<![A-Za-z])(?:°|deg(?:ree)?s?\.?)[ _]*([CFK]|[Cc]elsius|[Ff]ahrenheit|[Kk]elvin)(?![A-Za-z])")
_NUMBER = re.compile(r"(10\*\*[+-]?\d{1,2}|\d+\.?\d*(?:[eE][+-]?\d+)?)(?:\s*\*(?!\*)\s*|\s+|$)")
# Text of a file is evaluated as a product of powers: one such as 9**9**9 would never end.
_LONGEST = 100
_POWER = re.compile(r"\*\*\s*\(?[+-]?\d{1,2}(\.\d+)?\)?(?![\d.eE]|\s*\*\*)")
# A number within a unit, such as the 6 of "mm/6h": UDUNITS multiplies by it and by the hour, and who wrote it did not.
_WITHIN = re.compile(r"(?<!\*\*)(?<!\*\*[+-])(?<![\w.])\d")
# A power in brackets.
_BRACKETS = re.compile(r"\{([+-]?\d+)\}|(?<=\*\*)\(([+-]?\d+)\)|(?<=\^)\(([+-]?\d+)\)")
_SIGN = re.compile(r"(?<!\*\*)[+-]")
_LENGTHS = {"month": "months", "year": "years", "decade": "decades", "century": "centuries", "millennium": "millennia"}


@dataclass(frozen=True)
class Unit:
    """A unit: `scale` times that of pint, such as 0.1 mm."""

    scale: float
    unit: pint.Unit

    @property
    def dimensions(self) -> dict[str, float]:
        return _powers(self.unit.dimensionality)

    @property
    def factors(self) -> dict[str, float]:
        """Name of a unit, with its prefix -> power."""
        return _powers(self.unit._units)


def _powers(container: Mapping[str, object]) -> dict[str, float]:
    """Name -> power, as pint holds them: powers are real numbers, of whatever type."""
    return {str(k): v for k, v in cast(Mapping[str, float], container).items() if v}


def require(package: str, purpose: str) -> None:
    """Raises `MissingPackageError` unless `package` can be imported."""
    if find_spec(package) is None:
        raise MissingPackageError(f"{purpose} needs {package.replace('_', '-')}: pip install 'pydiffgeo[io]'")


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry:
    """The registry of cf-xarray with what is added here: a copy, for that one belongs to the whole program."""
    for package in ("pint", "cf_xarray"):
        require(package, "reading units")
    import pint

    # cf-xarray makes its registry that of the program when it is imported; another choice of the program stays.
    before = pint.get_application_registry().get()
    with warnings.catch_warnings():
        # It says so where matplotlib is absent, which reading does not need.
        warnings.simplefilter("ignore")
        from cf_xarray.units import units

    pint.set_application_registry(before)
    registry = copy.deepcopy(units)
    for definition in _FURTHER:
        registry.define(definition)
    return registry


def _spelled(text: str) -> str:
    """A unit in the way of UDUNITS, such as `kg m-2 s-1` or `mm.day^{-1}`, in the way of pint."""
    text = _DEGREES.sub(lambda scale: "deg" + scale[1][0].upper(), text.strip())
    text = text.replace("\u2212", "-").replace("^", "**")
    text = _BRACKETS.sub(lambda power: next(filter(None, power.groups())), text)
    # Points and hyphens multiply where they stand between names.
    text = re.sub(r"(?<=[A-Za-z0-9])[.·](?=[A-Za-z])|(?<=[A-Za-z])-(?=[A-Za-z])", "*", text)
    # A number that follows a name at once is its power.
    return re.sub(r"(?<=[A-Za-zµμ])(?<!\d[eE])(?=[+-]?\d)", "**", text)


def _harmless(spelled: str) -> bool:
    """Whether powers have small plain exponents, and are not stacked."""
    powers = spelled.count("**")
    return powers == len(_POWER.findall(spelled)) and len(re.findall(r"\)\s*\*\*", spelled)) <= 1


@lru_cache(maxsize=1000)
def _parse(text: str) -> Unit | None:
    """The unit, or None where it is not known."""
    text = text.strip()
    if text in _DIMENSIONLESS:
        return Unit(1.0, _registry().parse_units("dimensionless"))
    spelled = _spelled(text)
    if len(text) > _LONGEST or not _harmless(spelled):
        return None
    scale = 1.0
    if number := _NUMBER.match(spelled):
        base, power = [*number[1].split("**"), "1"][:2]
        scale, spelled = float(base) ** int(power), spelled[number.end() :]
        if not 0 < scale < np.inf:
            return None
    elif spelled.startswith("1/"):
        spelled = f"dimensionless{spelled[1:]}"
    if _WITHIN.search(spelled) or _SIGN.search(spelled):
        return None
    try:
        return Unit(scale, _registry().parse_units(spelled or "dimensionless"))
    # What a bad expression raises differs: undefined units, syntax, tokens, a failed assertion.
    except (MissingPackageError, KeyboardInterrupt):
        raise
    except Exception:
        return None


def _hint(text: str) -> str:
    """What may be wrong in a unit that is not known; empty where nobody knows."""
    if _WITHIN.search(_spelled(text)):
        return "; a number within it could be read in two ways, so it must stand at the beginning"
    hints = []
    for name in dict.fromkeys(re.findall(r"[A-Za-zµ]+", text)):
        if _parse(name) is None and _parse(name.lower()) is not None:
            hints.append(f"{name.lower()!r} for {name!r}")
    return f"; capitals matter: write {', '.join(hints)} if that is meant" if hints else ""


def check_known(unit: object, *, file: str, variable: str) -> str:
    """The text of a unit.

    Raises:
        UnitError: it is missing or not known.
    """
    if unit is None or not str(unit).strip():
        raise UnitError(f"{file}: {variable} has no attribute 'units'; state its unit", file=file, variable=variable)
    text = str(unit).strip()
    if _parse(text) is None:
        message = f"{file}: {variable} has the unit {text!r}, which is not known; write it as in 'mm d-1' or 'm3 s-1'"
        raise UnitError(message + _hint(text), file=file, variable=variable, unit=text)
    return text


def convert(values: ArrayLike, unit: object, target: str, *, file: str, variable: str) -> Array:
    """`values`, of any shape, in the unit `target`.

    Water may come as mass per area: a kilogram per square metre is a millimetre. The length of a day may come as
    time per day, such as s/day; but not as a plain share of it, which could be any number without a unit.

    Raises:
        UnitError: the unit is missing, not known, or cannot become `target`, or could mean several things;
            names file and variable.
        MissingPackageError: cf-xarray or pint is not installed.
    """
    text = check_known(unit, file=file, variable=variable)
    source, wanted = _known(text), _known(target)
    values = np.asarray(values, np.float64)
    if source == wanted:
        return values

    def refused(why: str) -> UnitError:
        message = f"{file}: {variable} has the unit {text!r}, which {why}"
        return UnitError(message, file=file, variable=variable, unit=text)

    if doubt := _doubt(source, wanted):
        raise refused(f"{doubt}, so it is not converted to {target!r}")
    if _is_temperature(source) and _is_temperature(wanted):
        if any(name.startswith("delta_") for name in source.factors):
            raise refused(f"is one of differences of temperatures, not of temperatures, as {target!r} is")
        # Scales of temperature begin at different points.
        converted = _registry().Quantity(values * source.scale, source.unit).to(wanted.unit)
        return np.asarray(converted.magnitude) / wanted.scale
    factor, base = _base(source)
    per_factor, wanted_base = _base(wanted)
    if _is_water(source, wanted):
        factor, base = factor / WATER_DENSITY, wanted_base
    elif source in (_parse("s d-1"), _parse("min d-1"), _parse("h d-1")) and compatible(target, "h"):
        factor, base = factor * 86400, wanted_base
    # Angles and counts have no dimension, but are units: the degree is not 0.017.
    if base != wanted_base:
        missing = _times_missing(source, wanted)
        raise refused(f"cannot be converted to {target!r}{missing}")
    return np.asarray(values * (factor / per_factor), np.float64)


def _known(text: str) -> Unit:
    """A unit that was checked."""
    unit = _parse(text)
    if unit is None:
        raise UnitError(f"the unit {text!r} is not known", unit=text)
    return unit


def _base(unit: Unit) -> tuple[float, dict[str, float]]:
    """The factor to base units of a unit without offset, and their powers."""
    factor, base = _registry().get_base_units(unit.unit, check_nonmult=False)
    return unit.scale * float(cast(float, factor)), {k: round(v, 9) for k, v in _powers(base._units).items()}


def _doubt(source: Unit, wanted: Unit) -> str:
    """Why nobody can know how large a unit is; empty where it is known."""
    have, want = source.factors, wanted.factors
    for name in {*have} - {k for k, v in want.items() if have.get(k) == v}:
        # Exact ones have names of their own, such as the common_year.
        exact = name.endswith(("_year", "_month"))
        if lengths := [] if exact else [many for one, many in _LENGTHS.items() if name.endswith(one)]:
            return f"has no fixed length: {lengths[0]} differ. Convert the values with the days of each one"
        if name == "megameter":
            return "may be millimetres, megametres or, cubed, millions of cubic metres: write 'mm', or '1e6 m3'"
    return ""


def _is_temperature(unit: Unit) -> bool:
    return _base(unit)[1] == {"kelvin": 1}


def _is_water(source: Unit, wanted: Unit) -> bool:
    """Whether `source` is mass per area where `wanted` is a depth, both maybe per time."""
    want = wanted.dimensions
    if want.get("[length]") != 1 or "[mass]" in want:
        return False
    # Depth times density is mass per area.
    return source.dimensions == {k: v for k, v in {**want, "[length]": -2, "[mass]": 1}.items() if v}


def _times_missing(source: Unit, wanted: Unit) -> str:
    """The remedy where amounts are given and rates are wanted."""
    per_day = Unit(1.0, source.unit / _registry().day)
    if per_day.dimensions == wanted.dimensions or _is_water(per_day, wanted):
        return (
            ": the time is missing over which it is a sum. Say so by cell_methods 'time: sum' in the file, "
            "or give the rate as units, such as that per day for daily sums"
        )
    return ""


def is_volume_rate(unit: object) -> bool:
    """Whether a known unit is one of volume per time, such as cubic feet per second."""
    parsed = _parse(str(unit).strip()) if unit is not None and str(unit).strip() else None
    return parsed is not None and parsed.dimensions == {"[length]": 3, "[time]": -1}


def compatible(unit: str, other: str) -> bool:
    """Whether two known units are of the same kind."""
    first, second = _parse(unit), _parse(other)
    return first is not None and second is not None and first.dimensions == second.dimensions


def is_amount(unit: object, rate: str) -> bool:
    """Whether a known unit is that of sums over some time of what `rate` is the unit of."""
    parsed, wanted = _parse(str(unit).strip()) if unit is not None else None, _parse(rate)
    if parsed is None or wanted is None:
        return False
    per_day = Unit(1.0, parsed.unit / _registry().day)
    return per_day.dimensions == wanted.dimensions or _is_water(per_day, wanted)
