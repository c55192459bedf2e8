"""Reads basins from the text files of CAMELS-US (Newman et al. 2015, Hydrol. Earth Syst. Sci. 19).

<root>/basin_mean_forcing/<product>/[<region>/]<basin>_..._forcing_leap.txt
<root>/usgs_streamflow/[<region>/]<basin>_streamflow_qc.txt
<root>/camels_attributes_v2.0/camels_*.txt       attributes; may lie beside <root> as well
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import xarray as xr

from ...arrays import Array, Dates
from ...errors import DataError
from ...io.axis import Gaps, together
from ...io.dates import check_choice
from ...io.opening import check_path
from ...io.units import convert
from ..basin import mean_of, unknown_basin
from .arguments import check_labels, texts
from .attributes import CAMELS_UNITS, read_table, read_tables
from .quantities import FILES, SERIES
from .text_files import Forcing, find_files, only_file, read_flow, read_forcing

CUBIC_METRES_PER_CUBIC_FOOT = 0.3048**3
PRODUCTS = ("daymet", "maurer", "nldas")
ATTRIBUTES = "camels_attributes_v2.0"
# Columns whose mean is a quantity; their names are in lower case and without the unit in brackets.
COLUMNS: dict[str, tuple[str, ...]] = {
    "precipitation": ("prcp",),
    "temperature": ("tmax", "tmin"),
    "daylength": ("dayl",),
}
# Quantities that are a single column, which not every product has.
FURTHER = {
    "temperature_min": "tmin",
    "temperature_max": "tmax",
    "shortwave_radiation": "srad",
    "vapour_pressure": "vp",
    "snow_water_equivalent": "swe",
}


def open_camels(
    root: str | Path,
    *,
    basins: Sequence[str] | None = None,
    product: str | Sequence[str] = "daymet",
    gaps: Gaps = "fill",
    attributes: bool = True,
    flow: bool = True,
) -> xr.Dataset:
    """Forcing, runoff and attributes of many basins from a folder in the original layout of CAMELS-US.

    The area that turns stream flow into runoff is that in the header of the forcing file, of the first
    product; where it states none, `area_gages2` of the attributes. -999 is NaN. Forcing and runoff keep all
    their days. (The extremes of temperature of Maurer and NLDAS are both its mean in the original files.)

    Args:
        root: the folder that holds `basin_mean_forcing` and `usgs_streamflow`.
        basins: gauge numbers, eight digits; where not given, all with forcing of every product, stream flow and
            attributes, as far as these are asked for; a warning says which have forcing, but not all.
        product: "daymet", "maurer", "nldas", or several of them, which adds `_daymet` and so on to
            the names of the forcings.
        gaps: "fill" days that are missing in a file with NaN, or "refuse" them.
        attributes: read the tables of attributes, if there are any.
        flow: read stream flow; without it, there is no runoff, and basins need no gauge.

    Returns:
        Dataset with the dimensions `(basin, time)`: precipitation (mm d-1), temperature, temperature_min,
        temperature_max (degC), daylength (h), shortwave_radiation (W m-2), vapour_pressure (Pa),
        snow_water_equivalent (mm), runoff (mm d-1); attributes and `area` (km2) as `(basin,)`; the coordinate
        `files` says where each basin comes from.

    Raises:
        DataError: names the file and what is wrong in it; a basin without a file or an area.
        UnitError: a column has no unit, or one of another kind.
        TimeAxisError: days of a file repeat or are unsorted, or missing where that is refused.
    """
    check_choice("gaps", gaps, ("fill", "refuse"))
    root = check_path(root)
    check_labels(basins)
    if not isinstance(product, str) and not texts(product):
        raise DataError(f"product must be one of {', '.join(PRODUCTS)}, or several of them; got {product!r}")
    products = (product,) if isinstance(product, str) else tuple(product)
    if not products:
        raise DataError(f"product must be one of {', '.join(PRODUCTS)}, or several of them; got none")
    folders = [_forcing_folder(root, p) for p in products]
    forcing_files = [find_files(folder, "forcing_leap.txt") for folder in folders]
    flow_folder = root / "usgs_streamflow"
    flow_files = find_files(flow_folder, "streamflow_qc.txt") if flow else {}
    tables = _tables(root) if attributes else []
    if basins is None:
        forced = dict[Path, Collection[str]](zip(folders, forcing_files, strict=True))
        further = dict[Path, Collection[str]]({t: read_table(t, ";") for t in tables})
        further = {flow_folder: flow_files, **further} if flow else further
        wanted = _complete(root, forced, further)
    else:
        wanted = [*basins]

    # Forcing and runoff of a basin have days of their own: each file is a row to be brought together.
    kinds: list[list[tuple[Dates, dict[str, Array]]]] = [[] for _ in range(len(products) + flow)]
    names: list[list[str]] = [[] for _ in kinds]
    areas = []
    for basin in wanted:
        area, first = math.nan, Path()
        for i, (folder, files) in enumerate(zip(folders, forcing_files, strict=True)):
            path = only_file(files, basin, folder)
            forcing = read_forcing(path)
            if i == 0:
                area, first = forcing.area, path
            end = f"_{products[i]}" if len(products) > 1 else ""
            kinds[i].append((forcing.dates, {k + end: v for k, v in _series(forcing, path).items()}))
            names[i].append(str(path))
        if flow:
            path = only_file(flow_files, basin, flow_folder)
        area = _area(root, basin, area, first)
        areas.append(area / 1e6)
        if flow:
            dates, depth = _runoff(root, basin, path, area, first)
            kinds[-1].append((dates, {"runoff": depth}))
            names[-1].append(str(path))

    rows = [row for kind in kinds for row in kind]
    times, joined = together(rows, [n for some in names for n in some], gaps)
    count = len(wanted)
    data = {}
    for i, kind in enumerate(kinds):
        for name in kind[0][1]:
            quantity, end = name, ""
            if i < len(products) and len(products) > 1:
                quantity, end = name.removesuffix(f"_{products[i]}"), products[i]
            about = SERIES[quantity].attributes(end)
            data[name] = xr.Variable(("basin", "time"), joined[name][i * count : (i + 1) * count], about)
    static = {"area": xr.Variable(("basin",), areas, {"units": "km2", "long_name": "area of the basin"})}
    if tables:
        static |= read_tables(tables, wanted, ";", CAMELS_UNITS)
    about_time = {"standard_name": "time", "long_name": "day", "axis": "T"}
    about_basin = {"long_name": "number of the gauge", "cf_role": "timeseries_id"}
    origins = [", ".join(some) for some in zip(*names, strict=True)]
    return xr.Dataset(
        {**static, **data},
        {
            "basin": ("basin", wanted, about_basin),
            "time": ("time", times, about_time),
            "files": ("basin", origins, FILES),
        },
        {"source": str(root), "forcing": ", ".join(products)},
    )


def _complete(root: Path, forced: Mapping[Path, Collection[str]], further: Mapping[Path, Collection[str]]) -> list[str]:
    """The gauges with forcing that are everywhere: place -> gauges, of folders of forcing, and of what else is read.

    Warns once, with the number and the first names of those that are left out.

    Raises:
        UnknownSiteError: none is left.
    """
    every, lacking = sorted({g for gauges in forced.values() for g in gauges}), dict[str, Path]()
    places = {**forced, **further}
    for gauge in every:
        absent = next((place for place, gauges in places.items() if gauge not in gauges), None)
        if absent is not None:
            lacking[gauge] = absent
    if every and len(lacking) == len(every):
        raise unknown_basin(every[0], places[lacking[every[0]]], str(lacking[every[0]]))
    if lacking:
        some = ", ".join(f"{gauge} (not in {place.name})" for gauge, place in [*lacking.items()][:3])
        more = ", ..." if len(lacking) > 3 else ""
        warnings.warn(
            f"{root}: {len(lacking)} of {len(every)} gauges with forcing lack something and are left out: {some}{more}",
            stacklevel=3,
        )
    return [gauge for gauge in every if gauge not in lacking]


def _forcing_folder(root: Path, product: str) -> Path:
    """The folder of a product; other folders than those below `root` cannot be named."""
    if not isinstance(product, str) or not re.fullmatch(r"[\w-]+", product):
        raise DataError(f"product must be the name of a folder in {root / 'basin_mean_forcing'}, got {product!r}")
    return root / "basin_mean_forcing" / product


def _quantity(forcing: Forcing, name: str, columns: Sequence[str], unit: str, file: Path) -> Array:
    """A quantity as the mean of columns, in `unit`."""
    series = {}
    for column in columns:
        if column not in forcing.columns:
            raise DataError(
                f"{file}: the heading in line 4 has no column {column!r}, needed for {name}: {[*forcing.columns]}"
            )
        stated = forcing.units.get(column)
        series[column] = convert(forcing.columns[column], stated, unit, file=str(file), variable=column)
    return mean_of(series)


def _series(forcing: Forcing, file: Path) -> dict[str, Array]:
    """All quantities of a forcing file; those that not every product has may be absent."""
    columns = COLUMNS | {k: (column,) for k, column in FURTHER.items() if column in forcing.columns}
    return {k: _quantity(forcing, k, v, SERIES[k].unit, file) for k, v in columns.items()}


def _runoff(root: Path, basin: str, file: Path, area: float, forcing_file: Path) -> tuple[Dates, Array]:
    """Days and runoff (mm/d) of a basin with an `area` in m2."""
    dates, flow = read_flow(file, basin)
    return dates, flow * CUBIC_METRES_PER_CUBIC_FOOT * 86400 / _area(root, basin, area, forcing_file) * 1000


def _area(root: Path, basin: str, stated: float, forcing_file: Path) -> float:
    """Area (m2): that of the forcing file, else that of `camels_topo.txt`."""
    if math.isfinite(stated) and stated > 0:
        return stated
    topo = next((t for t in _tables(root) if t.name == "camels_topo.txt"), None)
    if topo is None:
        raise DataError(f"{forcing_file}: line 3 states no area, and there is no camels_topo.txt under {root}")
    try:
        area = float(read_table(topo, ";")[basin]["area_gages2"]) * 1e6
    except (ValueError, KeyError) as error:
        raise DataError(f"{topo}: no area_gages2 of basin {basin}, and {forcing_file} states none") from error
    if not (math.isfinite(area) and area > 0):
        raise DataError(f"{topo}: area_gages2 of basin {basin} is {area / 1e6:g}, and {forcing_file} states none")
    return area


def _tables(root: Path) -> list[Path]:
    """The tables of attributes; their archive is one of its own, so they may lie beside the folder too."""
    for folder in (root / ATTRIBUTES, root / ATTRIBUTES / ATTRIBUTES, root.parent / ATTRIBUTES, root):
        if tables := sorted(folder.glob("camels_*.txt")):
            return tables
    return []
