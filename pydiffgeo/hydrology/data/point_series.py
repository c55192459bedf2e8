"""Series at points: soil moisture of the International Soil Moisture Network, and heads in wells from a table.

data = open_ismn("Data_separate_files_header_20100101_20201231", stations=["Zamarron"])
data = open_wells("heads.csv", names={"head": "level_m"}, units={"head": "ft"})
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ...arrays import Array, Dates
from ...checks import shown
from ...errors import DataError, TimeAxisError
from ...io.opening import check_path
from ...io.units import convert
from ..basin import unknown_basin
from .arguments import check_labels
from .text_tables import TextTable, read_lines, read_text_table

# Of soil moisture, as files of the network are named.
_MOISTURE = re.compile(r"_(?:sm|Soil-Moisture)_.*\.stm$")
_MISSING = -9999.0


@dataclass(frozen=True, eq=False)
class _Probe:
    """A sensor: its place, depth in m below ground, and what it saw, m3 m-3."""

    file: Path
    network: str
    station: str
    latitude: float
    longitude: float
    elevation: float
    top: float
    bottom: float
    sensor: str
    times: Dates
    values: Array


def open_ismn(root: str | Path, *, stations: Sequence[str] | None = None, flags: Sequence[str] = ("G",)) -> xr.Dataset:
    """Soil moisture from a folder of the ISMN in the format "variables stored in separate files (header and values)".

    Source: Readme.txt in each download of the network: a file for each sensor, `<network>/<station>/*_sm_*.stm`; its first
    line names network, station, latitude, longitude, elevation and depths, the others hold UTC time, value, quality flag
    and the flag of the provider, where there is one.

    Args:
        root: a folder above the files, or one file.
        stations: their names; all that are there where not given.
        flags: quality flags of values that are taken, "G" for good; others are NaN, as -9999 is. Several flags of one
            value, as "D01,D03", must all be among them.

    Returns:
        Dataset `(probe, time)` with `water_content` (m3 m-3) at all times of any probe, UTC; `(probe,)`: `network`, `station`,
        `sensor`, `depth_from`, `depth_to` (m below ground), `gauge_lat`, `gauge_lon`, `elevation` (m).

    Raises:
        DataError: no file is there, or one is damaged, or holds what is no part of a volume (older downloads are in
            percent); names file and line. UnknownSiteError: a station is not there. TimeAxisError: times repeat or are unsorted.
    """
    root = check_path(root)
    check_labels(stations)
    if isinstance(flags, str) or not all(isinstance(flag, str) for flag in flags):
        raise DataError(f"flags must be a list of quality flags, got {shown(flags)}")
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*.stm") if _MOISTURE.search(p.name))
    if not files:
        raise DataError(f"{root}: no files of soil moisture, such as */*/*_sm_*.stm")
    probes = [_probe(file, frozenset(flags)) for file in files]
    known = [probe.station for probe in probes]
    for station in () if stations is None else stations:
        if station not in known:
            raise unknown_basin(station, known, str(root))
    if stations is not None:
        probes = [probe for station in stations for probe in probes if probe.station == station]
    times = np.unique(np.concatenate([probe.times for probe in probes]))
    values = np.full((len(probes), len(times)), np.nan)
    for row, probe in enumerate(probes):
        values[row, np.searchsorted(times, probe.times)] = probe.values

    def each(name: str, text: str, unit: str = "") -> tuple[str, list[object], dict[str, str]]:
        about = {"long_name": text, **({"units": unit} if unit else {})}
        return "probe", [getattr(probe, name) for probe in probes], about

    about = {"units": "1", "long_name": "volume of water in that of soil"}
    about |= {"standard_name": "volume_fraction_of_condensed_water_in_soil"}
    return xr.Dataset(
        {"water_content": (("probe", "time"), values, about)},
        {
            "probe": ("probe", [f"{p.station} {p.top:g}-{p.bottom:g} m {p.sensor}".strip() for p in probes]),
            "time": (
                "time",
                times.astype("datetime64[ns]"),
                {"standard_name": "time", "time_zone": "UTC", "axis": "T"},
            ),
            "network": each("network", "network"),
            "station": each("station", "station"),
            "sensor": each("sensor", "sensor"),
            "depth_from": each("top", "upper end of the probe, below ground", "m"),
            "depth_to": each("bottom", "lower end of the probe, below ground", "m"),
            "gauge_lat": each("latitude", "latitude", "degrees_north"),
            "gauge_lon": each("longitude", "longitude", "degrees_east"),
            "elevation": each("elevation", "elevation of the ground", "m"),
            "files": each("file", "file that the probe was read from"),
        },
        {"source": str(root)},
    ).assign_coords(files=("probe", [str(p.file) for p in probes]))


def _probe(file: Path, flags: frozenset[str]) -> _Probe:
    lines = read_lines(file)
    header = lines[0].split() if lines else []
    try:
        latitude, longitude, elevation, top, bottom = (float(entry) for entry in header[3:8])
    except ValueError:
        what = "network, station, latitude, longitude, elevation and two depths"
        raise DataError(f"{file}: line 1 does not hold {what}: {' '.join(header)[:80]!r}") from None
    rows = [(number, line.split()) for number, line in enumerate(lines[1:], 2) if line.strip()]
    for number, row in rows:
        if len(row) < 4:
            raise DataError(
                f"{file}: line {number} is cut off: date, time, value and flag are expected: {' '.join(row)!r}"
            )
    table = TextTable(
        file,
        ("time", "value", "flag"),
        tuple((f"{row[0]}T{row[1]}", row[2], row[3]) for _, row in rows),
        tuple(number for number, _ in rows),
    )
    values = table.numbers("value", (_MISSING,))
    good = np.array([{*flag.split(",")} <= flags for flag in table.texts("flag")], bool)
    wrong = good & ((values < 0) | (values > 1))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{file}: line {table.lines[at]} holds {values[at]:g}, which is no part of a volume in m3 m-3")
    times = table.times("time", unit="m")
    network, station, sensor = header[1], header[2], " ".join(header[8:])
    place = latitude, longitude, elevation, top, bottom
    return _Probe(file, network, station, *place, sensor, times, np.where(good, values, np.nan))


def open_wells(
    path: str | Path,
    *,
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    missing: Sequence[float] = (),
) -> xr.Dataset:
    """Heads in wells from a table of text with a row for each reading.

    Args:
        path: the file, with a heading; entries are between commas, semicolons or tabs.
        names: what the table calls `well`, `date`, `head`, `x`, `y`, `screen_top`, `screen_bottom`; the same where not given. The
            last four may be absent.
        units: of `head`, `x`, `y`, `screen_top`, `screen_bottom`; metres where not given.
        missing: numbers that stand for missing heads.

    Returns:
        Dataset `(well, time)` with `head` (m), NaN where a well was not read at a time of another; `(well,)`: `x`, `y`,
        `screen_top`, `screen_bottom` (m), those that are there. Times are irregular, in the zone of the table.

    Raises:
        DataError: the table is damaged, lacks a column, or says different things of one well; names file, line and column.
        UnitError: a unit is none of a length. TimeAxisError: a well was read twice at one time.
    """
    file, names, units = check_path(path), names or {}, units or {}
    places = ("x", "y", "screen_top", "screen_bottom")
    for what, given, known in (
        ("names", names, ("well", "date", "head", *places)),
        ("units", units, ("head", *places)),
    ):
        for key in given:
            if key not in known:
                raise DataError(f"{what}: {key!r} is unknown; known are {', '.join(known)}")
    table = read_text_table(file)
    called = {key: names.get(key, key) for key in ("well", "date", "head", *places)}
    labels, stamps = table.texts(called["well"]), table.texts(called["date"])
    head = _metres(table, called["head"], units.get("head", "m"), missing)
    static = {key: _metres(table, name, units.get(key, "m"), ()) for key in places if table.has(name := called[key])}
    wells = list(dict.fromkeys(labels))
    rows = {well: [i for i, label in enumerate(labels) if label == well] for well in wells}
    moments = {}
    for well, some in rows.items():
        part = TextTable(file, ("date",), tuple((stamps[i],) for i in some), tuple(table.lines[i] for i in some))
        try:
            moments[well] = part.times("date", unit="s")
        except TimeAxisError as error:
            raise TimeAxisError(f"{error} (well {well})", file=str(file)) from error
    times = np.unique(np.concatenate([*moments.values()]))
    values = np.full((len(wells), len(times)), np.nan)
    content: dict[str, tuple[str | tuple[str, ...], Array, dict[str, str]]] = {}
    for row, well in enumerate(wells):
        values[row, np.searchsorted(times, moments[well])] = head[rows[well]]
    content["head"] = (("well", "time"), values, {"units": "m", "long_name": "head"})
    for key, column in static.items():
        for well, some in rows.items():
            if len(np.unique(column[some])) > 1:
                at = next(i for i in some if column[i] != column[some[0]])
                raise DataError(
                    f"{file}: line {table.lines[at]} has another {called[key]!r} of well {well} than before"
                )
        first = column[[some[0] for some in rows.values()]]
        content[key] = ("well", first, {"units": "m", "long_name": key.replace("_", " ")})
    about = {"standard_name": "time", "long_name": "time", "axis": "T"}
    coordinates = {"well": ("well", wells), "time": ("time", times.astype("datetime64[ns]"), about)}
    return xr.Dataset(content, coordinates, {"source": str(file)})


def _metres(table: TextTable, column: str, unit: str, missing: Sequence[float]) -> Array:
    return convert(table.numbers(column, missing), unit, "m", file=str(table.file), variable=column)
