"""Where a configuration has basins from: its table `[data]`, and the data it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from ...errors import DataError
from ...toml_table import T, Table, as_pair, as_table, as_text, as_within
from ..basin import QUANTITIES
from .basin_table import MARK, open_table
from .camels import open_camels
from .caravan import open_caravan
from .cf import open_cf


@dataclass(frozen=True)
class DataSettings:
    """Where the data are, at `path`, and which `basins`; none stand for all.

    Attributes:
        kind: "file", NetCDF or Zarr; "camels" or "caravan", a folder; "table", CSV, with the files of `series`.
    """

    kind: str
    path: Path
    product: str
    basins: tuple[str, ...]
    dimensions: tuple[str, str]
    latitude: float | None
    variables: Mapping[str, str | tuple[str, ...]]
    units: Mapping[str, str]
    series: Path | None = None


# Where the data can be, with what it is called in messages and the keys that do not apply to it.
_SOURCES = {
    "file": ("a NetCDF file or Zarr store", ("product", "series")),
    "camels": ("a CAMELS-US folder", ("variables", "units", "dimensions", "latitude", "series")),
    "caravan": ("a Caravan folder", ("product", "dimensions", "series")),
    "table": ("a table of basins", ("product", "dimensions")),
}


def take_data(t: Table, folder: Path, *, optional: bool = False) -> DataSettings:
    """The data of the table `[data]`, whose other keys stay; paths are relative to `folder`.

    Args:
        optional: whether `basins` may be left out, which takes all.

    Raises:
        DataError: a key is missing, wrong, or does not apply; names it.
    """
    paths = {
        key: t.take(key, lambda v: folder / as_text(v), f"the path of {what}", None)
        for key, (what, _) in _SOURCES.items()
    }
    sources = [(key, path) for key, path in paths.items() if path is not None]
    if len(sources) != 1:
        raise DataError(f"{t.file}: [{t.name}] file, camels, caravan or table must be given, one of the four")
    kind, path = sources[0]
    what, other = _SOURCES[kind]
    expected = "a list of basin identifiers, as text in quotes, each once"
    basins = t.take("basins", as_labels, expected, ()) if optional else t.take("basins", as_labels, expected)
    for key in other:
        if key in t.values:
            raise t.fail(key, f"does not apply to {what}")
    product = t.take("product", as_text, 'the forcing product, such as "daymet"', "daymet")
    expected, names = "the names of the dimensions of basin and time", ("basin", "time")
    dimensions = t.take("dimensions", lambda v: as_pair(v, as_text), expected, names)
    latitude = t.take("latitude", lambda v: as_within(v, -90, 90), "degrees from -90 to 90", None)
    expected = f"a table of {', '.join(QUANTITIES)}, each"
    variables = t.take("variables", lambda v: _quantities(v, _names), f"{expected} a name or several", {})
    units = t.take("units", lambda v: _quantities(v, as_text), f"{expected} a unit", {})
    series = t.take("series", lambda v: folder / _pattern(v), f'names of files, such as "series/{MARK}.csv"', None)
    return DataSettings(kind, path, product, basins, dimensions, latitude, variables, units, series)


def open_data(d: DataSettings, basins: Sequence[str] | None, *, attributes: bool = False) -> xr.Dataset:
    """The series of basins, of all where None, and their attributes where asked for.

    Raises:
        DataError: (or a subclass) they cannot be read.
    """
    if d.kind == "camels":
        return open_camels(d.path, basins=basins, product=d.product, attributes=attributes)
    if d.kind == "caravan":
        return open_caravan(d.path, basins=basins, variables=d.variables, units=d.units, quantities=QUANTITIES)
    if d.kind == "table":
        return open_table(d.path, d.series, basins=basins, variables=d.variables, units=d.units, quantities=QUANTITIES)
    return open_cf(
        d.path, basins=basins, variables=d.variables, units=d.units, dimensions=d.dimensions, quantities=QUANTITIES
    )


def as_labels(value: object) -> tuple[str, ...]:
    """Labels as text, each once; raises `ValueError` for all else."""
    if not isinstance(value, list) or not value or len(set(value)) < len(value):
        raise ValueError
    return tuple(as_text(v) for v in value)


def _pattern(value: object) -> str:
    text = as_text(value)
    if MARK not in text:
        raise ValueError
    return text


def _names(value: object) -> str | tuple[str, ...]:
    return tuple(as_text(v) for v in value) if isinstance(value, list) and value else as_text(value)


def _quantities(value: object, read: Callable[[object], T]) -> dict[str, T]:
    table = as_table(value, read)
    if not {*table} <= {*QUANTITIES}:
        raise ValueError
    return table
