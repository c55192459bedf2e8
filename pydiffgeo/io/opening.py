"""Opens NetCDF files and Zarr stores as they are stored, and nothing in them that could run code."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import xarray as xr

from ..arrays import Json
from ..checks import shown
from ..errors import DataError
from .classic import check_whole
from .units import require


def check_path(path: object) -> Path:
    """Raises `DataError` unless `path` can be one."""
    if not isinstance(path, (str, os.PathLike)):
        raise DataError(f"the name of a file or folder must be text or a path, got {shown(path)}")
    return Path(path)


def open_raw(path: str | Path) -> xr.Dataset:
    """A NetCDF file or Zarr store as it is stored, open: to be closed by the caller; values are read when looked at.

    Raises:
        DataError: it cannot be opened, or is cut off.
        MissingPackageError: the package for it is not installed.
    """
    path = check_path(path)
    if os.path.isdir(path) or path.suffix == ".zarr":
        require("zarr", f"{path}: reading Zarr")
        refuse_pickles(path)
        kind, engine = "Zarr", "zarr"
    else:
        kind, engine = "NetCDF", None
        check_whole(path)
    try:
        return xr.open_dataset(path, decode_cf=False, engine=engine)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened as {kind} ({error})") from error
    # Libraries raise RuntimeError, KeyError and their own kinds where a file is cut off.
    except Exception as error:
        if kind == "NetCDF" and not any(map(find_spec, ("netCDF4", "h5netcdf"))):
            require("h5netcdf", f"{path}: reading NetCDF")
        raise DataError(f"{path}: cannot be opened as {kind} ({error})") from error


def refuse_pickles(store: Path) -> None:
    """Raises `DataError` where an array of a Zarr store holds Python objects: decoding these can run code."""
    for pattern in (".zmetadata", "zarr.json", "*/.zarray", "*/zarr.json"):
        for file in store.glob(pattern):
            try:
                codecs = [*_codecs(json.loads(file.read_bytes()))]
            except (OSError, ValueError, RecursionError) as error:
                raise DataError(f"{store}: cannot be opened as Zarr ({file.name}: {error})") from error
            if bad := [c for c in codecs if "pickle" in c.lower()]:
                where = file.relative_to(store)
                raise DataError(f"{store}: {where} has the codec {bad[0]!r}, which can run code; not read")


def _codecs(metadata: Json) -> Iterator[str]:
    """What codecs are called anywhere in the metadata of a store."""
    for value in metadata if isinstance(metadata, list) else []:
        yield from _codecs(value)
    for key, value in metadata.items() if isinstance(metadata, dict) else []:
        if key in ("id", "name", "object_codec_id") and isinstance(value, str):
            yield value
        elif key != "attributes" and not key.endswith(".zattrs"):
            yield from _codecs(value)


def renamed(data: xr.Dataset, old: str, new: str, file: str) -> xr.Dataset:
    """`data` with a dimension renamed; raises `DataError` where the file calls something else so."""
    if new in data.variables or new in data.dims:
        raise DataError(f"{file}: {old!r} is to be {new!r}, but the file has another {new!r}")
    data = data.rename({old: new})
    axis = re.compile(rf"\b{re.escape(old)}:")
    for variable in data.variables.values():
        if "cell_methods" in variable.attrs:
            variable.attrs["cell_methods"] = axis.sub(f"{new}:", str(variable.attrs["cell_methods"]))
    return data
