"""Units as files spell them, converted with pint. Nothing but readers of files uses this module.

convert(values, "kg m-2 s-1", "mm d-1", file="a.nc", variable="pr")
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..basin import Array
from ..errors import MissingPackageError, UnitError

# Spellings that pint does not know, or reads as something else ("C" is the coulomb, "F" the farad), in lower case.
_SPELLINGS = {
    **dict.fromkeys(("c", "deg c", "degc", "degree c", "degrees c", "celsius", "degree_celsius", "degrees_celsius",
                     "degree celsius", "degrees celsius", "°c", "deg_c"), "degC"),
    **dict.fromkeys(("f", "degf", "deg f", "deg_f", "fahrenheit", "degree f", "degrees f", "degree_fahrenheit",
                     "degrees_fahrenheit", "degree fahrenheit", "degrees fahrenheit", "°f"), "degF"),
    **dict.fromkeys(("k", "degk", "degrees_kelvin", "degree_kelvin"), "kelvin"),
    **dict.fromkeys(("-", "none", "unitless", "fraction", "dimensionless"), "dimensionless"),
    **dict.fromkeys(("degrees_north", "degree_north", "degrees_east", "degree_east"), "degree"),
    **dict.fromkeys(("cfs", "cusec"), "ft**3/s"),
    **dict.fromkeys(("cms", "cumec", "cumecs"), "m**3/s"),
}  # fmt: skip
WATER_DENSITY = "1000 kg/m**3"
# Text of a file is evaluated as a product of powers: one such as 9**9**9 would never end.
_LONGEST = 100
_POWER = re.compile(r"\*\*\s*\(?[+-]?\d{1,2}(\.\d+)?\)?(?![\d.eE]|\s*\*\*)")


def require(package: str, purpose: str) -> None:
    """Raises `MissingPackageError` unless `package` can be imported."""
    if find_spec(package) is None:
        raise MissingPackageError(f"{purpose} needs {package}: pip install 'pydiffgeo[io]'")


@cache
def _registry() -> Any:
    require("pint", "reading units")
    import pint

    return pint.UnitRegistry()


def _spelled(text: str) -> str:
    """A unit in the way of UDUNITS, such as `kg m-2 s-1` or `mm.day^-1`, in the way of pint."""
    text = _SPELLINGS.get(" ".join(text.lower().split()), text.strip())
    text = re.sub(r"(?<=[A-Za-z0-9])[.·](?=[A-Za-z])", "*", text.replace("^", "**"))
    # A number that follows a name at once is its power.
    return re.sub(r"(?<=[A-Za-zµ])(?=[+-]?\d)", "**", text)


def _harmless(spelled: str) -> bool:
    """Whether powers have small plain exponents, and are not stacked."""
    powers = spelled.count("**")
    return powers == len(_POWER.findall(spelled)) and len(re.findall(r"\)\s*\*\*", spelled)) <= 1


@cache
def _parse(text: str) -> Any:
    """The unit in pint, or None where it is not known."""
    if len(text) > _LONGEST or not _harmless(_spelled(text)):
        return None
    # Files write "Day" and "MM" as well; the spelling as it stands goes first, for case can matter.
    for spelling in (text, text.lower()):
        try:
            return _registry().parse_units(_spelled(spelling))
        # What a bad expression raises differs: undefined units, syntax, tokens, a failed assertion.
        except (MissingPackageError, KeyboardInterrupt):
            raise
        except Exception:
            continue
    return None


def check_known(unit: Any, *, file: str, variable: str) -> str:
    """The text of a unit.

    Raises:
        UnitError: it is missing or not known.
    """
    if unit is None or not str(unit).strip():
        raise UnitError(f"{file}: {variable} has no attribute 'units'; state its unit", file=file, variable=variable)
    text = str(unit).strip()
    if _parse(text) is None:
        raise UnitError(
            f"{file}: {variable} has the unit {text!r}, which is not known; write it as in 'mm d-1' or 'm3 s-1'",
            file=file, variable=variable, unit=text,
        )  # fmt: skip
    return text


def convert(values: Any, unit: Any, target: str, *, file: str, variable: str) -> Array:
    """`values`, of any shape, in the unit `target`.

    Water may come as mass per area: a kilogram per square metre is a millimetre. The length of a day may come as
    time per day, such as s/day; but not as a plain share of it, which could be any number without a unit.

    Raises:
        UnitError: the unit is missing, not known, or cannot become `target`; names file and variable.
        MissingPackageError: pint is not installed.
    """
    text = check_known(unit, file=file, variable=variable)
    source, wanted = _parse(text), _parse(target)
    values = np.asarray(values, np.float64)
    if source == wanted:
        return values
    quantity = _registry().Quantity(values, source)
    if source.dimensionality != wanted.dimensionality and _is_water(source, wanted):
        quantity = quantity / _registry().Quantity(WATER_DENSITY)
    if source in (_parse("s d-1"), _parse("min d-1"), _parse("h d-1")) and compatible(target, "h"):
        quantity = quantity * _registry().Quantity("1 day")
    if quantity.dimensionality != wanted.dimensionality:
        raise UnitError(
            f"{file}: {variable} has the unit {text!r}, which cannot be converted to {target!r}",
            file=file, variable=variable, unit=text,
        )  # fmt: skip
    return np.asarray(quantity.to(wanted).magnitude, np.float64)


def _is_water(source: Any, wanted: Any) -> bool:
    """Whether `source` is mass per area where `wanted` is a depth, both maybe per time."""
    have, want = dict(source.dimensionality), dict(wanted.dimensionality)
    if want.get("[length]") != 1 or "[mass]" in want:
        return False
    # Depth times density is mass per area.
    return have == {k: v for k, v in {**want, "[length]": -2, "[mass]": 1}.items() if v}


def is_volume_rate(unit: Any) -> bool:
    """Whether a known unit is one of volume per time, such as cubic feet per second."""
    parsed = _parse(str(unit).strip()) if unit is not None and str(unit).strip() else None
    return parsed is not None and dict(parsed.dimensionality) == {"[length]": 3, "[time]": -1}


def compatible(unit: str, other: str) -> bool:
    """Whether two known units are of the same kind."""
    first, second = _parse(unit), _parse(other)
    return first is not None and second is not None and first.dimensionality == second.dimensionality
