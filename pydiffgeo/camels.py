"""Reads a basin from the text files of CAMELS-US (Newman et al. 2015, Hydrol. Earth Syst. Sci. 19).

<root>/basin_mean_forcing/<product>/[<region>/]<basin>_..._forcing_leap.txt
<root>/usgs_streamflow/[<region>/]<basin>_streamflow_qc.txt
<root>/camels_attributes_v2.0/camels_topo.txt       only where a forcing file states no area
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from .basin import Array, BasinData, Dates, check_calendar, convert, mean_of, unknown_basin
from .errors import DataError

CUBIC_METRES_PER_CUBIC_FOOT = 0.3048**3
MISSING = -999.0
# Names of the columns, in lower case and without the unit in brackets.
COLUMNS = {"precipitation": ("prcp",), "temperature": ("tmax", "tmin"), "daylength": ("dayl",)}


def read_camels(root: str | Path, basin: str, *, product: str = "daymet") -> BasinData:
    """One basin from a folder in the original layout of CAMELS-US.

    Runoff is the stream flow (cubic feet per second) over the basin area in the header of the forcing
    file; -999 becomes NaN. Temperature is the mean of the daily extremes. The days are those of the
    forcing; runoff of other days is left out.

    Args:
        root: the folder that holds `basin_mean_forcing` and `usgs_streamflow`.
        basin: gauge number, eight digits.
        product: folder of the forcing: "daymet", "maurer" or "nldas".

    Raises:
        DataError: names the file and what is wrong in it.
    """
    root = Path(root)
    forcing_file = _find(root / "basin_mean_forcing" / product, basin, "forcing_leap.txt")
    flow_file = _find(root / "usgs_streamflow", basin, "streamflow_qc.txt")
    area, dates, forcing = _read_forcing(forcing_file)
    if not (math.isfinite(area) and area > 0):
        area = _area_from_attributes(root, basin, forcing_file)
    flow_dates, flow = _read_flow(flow_file, basin)

    runoff = np.full(len(dates), np.nan)
    position = (flow_dates - dates[0]).astype(np.int64)
    shared = (position >= 0) & (position < len(dates))
    if not shared.any():
        raise DataError(
            f"{flow_file}: runoff from {flow_dates[0]} to {flow_dates[-1]} shares no day with the forcing, "
            f"{dates[0]} to {dates[-1]}"
        )
    runoff[position[shared]] = flow[shared] * CUBIC_METRES_PER_CUBIC_FOOT * 86400 / area * 1000
    return BasinData(basin, dates, runoff=runoff, source=f"{forcing_file}, {flow_file}", **forcing)


def _find(folder: Path, basin: str, ending: str) -> Path:
    if not folder.is_dir():
        beside = sorted(p.name for p in folder.parent.iterdir() if p.is_dir()) if folder.parent.is_dir() else []
        raise DataError(f"{folder}: no such folder" + (f"; there are {', '.join(beside)}" if beside else ""))
    files = {p: p.name.split("_")[0] for p in sorted(folder.rglob(f"*_{ending}"))}
    found = [p for p, name in files.items() if name == basin]
    if not found:
        raise unknown_basin(basin, files.values(), str(folder))
    if len(found) > 1:
        raise DataError(f"{folder}: basin {basin} has {len(found)} files: {', '.join(map(str, found))}")
    return found[0]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error


def _read_forcing(file: Path) -> tuple[float, Dates, dict[str, Array]]:
    """Area (m2), days and forcings of a forcing file: latitude, elevation, area, names, rows."""
    lines = _lines(file)
    if len(lines) < 5:
        raise DataError(f"{file}: ends after {len(lines)} lines; a header of four and daily rows are expected")
    try:
        area = float(lines[2].split()[0])
    except (ValueError, IndexError):
        area = math.nan
    heading = lines[3].split()
    units = {m[1].lower(): m[2] for m in (re.match(r"(\w+)\((.+)\)$", h) for h in heading) if m}
    columns = [re.sub(r"\(.*\)$", "", h).lower() for h in heading]
    rows = [line.split() for line in lines[4:]]
    dates = check_calendar(_dates(file, rows, 5, 0), str(file))
    forcing = {}
    for name, wanted in COLUMNS.items():
        series = {}
        for column in wanted:
            if column not in columns:
                raise DataError(f"{file}: the heading in line 4 has no column {column!r}, needed for {name}: {heading}")
            values = _numbers(file, rows, columns.index(column), 5, column)
            series[column] = convert(name, values, units.get(column, "none"), str(file), column)
        forcing[name] = mean_of(series)
    return area, dates, forcing


def _read_flow(file: Path, basin: str) -> tuple[Dates, Array]:
    """Days and stream flow (cubic feet per second) of a stream flow file; missing ones are NaN."""
    rows = [line.split() for line in _lines(file)]
    if not rows:
        raise DataError(f"{file}: is empty")
    for number, row in enumerate(rows, 1):
        if not row or row[0] != basin:
            raise DataError(f"{file}: line {number} does not belong to basin {basin}: {' '.join(row)[:60]!r}")
    dates = _dates(file, rows, 1, 1)
    steps = np.diff(dates).astype(np.int64)
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0])
        kind = "appears twice" if steps[at] == 0 else "is followed by an earlier day"
        raise DataError(f"{file}: the day {dates[at]} {kind}")
    flow = _numbers(file, rows, 4, 1, "stream flow")
    missing = flow == MISSING
    negative = ~missing & (flow < 0)
    if negative.any():
        raise DataError(f"{file}: stream flow is {flow[negative][0]:g} on {dates[negative][0]}; negative, and not -999")
    return dates, np.where(missing, np.nan, flow)


def _dates(file: Path, rows: list[list[str]], first_line: int, column: int) -> Dates:
    """Days from three columns: year, month, day."""
    days = np.empty(len(rows), "datetime64[D]")
    for i, row in enumerate(rows):
        try:
            year, month, day = (int(v) for v in row[column : column + 3])
            days[i] = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}")
        except ValueError as error:
            raise DataError(f"{file}: line {i + first_line} has no date: {' '.join(row)[:60]!r}") from error
    return days


def _numbers(file: Path, rows: list[list[str]], column: int, first_line: int, name: str) -> Array:
    values = np.empty(len(rows))
    for i, row in enumerate(rows):
        try:
            values[i] = float(row[column])
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{file}: line {i + first_line} has no number for {name}: {' '.join(row)[:60]!r}"
            ) from error
    return values


def _area_from_attributes(root: Path, basin: str, forcing_file: Path) -> float:
    """Area (m2) from `camels_topo.txt`."""
    found = sorted(root.rglob("camels_topo.txt"))
    if not found:
        raise DataError(f"{forcing_file}: line 3 states no area, and there is no camels_topo.txt under {root}")
    lines = [line.split(";") for line in _lines(found[0])]
    try:
        gauge, column = lines[0].index("gauge_id"), lines[0].index("area_gages2")
        return next(float(row[column]) for row in lines[1:] if row[gauge] == basin) * 1e6
    except (ValueError, IndexError, StopIteration) as error:
        raise DataError(f"{found[0]}: no area_gages2 of basin {basin}, and {forcing_file} states none") from error
