"""Checks of what readers are asked for: names, labels, units and numbers, before a file is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...checks import is_number, shown
from ...errors import DataError
from .quantities import SERIES


def texts(value: Any) -> bool:
    """Whether `value` is several texts, and not a single one."""
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    return several and all(isinstance(v, str) for v in value)


def check_labels(basins: Any) -> None:
    """Raises `DataError` unless basins are labels, several of them, or None."""
    if basins is not None and not texts(basins):
        raise DataError(f"basins must be a list of labels as text, got {shown(basins)}")
    for basin in basins or ():
        if list(basins).count(basin) > 1:
            raise DataError(f"basin {basin} is asked for {list(basins).count(basin)} times")


def check_arguments(
    *, variables: Any = None, units: Any = None, dimensions: Any = None, missing: Any = (), area: Any = None,
    quantities: Any = None,
) -> None:  # fmt: skip
    """Raises `DataError` with the name of the argument that is none."""
    for name, given in (("variables", variables), ("units", units)):
        if given is not None and not isinstance(given, Mapping):
            raise DataError(f"{name} must be a mapping from quantities, got {shown(given)}")
    for quantity, names in (variables or {}).items():
        if not (isinstance(names, str) or (texts(names) and len(names) > 0)):
            raise DataError(f"variables: {quantity!r} must be a name in the file, or several, got {shown(names)}")
    for quantity, unit in (units or {}).items():
        if not isinstance(unit, str):
            raise DataError(f"units: that of {quantity!r} must be text, got {shown(unit)}")
    if dimensions is not None and not (texts(dimensions) and len({*dimensions}) == len(dimensions) == 2):
        raise DataError(f"dimensions must be the names of basin and time in the file, got {shown(dimensions)}")
    if quantities is not None and not (texts(quantities) and {*quantities} <= {*SERIES}):
        raise DataError(f"quantities must be some of {', '.join(SERIES)}, got {shown(quantities)}")
    if isinstance(missing, str) or not isinstance(missing, Iterable) or not all(map(is_number, missing)):
        raise DataError(f"missing must be a list of numbers, got {shown(missing)}")
    areas = area.values() if isinstance(area, Mapping) else () if area is None else (area,)
    for value in areas:
        if not (is_number(value) and value > 0):
            raise DataError(f"area must be positive, in km2, got {shown(value)}")
