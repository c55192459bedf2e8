"""Small folders in the layouts of CAMELS-US and Caravan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

HEADINGS = {
    "daymet": "Year Mnth Day Hr\tdayl(s)\tprcp(mm/day)\tsrad(W/m2)\tswe(mm)\ttmax(C)\ttmin(C)\tvp(Pa)",
    "maurer": "Year Mnth Day Hr\tdayl(s)\tprcp(mm/day)\tsrad(W/m2)\tswe(mm)\ttmax(C)\ttmin(C)\tvp(Pa)",
    "nldas": "Year Mnth Day Hr\tDayl(s)\tPRCP(mm/day)\tSRAD(W/m2)\tSWE(mm)\tTmax(C)\tTmin(C)\tVp(Pa)",
}
CUBIC_FEET = 1 / 0.3048**3  # in a cubic metre
DAYS = np.arange("2000-02-27", "2000-03-03", dtype="datetime64[D]")
A, B = "01000001", "12345678"


def write_forcing(root: Path, basin: str, product: str, days: np.ndarray, area: str = "86400000") -> Path:
    """Rain is 1, 2, 3, ... mm/d, on a basin of 86.4 km2, where 1 m3/s is 1 mm/d."""
    name = "cida" if product == "daymet" else product
    file = root / "basin_mean_forcing" / product / basin[:2] / f"{basin}_lump_{name}_forcing_leap.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{str(d).replace('-', ' ')} 12\t36000.0\t{i + 1}\t200\t3\t6\t2\t500" for i, d in enumerate(days)]
    file.write_text("\n".join(["  44.8", " 133.0", f" {area}", HEADINGS[product], *rows]) + "\n")
    return file


def write_flow(root: Path, basin: str, days: np.ndarray, flow: list[float]) -> Path:
    file = root / "usgs_streamflow" / basin[:2] / f"{basin}_streamflow_qc.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{basin} {str(d).replace('-', ' ')} {q:10.6f} A" for d, q in zip(days, flow, strict=True)]
    file.write_text("\n".join(rows) + "\n")
    return file


def camels_folder(parent: Path) -> Path:
    """Two basins with forcings of three products, stream flow and attributes."""
    root = parent / "basin_dataset_public_v1p2"
    for basin, first in ((A, 0), (B, 1)):
        for product in HEADINGS:
            write_forcing(root, basin, product, DAYS[first:])
        write_flow(root, basin, DAYS[:3], [CUBIC_FEET, -999.0, 2 * CUBIC_FEET])
    tables = parent / "camels_attributes_v2.0"
    tables.mkdir()
    (tables / "camels_topo.txt").write_text(
        f"gauge_id;gauge_lat;area_gages2\n99999999;1;1\n{B};45.0;43.2\n{A};44.0;86.0\n"
    )
    (tables / "camels_geol.txt").write_text(
        f"gauge_id;geol_1st_class;glim_1st_class_frac\n{A};Granite;0.7\n{B};NA;NA\n"
    )
    (tables / "readme.txt").write_text("not a table")
    return root


UNITS_OF_CARAVAN = """temperature_2m: 2m air temperature [°C]
total_precipitation: Total precipitation [mm]
potential_evaporation_sum_ERA5_LAND: Potential Evaporation [mm] (from ERA5-Land)
snow_depth_water_equivalent: ERA5-Land Snow-Water-Equivalent [mm]
streamflow: Observed streamflow [mm/d]"""


def caravan_file(days: np.ndarray, scale: float = 1.0) -> xr.Dataset:
    n = np.arange(1.0, len(days) + 1)
    names = ("total_precipitation_sum", "temperature_2m_mean", "potential_evaporation_sum_ERA5_LAND", "streamflow")
    data = {name: ("date", (scale * n + i).astype(np.float32)) for i, name in enumerate(names)}
    return xr.Dataset(data, {"date": days.astype("datetime64[ns]")}, {"Units": UNITS_OF_CARAVAN, "Timezone": "UTC"})


def caravan_folder(parent: Path) -> Path:
    """Three basins of two collections, with attributes."""
    root = parent / "Caravan"
    for collection, basins in (("camels", ["camels_1", "camels_2"]), ("lamah", ["lamah_1"])):
        folder = root / "timeseries" / "netcdf" / collection
        folder.mkdir(parents=True)
        tables = root / "attributes" / collection
        tables.mkdir(parents=True)
        for i, basin in enumerate(basins):
            caravan_file(DAYS[i:], scale=i + 1).to_netcdf(folder / f"{basin}.nc", engine="h5netcdf")
        rows = "".join(f"{b},{40 + i},{10 * (i + 1)}\n" for i, b in enumerate(basins))
        (tables / f"attributes_other_{collection}.csv").write_text("gauge_id,gauge_lat,area\n" + rows)
        rows = "".join(f"{b},0.{i + 1}\n" for i, b in enumerate(basins))
        (tables / f"attributes_caravan_{collection}.csv").write_text("gauge_id,frac_snow\n" + rows)
    return root
