"""A made-up result, its report, and what a browser would take from one."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import xarray as xr

import pydiffgeo as dg

SITES = ["01", "02", "03", "04"]
SCORES = {
    "nse": [[0.91, 0.812], [0.7, 0.613], [0.5, -1.414], [np.nan, np.nan]],
    "kge": [[0.8, 0.715], [0.6, 0.516], [0.4, 0.317], [np.nan, np.nan]],
}


class Reader(HTMLParser):
    """Tags, attributes and text by section, as a browser would take them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.sections: dict[str, str] = {"": ""}
        self.heading, self.cell, self.at, self.rows = False, False, "", list[list[str]]()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        self.heading = tag == "h2"
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        self.heading = False
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self.heading:
            self.at = data
            self.sections[data] = ""
        self.sections[self.at] += data
        if self.cell:
            self.rows[-1][-1] += data


def made_up(seeds: int = 0) -> xr.Dataset:
    """A result with everything in it: four basins, of which the last failed."""
    random = np.random.default_rng(5)
    days = np.arange("2000-10-01", "2004-10-01", dtype="datetime64[D]").astype("datetime64[ns]")
    observed = random.gamma(1.0, 2.0, (4, len(days)))
    simulated = observed * random.lognormal(0.0, 0.2, observed.shape)
    simulated[3] = np.nan
    rain = random.gamma(0.3, 9.0, observed.shape)
    rain[:, 1100:1200] *= 10  # the wettest year of the evaluation is its second
    daily, periods = ("basin", "time"), ("basin", "period")
    data = {
        "runoff_observed": (daily, observed, {"units": "mm d-1"}),
        "runoff_simulated": (daily, simulated, {"units": "mm d-1"}),
        "runoff_prior": (daily, 0.5 * observed, {"units": "mm d-1"}),
        "precipitation": (daily, rain, {"units": "mm d-1"}),
        "K": (
            "basin",
            [0.25, 0.5, 0.75, np.nan],
            {"units": "mm d-1", "long_name": "rate (calibrated)", "valid_min": 0.125, "valid_max": 1.375},
        ),
        "K_prior": ("basin", np.full(4, 0.625), {"units": "mm d-1"}),
        "T": ("basin", np.full(4, -1.5), {"units": "degC", "long_name": "threshold (fixed)"}),
        "loss": (("basin", "step"), np.geomspace(9.0, 0.1, 5) * np.ones((4, 1)), {"units": "1"}),
        "status": ("basin", ["ok", "ok", "ok", "no start could be solved"]),
        "balance_error": ("basin", [1e-9, 4e-7, 1e-9, np.nan], {"units": "mm"}),
    }
    for name, values in SCORES.items():
        table = np.array(values)
        if seeds:
            data[name] = (("seed", *periods), table + 0.01 * np.arange(seeds)[:, None, None], {"units": "1"})
        else:
            data[name] = (periods, table, {"units": "1"})
        data[f"baseline_{name}"] = (
            ("baseline", *periods),
            np.stack([table * 0 + 0.123, table + 0.004]),
            {"units": "1"},
        )
    coordinates = {
        "basin": SITES,
        "time": days,
        "period": ["train", "evaluation"],
        "baseline": ["climatology", "persistence"],
        "period_start": ("period", ["2000-10-01", "2002-10-01"]),
        "period_end": ("period", ["2002-09-30", "2004-09-30"]),
        "latitude": ("basin", [40.0, 41.0, 42.0, 43.0], {"units": "degrees_north"}),
        "longitude": ("basin", [-90.0, -91.0, -92.0, -93.0], {"units": "degrees_east"}),
    }
    return xr.Dataset(data, coordinates, {"title": "Four basins", "configuration": 'seed = 0\nname = "a"', "seed": 7})


def report(folder, data, **options) -> Reader:
    path = dg.io.write_dataset(folder / "result.nc", data)
    return Reader(dg.report.write_report(path, **options).read_text(encoding="utf-8"))


def figures(page: Reader) -> list[str]:
    return [a["alt"] for tag, a in page.tags if tag == "img"]


def assert_inert(page: Reader) -> None:
    """Nothing runs, and nothing is loaded from elsewhere."""
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "svg", "video", "audio"}, tags
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "srcset", "data", "action", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/svg+xml;base64,")), (tag, value[:80])
