"""The made-up basins of `learning` as files, and a configuration that learns from them."""

from __future__ import annotations

from pathlib import Path

from calibration import write_config
from learning import make_sites

CONFIG = """
[data]
table = "basins.csv"
series = "series/{basin}.csv"
held_out = ["site 1", "site 4", "site 7"]

[periods]
train = [2000-01-01, 2000-04-29]
evaluation = [2000-05-30, 2000-06-30]
warmup = 20

[model]
name = "ExpHydro"
[model.bounds]
f = [0.01, 0.1]
D_f = [0.5, 5.0]
[model.fixed]
Q_max = 15.0
T_max = 1.0
T_min = -1.0
S_max = 200.0
[model.initial]
water_storage = 150.0

[network]
inputs = ["slope", "noise"]
hidden = [8]
seeds = [3, 4]

[training]
steps = 20
batch = 6
window = 60
learning_rate = 0.05

[solve]
engine = "sundials"

[output]
file = "learnt.nc"
"""


def write_files(folder: Path) -> None:
    """A table of nine basins, and a file of each, with gaps in runoff."""
    sites = make_sites()
    (folder / "series").mkdir()
    rows = ["basin," + ",".join(sites.inputs)]
    for i, name in enumerate(sites.names):
        rows.append(",".join([name, *(f"{value:.9g}" for value in sites.attributes[i].tolist())]))
        series = {**{k: v[i] for k, v in sites.forcing.items()}, "runoff": sites.observed[i]}
        lines = ["date," + ",".join(series)]
        for day, values in zip(sites.dates, zip(*series.values(), strict=True), strict=True):
            entries = ("" if value.isnan() else f"{value.item():.9g}" for value in values)
            lines.append(f"{day}," + ",".join(entries))
        (folder / "series" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "basins.csv").write_text("\n".join(rows) + "\n")


def write_caravan(folder: Path) -> None:
    """The same basins as a folder of Caravan, with series as CSV. They lie on the equator, where days last twelve hours."""
    sites, names = make_sites(), dict(precipitation="total_precipitation_sum", temperature="temperature_2m_mean")
    series, tables = (folder / "Caravan" / kind / "camels" for kind in ("timeseries/csv", "attributes"))
    series.mkdir(parents=True)
    tables.mkdir(parents=True)
    own, other = ["gauge_id," + ",".join(sites.inputs)], ["gauge_id,gauge_lat,area"]
    for i, values in enumerate(sites.attributes.tolist()):
        own.append(",".join([f"camels_{i}", *(f"{value:.9g}" for value in values)]))
        other.append(f"camels_{i},0.0,100.0")
        columns = {**{new: sites.forcing[old][i] for old, new in names.items()}, "streamflow": sites.observed[i]}
        lines = ["date," + ",".join(columns)]
        for day, numbers in zip(sites.dates, zip(*columns.values(), strict=True), strict=True):
            lines.append(f"{day}," + ",".join("" if v.isnan() else f"{v.item():.9g}" for v in numbers))
        (series / f"camels_{i}.csv").write_text("\n".join(lines) + "\n")
    (tables / "attributes_caravan_camels.csv").write_text("\n".join(own) + "\n")
    (tables / "attributes_other_camels.csv").write_text("\n".join(other) + "\n")


def write_learning(folder: Path, *changes: tuple[str, str], name: str = "learning.toml") -> Path:
    """The configuration with some of its text replaced."""
    return write_config(folder, *changes, name=name, text=CONFIG)
