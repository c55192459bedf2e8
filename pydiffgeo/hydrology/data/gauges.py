"""Discharge of gauges, as the Global Runoff Data Centre and the U.S. Geological Survey deliver it.

data = open_grdc("grdc_files", stations=["6335020"])
data = open_usgs("01013500.rdb", area={"01013500": 2252.7})
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ...arrays import Array, Dates
from ...errors import DataError
from ...io.axis import Gaps, together
from ...io.dates import check_choice
from ...io.opening import check_path
from ...io.units import convert
from ..basin import unknown_basin
from .arguments import Areas, Choice, check_labels
from .quantities import FILES, SERIES
from .text_tables import TextTable, read_lines

MISSING = -999.0
# What the Survey writes in place of a value: ice, equipment, backwater, season, maintenance and so on. Zero flow and
# dry stand for no measured number either.
CODES = ("Ice", "Eqp", "Bkw", "Ssn", "Mnt", "Rat", "Dis", "Pr", "Fld", "Dry", "ZFl", "ZFL", "***", "---", "__")
# Discharge, daily mean: codes of parameter and statistic.
DISCHARGE, MEAN = "00060", "00003"


@dataclass(frozen=True, eq=False)
class _Gauge:
    """A station with its daily means, m3 s-1; what is not known of it is NaN, or empty."""

    station: str
    file: Path
    days: Dates
    discharge: Array
    name: str = ""
    river: str = ""
    latitude: float = np.nan
    longitude: float = np.nan
    area: float = np.nan


def open_grdc(
    path: str | Path, *, stations: Sequence[str] | None = None, gaps: Gaps = "fill", area: Areas | None = None
) -> xr.Dataset:
    """Daily discharge from files of the GRDC ("Export" in ASCII, `<station>_Q_Day.Cmd.txt`), one for each station.

    Args:
        path: a file, or a folder with several, at any depth.
        stations: GRDC numbers; all that are there where not given.
        gaps: "fill" days that are missing with NaN, or "refuse" them.
        area: km2 of the stations, in place of those in the files.

    Returns:
        Dataset `(basin, time)` with `discharge` (m3 s-1; NaN for -999), and `runoff` (mm d-1), NaN where no area is known;
        `area` (km2), `gauge_lat`, `gauge_lon`, `gauge_name` and `river` `(basin,)`. Join it with forcing by `xarray.merge`.

    Raises:
        DataError: no file is there, or one is damaged, has another unit, or monthly values; names it, line and column.
        UnknownSiteError: a station is not there. TimeAxisError: days repeat or are unsorted.
    """
    files = _files(path, "*.txt")
    return _dataset([_grdc(file) for file in files], str(path), stations, gaps, area)


def open_usgs(
    path: str | Path, *, stations: Sequence[str] | None = None, gaps: Gaps = "fill", area: Areas | None = None
) -> xr.Dataset:
    """Daily mean discharge (parameter 00060, statistic 00003) from files in the format RDB of the U.S. Geological Survey.

    Source: waterservices.usgs.gov, daily values, `format=rdb`: comments with "#", a heading, a line of widths, and rows between
    tabs; a file with several sites has a heading for each.

    Args:
        path: a file, or a folder with several (`*.rdb`, `*.txt`, `*.tsv`).
        stations: site numbers; all that are there where not given.
        gaps: "fill" days that are missing with NaN, or "refuse" them.
        area: km2 of the sites, which the format does not hold.

    Returns:
        Dataset `(basin, time)` with `discharge` (m3 s-1) and, where areas are given, `runoff` (mm d-1). Codes in place
        of values, such as Ice and Eqp, are NaN; qualifiers beside them (A, P, e) are not looked at.

    Raises:
        DataError, UnknownSiteError, TimeAxisError: see `open_grdc`.
    """
    files = _files(path, "*.rdb", "*.txt", "*.tsv")
    return _dataset([gauge for file in files for gauge in _usgs(file)], str(path), stations, gaps, area)


def _files(path: str | Path, *patterns: str) -> list[Path]:
    root = check_path(path)
    if root.is_file():
        return [root]
    files = sorted({file for pattern in patterns for file in root.rglob(pattern)})
    if not files:
        raise DataError(f"{root}: no file, nor a folder with files {', '.join(patterns)}")
    return files


def _grdc(file: Path) -> _Gauge:
    lines = read_lines(file)
    about = {m[1].strip(): m[2].strip() for m in (re.match(r"#\s*([^:]+):(.*)$", line) for line in lines) if m}
    heading = next((i for i, line in enumerate(lines) if line.upper().startswith("YYYY-MM-DD")), None)
    if heading is None or "GRDC-No." not in about:
        raise DataError(f"{file}: is no file of the GRDC: no line '# GRDC-No.:', or none that begins with YYYY-MM-DD")
    unit = about.get("Unit of measure", "")
    if unit.replace("³", "3") != "m3/s":
        raise DataError(f"{file}: the unit of measure is {unit!r}; daily discharge in m3/s is read")
    table = _table(file, lines, heading, ";")
    column = next((c for c in ("Value", "Original") if table.has(c)), "Value")
    number = {key: _number(file, key, about) for key in about if key.startswith(("Latitude", "Longitude", "Catchment"))}
    place = {key.split(" ")[0]: value for key, value in number.items()}
    return _Gauge(
        about["GRDC-No."],
        file,
        table.times(table.heading[0]),
        table.numbers(column, (MISSING,)),
        about.get("Station", ""),
        about.get("River", ""),
        place.get("Latitude", np.nan),
        place.get("Longitude", np.nan),
        place.get("Catchment", np.nan),
    )


def _number(file: Path, key: str, about: Mapping[str, str]) -> float:
    try:
        value = float(about[key] or "nan")
    except ValueError:
        raise DataError(f"{file}: {key} is no number: {about[key]!r}") from None
    return np.nan if value == MISSING else value


def _usgs(file: Path) -> Iterator[_Gauge]:
    lines = read_lines(file)
    starts = [i for i, line in enumerate(lines) if line.startswith("agency_cd\t")]
    if not starts:
        raise DataError(f"{file}: is no RDB file: no heading that begins with agency_cd")
    for heading in starts:
        # The line after a heading holds widths, such as 5s and 14n.
        table = _table(file, lines, heading, "\t", skip=1)
        means = [name for name in table.heading if re.fullmatch(rf"(?:\w+_)?{DISCHARGE}_{MEAN}", name)]
        if len(means) != 1:
            what = "no column" if not means else f"the columns {', '.join(means)}"
            raise DataError(
                f"{file}: line {heading + 1}: {what} of daily mean discharge ({DISCHARGE}_{MEAN}); keep one"
            )
        if not table.rows:
            continue
        sites = {*table.texts("site_no")}
        if len(sites) > 1:
            raise DataError(
                f"{file}: the rows after line {heading + 1} are of several sites: {', '.join(sorted(sites)[:5])}"
            )
        feet = table.numbers(means[0], (-999999.0,), also=CODES)
        discharge = convert(feet, "ft3 s-1", "m3 s-1", file=str(file), variable=means[0])
        yield _Gauge(sites.pop(), file, table.times("datetime"), discharge)


def _table(file: Path, lines: Sequence[str], heading: int, delimiter: str, skip: int = 0) -> TextTable:
    """The table whose heading is that line, up to the next comment or heading."""
    names = tuple(entry.strip() for entry in lines[heading].split(delimiter))
    rows, numbers = list[tuple[str, ...]](), list[int]()
    for number, line in enumerate(lines[heading + 1 + skip :], heading + 2 + skip):
        if line.startswith(("#", names[0])):
            break
        if line.strip():
            row = tuple(entry.strip() for entry in line.split(delimiter))
            if len(row) != len(names):
                raise DataError(f"{file}: line {number} has {len(row)} entries for {len(names)} columns")
            rows.append(row)
            numbers.append(number)
    return TextTable(file, names, tuple(rows), tuple(numbers))


def _dataset(
    gauges: Sequence[_Gauge], source: str, stations: Sequence[str] | None, gaps: Gaps, area: Areas | None
) -> xr.Dataset:
    check_labels(stations)
    check_choice("gaps", gaps, ("fill", "refuse"))
    area = Choice(area=area).area
    by_name: dict[str, _Gauge] = {}
    for gauge in gauges:
        if gauge.station in by_name:
            raise DataError(f"{gauge.file}: station {gauge.station} is in {by_name[gauge.station].file} as well")
        by_name[gauge.station] = gauge
    for station in () if stations is None else stations:
        if station not in by_name:
            raise unknown_basin(station, by_name, source)
    chosen = [by_name[name] for name in (by_name if stations is None else stations)]
    times, joined = together(
        [(g.days, {"discharge": g.discharge}) for g in chosen], [str(g.file) for g in chosen], gaps
    )
    areas = np.array([g.area for g in chosen])
    if isinstance(area, Mapping):
        areas = np.array([float(area.get(g.station, g.area)) for g in chosen])
    elif area is not None:
        areas = np.full(len(chosen), float(area))
    # A cubic metre on a square kilometre is a thousandth of a millimetre.
    runoff = joined["discharge"] * 86.4 / np.where(areas > 0, areas, np.nan)[:, None]
    about = {"units": "m3 s-1", "long_name": "discharge, daily mean"}
    about |= {"standard_name": "water_volume_transport_in_river_channel"}
    content = {
        "discharge": (("basin", "time"), joined["discharge"], about),
        "area": ("basin", areas, {"units": "km2", "long_name": "area of the basin"}),
        "gauge_lat": ("basin", [g.latitude for g in chosen], {"units": "degrees_north", "long_name": "latitude"}),
        "gauge_lon": ("basin", [g.longitude for g in chosen], {"units": "degrees_east", "long_name": "longitude"}),
        "gauge_name": ("basin", [g.name for g in chosen], {"long_name": "name of the gauge"}),
        "river": ("basin", [g.river for g in chosen], {"long_name": "name of the river"}),
        "runoff": (("basin", "time"), runoff, SERIES["runoff"].attributes()),
    }
    return xr.Dataset(
        content,
        {
            "basin": (
                "basin",
                [g.station for g in chosen],
                {"long_name": "number of the gauge", "cf_role": "timeseries_id"},
            ),
            "time": ("time", times, {"standard_name": "time", "long_name": "day", "axis": "T"}),
            "files": ("basin", [str(g.file) for g in chosen], FILES),
        },
        {"source": source, "left_out": ""},
    )
