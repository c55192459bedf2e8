"""Checks of what readers are asked for: names, labels, units and numbers, before a file is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from ...checks import is_number, shown
from ...errors import DataError
from ...io.axis import Gaps
from ...io.dates import check_choice
from .quantities import SERIES

# Quantity -> name in the file, or several.
Names = Mapping[str, str | Sequence[str]]
# km2 of each basin, or one number for a single one.
Areas = Mapping[str, float] | float


def texts(value: object) -> TypeGuard[Collection[str]]:
    """Whether `value` is several texts, and not a single one."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Collection):
        return False
    return all(isinstance(v, str) for v in value)


def check_labels(basins: object) -> None:
    """Raises `DataError` unless basins are labels, several of them, or None."""
    if basins is None:
        return
    if not texts(basins):
        raise DataError(f"basins must be a list of labels as text, got {shown(basins)}")
    for basin in basins:
        if list(basins).count(basin) > 1:
            raise DataError(f"basin {basin} is asked for {list(basins).count(basin)} times")


def check_dimensions(dimensions: object) -> None:
    """Raises `DataError` unless dimensions are two names."""
    if not (texts(dimensions) and len({*dimensions}) == len(dimensions) == 2):
        raise DataError(f"dimensions must be the names of basin and time in the file, got {shown(dimensions)}")


@dataclass(frozen=True)
class Choice:
    """What a reader is asked to find in a file; the arguments of `open_cf` of these names.

    Raises:
        DataError: names the argument that is none.
    """

    variables: Names | None = None
    units: Mapping[str, str] | None = None
    gaps: Gaps = "fill"
    missing: Sequence[float] = ()
    area: Areas | None = None
    quantities: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_choice("gaps", self.gaps, ("fill", "refuse"))
        for argument, value in (("variables", self.variables), ("units", self.units)):
            if value is not None and not isinstance(value, Mapping):
                raise DataError(f"{argument} must be a mapping from quantities, got {shown(value)}")
        for quantity, names in (self.variables or {}).items():
            if not (isinstance(names, str) or (texts(names) and len(names) > 0)):
                raise DataError(f"variables: {quantity!r} must be a name in the file, or several, got {shown(names)}")
        for quantity, unit in (self.units or {}).items():
            if not isinstance(unit, str):
                raise DataError(f"units: that of {quantity!r} must be text, got {shown(unit)}")
        if self.quantities is not None and not (texts(self.quantities) and {*self.quantities} <= {*SERIES}):
            raise DataError(f"quantities must be some of {', '.join(SERIES)}, got {shown(self.quantities)}")
        missing, area = self.missing, self.area
        if isinstance(missing, str) or not isinstance(missing, Collection) or not all(map(is_number, missing)):
            raise DataError(f"missing must be a list of numbers, got {shown(missing)}")
        for size in area.values() if isinstance(area, Mapping) else () if area is None else (area,):
            if not (is_number(size) and size > 0):
                raise DataError(f"area must be positive, in km2, got {shown(size)}")
