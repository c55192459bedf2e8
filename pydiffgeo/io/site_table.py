"""Numbers of sites by name, such as attributes or embeddings that were computed elsewhere: CSV, NumPy archives, NetCDF."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ..arrays import AnyArray, Array
from ..checks import check_names
from ..errors import DataError, UnknownNameError
from .opening import check_path, open_raw
from .results import write_whole

# Names of the column, array or dimension that names sites, the first that is there.
KEYS = ("site", "basin", "gauge_id", "basinID")


@dataclass(frozen=True, eq=False)
class SiteTable:
    """Columns of numbers, a row for each site.

    Attributes:
        sites: their names. columns: theirs. values: `(sites, columns)`, NaN where unknown.

    Raises:
        DataError: when made with a site or a column twice, or other shapes.
    """

    sites: tuple[str, ...]
    columns: tuple[str, ...]
    values: Array

    def __post_init__(self) -> None:
        for what, names in (("site", self.sites), ("column", self.columns)):
            if twice := sorted({n for n in names if names.count(n) > 1}):
                raise DataError(f"the {what} {twice[0]!r} appears {names.count(twice[0])} times")
        if self.values.shape != (len(self.sites), len(self.columns)):
            raise DataError(
                f"{len(self.sites)} sites and {len(self.columns)} columns do not fit values of shape {self.values.shape}"
            )
        if np.isinf(self.values).any():
            row, column = np.argwhere(np.isinf(self.values))[0]
            raise DataError(f"{self.columns[column]} of site {self.sites[row]!r} is infinite")

    def take(self, sites: Sequence[str]) -> SiteTable:
        """Some of the sites, in the order given.

        Raises:
            DataError: a site is not in the table; names the first few.
        """
        if missing := [name for name in sites if name not in self.sites]:
            raise DataError(f"{len(missing)} of {len(sites)} sites are not in the table: {', '.join(missing[:5])}")
        rows = [self.sites.index(name) for name in sites]
        return SiteTable(tuple(sites), self.columns, self.values[rows])


def read_site_table(path: str | Path, *, key: str | None = None, columns: Sequence[str] | None = None) -> SiteTable:
    """Reads a table of sites; nothing in the file is run, and names stay text: "01057000" keeps its zero.

    A CSV file has a header and a line for each site. A NumPy archive (`.npz`) has the names of sites as one array, and
    others whose first dimension is that of the sites; so has a NetCDF file, whose dimension is called like its names. Arrays of two
    dimensions become several columns: `embedding_0`, `embedding_1`, ...; in an archive, `columns` may name these.

    Args:
        key: name of the column, array or dimension with the names of sites; the first of "site", "basin", "gauge_id"
            and "basinID" if None.
        columns: those wanted; all if None.

    Raises:
        DataError: the file cannot be read, has no names of sites, one of them twice, or something that is no number.
        UnknownNameError: a column is not there.
    """
    path = check_path(path)
    readers = {".csv": _csv, ".npz": _npz, ".nc": _netcdf}
    if path.suffix not in readers:
        raise DataError(f"{path}: a table of sites is a .csv, .npz or .nc file")
    try:
        table = readers[path.suffix](path, key)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table of sites ({error})") from error
    if columns is None:
        return table
    wanted = check_names("columns", columns, least=1)
    if missing := [name for name in wanted if name not in table.columns]:
        raise UnknownNameError(f"{path} has no column {missing[0]!r}; it has {list(table.columns)[:10]}")
    return SiteTable(table.sites, wanted, table.values[:, [table.columns.index(name) for name in wanted]])


def write_site_table(path: str | Path, table: SiteTable) -> Path:
    """Writes a table as a CSV file that `read_site_table` reads back to the last bit; it appears whole or not at all.

    Raises:
        DataError: the folder does not exist or cannot be written.
    """

    def write(temporary: str) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(["site", *table.columns])
            for name, row in zip(table.sites, table.values.tolist(), strict=True):
                out.writerow([name, *("" if np.isnan(v) else repr(v) for v in row)])

    return write_whole(Path(path), write)


def _key(names: Sequence[str], key: str | None) -> str:
    found = [name for name in (KEYS if key is None else (key,)) if name in names]
    if not found:
        raise DataError(f"nothing called {key or ' or '.join(KEYS)} names the sites; there are {list(names)[:10]}")
    return found[0]


def _csv(path: Path, key: str | None) -> SiteTable:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        at = header.index(_key(header, key))
        sites, values = [], []
        for line, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise DataError(f"line {line} has {len(row)} entries, the header {len(header)}")
            sites.append(row[at])
            values.append([_number(v, header[i], row[at]) for i, v in enumerate(row) if i != at])
    columns = tuple(name for i, name in enumerate(header) if i != at)
    return SiteTable(tuple(sites), columns, np.array(values, np.float64).reshape(len(sites), len(columns)))


def _number(text: str, column: str, site: str) -> float:
    try:
        return float(text) if text.strip() else np.nan
    except ValueError:
        raise DataError(f"{column} of site {site!r} is no number: {text!r}") from None


def _npz(path: Path, key: str | None) -> SiteTable:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: np.array(file[name]) for name in file.files}
    sites = _texts(arrays.pop(_key([*arrays], key)))
    named = [str(name) for name in arrays.pop("columns", np.array([])).ravel()]
    return _table(sites, arrays, named)


def _netcdf(path: Path, key: str | None) -> SiteTable:
    with open_raw(path) as raw:
        data = xr.decode_cf(raw)
        name = _key([str(k) for k in data.variables], key)
        names = data[name]
        if names.ndim != 1:
            raise DataError(f"{name} must have one dimension, that of the sites, got {names.dims}")
        of_sites = {
            str(k): v.transpose(names.dims[0], ...).values
            for k, v in data.data_vars.items()
            if names.dims[0] in v.dims and str(k) != name and v.ndim <= 2 and np.issubdtype(v.dtype, np.number)
        }
        return _table(_texts(names.values), of_sites, [])


def _texts(names: AnyArray) -> tuple[str, ...]:
    if names.ndim != 1:
        raise DataError(f"names of sites must have one dimension, got the shape {names.shape}")
    return tuple(n.decode() if isinstance(n, bytes) else str(n) for n in names.tolist())


def _table(sites: tuple[str, ...], arrays: dict[str, AnyArray], named: list[str]) -> SiteTable:
    """Arrays of one or two dimensions side by side, `named` being the columns of the only one of two."""
    columns: list[str] = []
    parts: list[Array] = []
    for name, values in arrays.items():
        if not np.issubdtype(values.dtype, np.number) or values.ndim not in (1, 2) or len(values) != len(sites):
            raise DataError(
                f"{name} must hold numbers of {len(sites)} sites, got {values.dtype} of shape {values.shape}"
            )
        several = values.ndim == 2
        whole = several and len(named) == values.shape[1]
        columns += (named if whole else [f"{name}_{i}" for i in range(values.shape[1])]) if several else [name]
        parts.append(values.reshape(len(sites), -1).astype(np.float64))
    if not parts:
        raise DataError("it holds no numbers of sites")
    return SiteTable(sites, tuple(columns), np.concatenate(parts, axis=1))
