"""Series of basins from the text files of CAMELS-GB, -DE, -CH, -BR, -CL, -AUS and LamaH-CE.

data = open_collection("CAMELS_GB/data", "camels-gb", basins=["10002", "10003"])
data = open_collection("CAMELS_BR", "camels-br", products={"precipitation": "mswep"})
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from ...arrays import Array, Dates
from ...checks import shown
from ...errors import DataError
from ...io.axis import Gaps, regular, together
from ...io.dates import check_choice
from ...io.opening import check_path
from ...io.units import convert, is_volume_rate
from ..basin import unknown_basin
from .arguments import check_labels
from .assemble import areas_of
from .attributes import variable
from .layouts import LAYOUTS, Layout, Source
from .quantities import FILES, SERIES
from .text_tables import TextTable, read_text_table

# Where a basin's series are: its own file, or a column of one for all.
Places = dict[str, Path]


def open_collection(
    root: str | Path,
    collection: str,
    *,
    basins: Sequence[str] | None = None,
    products: Mapping[str, str] | None = None,
    gaps: Gaps = "fill",
) -> xr.Dataset:
    """Forcing, runoff and attributes of many basins from the text files of a collection, as they are unpacked.

    Files are found by their names anywhere below `root`; series whose files are not there are left out, and named by the attribute
    `left_out`. Names of files and columns, units and codes of missing values are those of the papers and data descriptions,
    as public readers of these collections repeat them; no original files were at hand when this was written. Not
    confirmed by documentation: that `temperature_min` and `temperature_max` of CAMELS-DE are the extremes of the day
    (the other columns of these names are extremes over the basin), and that attributes of CAMELS-CL of the release of
    2022 (`catchment_attributes.csv`) have a row for each basin.

    Args:
        root: a folder above the files.
        collection: "camels-gb", "camels-de", "camels-ch", "camels-br", "camels-cl", "camels-aus" or "lamah-ce".
        basins: identifiers, as in the names of files, or of columns; where not given, all that have every series that is
            there. A warning says which have some only.
        products: quantity -> product, where a collection has several: of precipitation of CAMELS-BR "chirps" (where not
            given), "mswep" or "cpc", of CAMELS-CL "cr2met", "chirps", "mswep", "tmpa", of CAMELS-AUS "AGCD", "AWAP", "SILO";
            of its `potential_evaporation` "et_morton_wet", "et_short_crop", "et_tall_crop", "et_morton_point".
        gaps: "fill" days that are missing in a file with NaN, or "refuse" them.

    Returns:
        Dataset with the dimensions `(basin, time)` as `open_camels` returns it: precipitation (mm d-1), temperature,
        temperature_min, temperature_max (degC), potential_evaporation (mm d-1), runoff (mm d-1) and others as far as
        they are there; attributes `(basin,)`, with `area` (km2), `gauge_lat` and `gauge_lon` where the collection has them.
        Runoff of LamaH-CE is the flow at the gauge over `area_calc` of the basin above it. Coordinates of gauges of
        LamaH-CE are not in degrees, and not taken: give `basin_data` the latitude.

    Raises:
        DataError: the collection or a product is not known, no file is there, or one is damaged: names it, line and column.
        UnknownSiteError: a basin is not there. TimeAxisError: days repeat, are unsorted, or missing where that is refused.
    """
    root = check_path(root)
    check_labels(basins)
    check_choice("gaps", gaps, ("fill", "refuse"))
    check_choice("collection", collection, tuple(LAYOUTS))
    layout = LAYOUTS[collection]
    files = sorted(p for p in root.rglob("*") if p.suffix in (".csv", ".txt"))
    sources, left_out = _chosen(layout, files, products or {}, root)
    places = [_places(source, files, layout) for source in sources]
    wanted = _wanted(root, sources, places, basins)
    about, origins = dict[str, str](), [list[str]() for _ in wanted]
    parts = list[tuple[Dates, dict[str, Array]]]()
    for source, found in zip(sources, places, strict=True):
        rows, table = list[tuple[Dates, dict[str, Array]]](), None
        for i, basin in enumerate(wanted):
            file = found[basin]
            # A file of all basins is read once.
            if table is None or table.file != file:
                table = read_text_table(file)
            rows.append(_series(table, source, basin, layout, about))
            origins[i].append(str(file))
        parts.append(together(rows, [str(found[basin]) for basin in wanted], gaps))
    times = regular(np.unique(np.concatenate([days for days, _ in parts])), str(root), "fill")
    content: dict[str, xr.Variable] = dict(_static(layout, files, wanted))
    for days, joined in parts:
        for quantity, some in joined.items():
            values = np.full((len(wanted), len(times)), np.nan)
            values[:, np.searchsorted(times, days)] = some
            content[quantity] = _variable(quantity, values, about[quantity])
    data = xr.Dataset(
        content,
        {
            "basin": ("basin", wanted, {"long_name": "identifier of the gauge", "cf_role": "timeseries_id"}),
            "time": ("time", times, {"standard_name": "time", "long_name": "day", "axis": "T"}),
            "files": ("basin", [", ".join(dict.fromkeys(some)) for some in origins], FILES),
        },
        {"source": str(root), "collection": layout.title, "left_out": ", ".join(dict.fromkeys(left_out))},
    )
    if "runoff" in data and is_volume_rate(about["runoff"]):
        areas = areas_of(data, str(root), "runoff", None)
        # A cubic metre on a square kilometre is a thousandth of a millimetre.
        data["runoff"] = _variable("runoff", data["runoff"].values * 86.4 / areas[:, None], "mm d-1")
    return data


def _chosen(
    layout: Layout, files: Sequence[Path], products: Mapping[str, str], root: Path
) -> tuple[list[Source], list[str]]:
    """Of each quantity the source to read, and the quantities whose files are not there."""
    if not isinstance(products, Mapping):
        raise DataError(f"products must be a mapping from quantities, got {shown(products)}")
    known: dict[str, list[Source]] = {}
    for source in layout.sources:
        known.setdefault(source.columns[0].quantity, []).append(source)
    for quantity, product in products.items():
        there = [source.product for source in known.get(quantity, ()) if source.product]
        if product not in there:
            raise DataError(f"{layout.title}: {quantity} has no product {product!r}; it has {there or 'one only'}")
    chosen, left_out = list[Source](), list[str]()
    for quantity, some in known.items():
        wanted = [source for source in some if source.product == products.get(quantity, source.product)]
        present = [source for source in wanted if any(_matches(source, file) for file in files)]
        if present:
            chosen.append(present[0])
        elif quantity in products:
            raise DataError(f"{root}: no file of {quantity} by {products[quantity]}, such as {wanted[0].files}")
        else:
            left_out.append(quantity)
    if not chosen:
        raise DataError(f"{root}: no files of {layout.title}, such as {layout.sources[0].files}")
    return chosen, left_out


def _matches(source: Source, file: Path) -> re.Match[str] | None:
    if source.folder and not file.parent.as_posix().endswith(source.folder):
        return None
    return re.fullmatch(source.files, file.name)


def _places(source: Source, files: Sequence[Path], layout: Layout) -> Places:
    """basin -> the file that holds it.

    Raises:
        DataError: a basin has two.
    """
    places = Places()
    for file in files:
        if (match := _matches(source, file)) is None:
            continue
        if source.wide:
            heading = read_text_table(file).heading
            basins = [h for h in heading if h not in ("year", "month", "day", *(c for t in layout.time for c in t))]
        else:
            basins = [match[1]]
        for basin in basins:
            if basin in places:
                raise DataError(f"{file}: basin {basin} is in {places[basin]} as well")
            places[basin] = file
    return places


def _wanted(root: Path, sources: Sequence[Source], places: Sequence[Places], basins: Sequence[str] | None) -> list[str]:
    """The basins to read: those asked for, or all that are everywhere."""
    if basins is not None:
        for basin in basins:
            for source, found in zip(sources, places, strict=True):
                if basin not in found:
                    raise unknown_basin(basin, found, f"{root}: {source.columns[0].quantity}")
        return [*basins]
    every = list(dict.fromkeys(basin for found in places for basin in found))
    whole = [basin for basin in every if all(basin in found for found in places)]
    if not whole:
        raise DataError(f"{root}: no basin has all series; {every[0]} is not in all files")
    if len(whole) < len(every):
        lacking = [basin for basin in every if basin not in whole]
        warnings.warn(
            f"{root}: {len(lacking)} of {len(every)} basins lack some series and are left out: {', '.join(lacking[:3])}",
            stacklevel=3,
        )
    return whole


def _series(
    table: TextTable, source: Source, basin: str, layout: Layout, about: dict[str, str]
) -> tuple[Dates, dict[str, Array]]:
    """Days and series of a basin, in the units of pydiffgeo but for volumes per time; their units go to `about`."""
    columns = next((some for some in layout.time if all(map(table.has, some))), layout.time[0])
    days, values = table.times(*columns), dict[str, Array]()
    for column in source.columns:
        names = (basin,) if source.wide else column.names
        name = next((n for n in names if table.has(n)), names[0])
        # What only some releases have may be absent; what each has may not.
        if not table.has(name) and column.quantity not in SERIES:
            continue
        unit = SERIES[column.quantity].unit if column.quantity in SERIES else column.unit
        numbers = table.numbers(name, source.missing)
        if is_volume_rate(column.unit):
            unit = column.unit
        values[column.quantity] = convert(numbers, column.unit, unit, file=str(table.file), variable=name)
        about[column.quantity] = unit
    return days, values


def _variable(quantity: str, values: Array, unit: str) -> xr.Variable:
    attributes: dict[str, str] = {"units": unit, "long_name": quantity.replace("_", " ")}
    if quantity in SERIES:
        attributes = SERIES[quantity].attributes()
    return xr.Variable(("basin", "time"), values, attributes)


def _static(layout: Layout, files: Sequence[Path], basins: Sequence[str]) -> dict[str, xr.Variable]:
    """The attributes of the basins: name -> `(basin,)`, numbers or text."""
    columns: dict[str, list[str]] = {}
    for file in files:
        fits = layout.tables and re.fullmatch(layout.tables, file.name)
        if not fits or not file.parent.as_posix().endswith(layout.tables_folder):
            continue
        table = read_text_table(file)
        if layout.transposed and table.heading[0] == "gauge_id" and basins[0] in table.heading:
            entries = {row[0]: dict(zip(table.heading[1:], row[1:], strict=True)) for row in table.rows}
        else:
            by_basin = {row[0]: row[1:] for row in table.rows}
            entries = {name: {b: row[i] for b, row in by_basin.items()} for i, name in enumerate(table.heading[1:])}
        for name, of in entries.items():
            for basin in basins:
                if basin not in of:
                    raise unknown_basin(basin, of, str(file))
            columns.setdefault(layout.renamed.get(name, name), [of[basin] for basin in basins])
    return {name: variable(name, texts, layout.units) for name, texts in columns.items() if name not in SERIES}
