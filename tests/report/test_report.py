"""The report of a result: one file that says what is in the result, no more, and that nothing in it can run or load."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from calibration import write_basins, write_config
from reports import SITES, Reader, assert_inert, figures, made_up, report

import pydiffgeo as dg
from pydiffgeo.commands import cli
from pydiffgeo.errors import DataError, MissingPackageError, PydiffgeoError
from pydiffgeo.hydrology import calibrate_file as calibrate
from pydiffgeo.report import page as report_page
from pydiffgeo.report.content import Content

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'>&$x^{$\\frac"
NONE = "\N{EN DASH}"


# --- what it says --------------------------------------------------------------------------------


def test_everything_there_is_shown(tmp_path):
    page = report(tmp_path, made_up())
    assert [*page.sections][1:] == [
        "Scores",
        "Series",
        "Parameters",
        "Losses",
        "Water balance",
        "Provenance",
        "Configuration",
    ]
    assert_inert(page)
    summary = page.sections[""]
    assert "Four basins" in summary
    assert "4 sites, 1 failed: 04 (no start could be solved)" in summary
    assert "Median NSE over 3 sites: 0.70 in train, 0.61 in evaluation" in summary
    assert "closure error of the balance is 4.0e-07 mm" in summary
    shown = figures(page)
    assert [s for s in shown if "Distribution of the NSE over 3 sites" in s]
    assert [s for s in shown if "NSE of each site in evaluation" in s]
    series = [s for s in shown if s.startswith("Runoff of ")]
    assert [re.sub(r"\. Large.*", "", s) for s in series] == [
        "Runoff of 01 (best site), NSE 0.812 in evaluation",
        "Runoff of 02 (median site), NSE 0.613 in evaluation",
        "Runoff of 03 (worst site), NSE -1.414 in evaluation",
    ]
    assert all("2003-10-01 to 2004-09-29" in s for s in series)
    assert "seed = 0" in page.sections["Configuration"]
    assert ["seed", "7"] in page.rows


def test_numbers_are_those_of_the_file(tmp_path, undrawn):
    data = made_up()
    rows = report(tmp_path, data).rows
    tables = [i for i, row in enumerate(rows) if row[0] == "site" and "NSE" in row]
    assert len(tables) == 2
    for period, start in enumerate(tables):
        head = rows[start]
        for i, site in enumerate(SITES):
            row = dict(zip(head, rows[start + 1 + i], strict=True))
            assert row["site"] == site
            for name, column in (("nse", "NSE"), ("kge", "KGE")):
                value = data[name].values[i, period]
                assert row[column] == (f"{value:.3f}" if np.isfinite(value) else NONE)
                against = data[f"baseline_{name}"].values[1, i, period]
                assert row[f"{column} of persistence"] == (f"{against:.3f}" if np.isfinite(against) else NONE)
        assert rows[start + 4][-1] == "no start could be solved"
        assert dict(zip(head, rows[start + 5], strict=True))["NSE"] == ("0.700", "0.613")[period]
    found = {row[0]: row for row in rows}
    assert found["K (mm d-1)"][2:] == ["0.125 to 1.375", "0.625", "0.25", "0.5", "0.75", NONE]
    assert found["T (degC)"][2:] == [NONE, NONE, *["-1.5"] * 4]
    balance = rows[next(i for i, row in enumerate(rows) if "closure error (mm)" in row) + 1 :][:4]
    year = 365.25 * data.precipitation.values.mean(1)
    assert [row[-1] for row in balance] == [f"{v:.1f}" for v in year]
    assert [row[1] for row in balance][3] == NONE


PARTS = {
    "Scores": ["nse", "kge", "baseline_nse", "baseline_kge"],
    "Series": ["runoff_simulated"],
    "Parameters": ["K", "T"],
    "Losses": ["loss"],
    "Water balance": ["balance_error", "precipitation", "runoff_observed", "runoff_simulated", "runoff_prior"],
    "Configuration": [],
}


@pytest.mark.parametrize("part", PARTS)
def test_what_is_not_there_is_not_shown(part, tmp_path, undrawn):
    data = made_up().drop_vars(PARTS[part])
    del data.attrs["configuration"]
    page = report(tmp_path, data)
    assert part not in page.sections
    others = {*PARTS} - {part, "Configuration"} - ({"Series"} if part == "Water balance" else set())
    assert others <= {*page.sections}


def test_without_places_status_and_baselines(tmp_path, undrawn):
    data = made_up().drop_vars(["latitude", "status", "baseline_nse", "baseline_kge", "period_start", "runoff_prior"])
    page = report(tmp_path, data)
    assert "failed" not in page.sections[""]
    assert not [s for s in figures(page) if "each site" in s]
    assert not [row for row in page.rows if "NSE of climatology" in row]


def test_one_series_and_nothing_else(tmp_path, undrawn):
    data = (
        made_up()[["runoff_observed", "runoff_simulated"]]
        .isel(basin=0, drop=True)
        .drop_vars(["period", "period_start", "period_end", "baseline"], errors="ignore")
    )
    data.attrs = {}
    page = report(tmp_path, data)
    assert {*page.sections} == {"", "Series", "Water balance", "Provenance"}
    assert len(figures(page)) == 1


def test_better_is_said_only_where_seeds_say_so(tmp_path, undrawn):
    assert "better" not in report(tmp_path, made_up()).sections["Scores"]
    page = report(tmp_path, made_up(seeds=3))
    # Three seeds 0.01 apart are far above 0.123, and not beyond chance from what is 0.004 above the first.
    assert (
        "nse 0.623 +- 0.01 is better than climatology (0.123); of 3 sites 2 better, 1 worse; 1 without a score left out"
        in (page.sections["Scores"])
    )
    assert "is no different from persistence (0.617); of 3 sites 3 no different" in page.sections["Scores"]
    assert "0.822\xa0±\xa00.010" in page.sections["Scores"]
    assert [
        s
        for s in figures(page)
        if s.endswith("over 3 sites; baselines (dashed) in evaluation; a site has the mean of its seeds.")
    ]
    assert "(mean and standard deviation over 3 seeds)" in page.sections[""]


def test_sites_that_are_asked_for(tmp_path, undrawn):
    shown = figures(report(tmp_path, made_up(), sites=["02", "04"]))
    assert [s for s in shown if s.startswith("Runoff of 04 (asked for), without a score")]
    assert len([s for s in shown if s.startswith("Runoff of ")]) == 4
    with pytest.raises(DataError, match=r"result\.nc: there is no site '05'; it has 01, 02, 03, 04"):
        report(tmp_path, made_up(), sites=["05"])


def test_profile_of_a_soil_column(tmp_path):
    model = dg.models.RichardsColumn(depth=1.0, cells=10, top="flux")
    solution = dg.solve(
        model, {"K_s": 0.2}, initial={"head": -1.0}, times=range(6), forcing={"flux": 0.01}, engine="sundials"
    )
    data = dg.io.solution_dataset(solution, start="2001-05-01")
    plain = report(tmp_path, data)
    assert [*plain.sections][1:] == ["Profiles", "Simulated", "Water balance", "Provenance"]
    assert "10 cells down to 0.95 m, 6 times" in plain.sections[""]
    assert figures(plain)[0] == "Volumetric water content with elastic storage over time and depth."
    data = data.assign_coords(probe_depth=("probe", [0.1, 0.4], {"units": "m"}))
    data["theta_observed"] = (("time", "probe"), data.theta.values[:, [0, 3]], {"units": "1"})
    assert figures(report(tmp_path, data))[0].endswith("dots are measured.")
    total = float(solution.fluxes["drainage"].sum())
    at = next(i for i, row in enumerate(plain.rows) if "drainage (m, sum)" in row)
    assert plain.rows[at + 1][plain.rows[at].index("drainage (m, sum)")] == f"{total:.4g}"


def test_a_calibration(tmp_path, capsys):
    write_basins(tmp_path)
    few = (
        ("\nsteps = 6", "\nsteps = 1"),
        ("window_steps = 3", "window_steps = 1"),
        ("candidates = 8", "candidates = 4"),
    )
    result = calibrate(write_config(tmp_path, *few), progress=False)
    assert cli.main(["report", str(result), "--output", str(tmp_path / "r.html"), "--sites", "01000002"]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'r.html'}\n"
    page = Reader((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert_inert(page)
    assert {"Scores", "Series", "Parameters", "Water balance", "Provenance", "Configuration"} <= {*page.sections}
    with xr.open_dataset(result) as data:
        nse = data.nse.values
    heads = [max((i for i in range(at) if page.rows[i][0] == "site"), default=0) for at in range(len(page.rows))]
    rows = [
        row for row, head in zip(page.rows, heads, strict=True) if row[0] == "01000002" and page.rows[head][1] == "NSE"
    ]
    assert [row[1] for row in rows] == [f"{v:.3f}" for v in nse[1]]
    # The same result gives the same page.
    again = dg.report.write_report(result, tmp_path / "again.html", sites=["01000002"])
    assert again.read_bytes() == (tmp_path / "r.html").read_bytes()


# --- what others put into a file -----------------------------------------------------------------


def test_nothing_from_the_file_becomes_markup(tmp_path):
    data = made_up(seeds=2)
    data = data.assign_coords(
        basin=[EVIL, "02", "03", "04"], period=["train" + EVIL, "evaluation" + EVIL], baseline=[EVIL, "persistence"]
    )
    data = data.rename({"K": "K<i>", "K_prior": "K<i>_prior"})
    data["status"] = ("basin", [EVIL] * 4)
    for name in ("title", "configuration", "history", "source", "x<i>"):
        data.attrs[name] = EVIL
    for name in data.variables:
        text = data[name].attrs.get("long_name", "")
        data[name].attrs["long_name"] = EVIL + text
        if data[name].dtype.kind == "f":
            data[name].attrs["units"] = EVIL
    page = report(tmp_path, data, sites=[EVIL])
    assert_inert(page)
    # The same tags as in a page of harmless texts.
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in report(tmp_path, made_up(seeds=2), sites=["01"]).tags}
    assert EVIL in page.sections["Configuration"]
    assert EVIL in page.sections["Scores"]


def test_files_that_are_no_results(tmp_path, undrawn):
    with pytest.raises(DataError, match=r"absent\.nc: there is no such file"):
        dg.report.write_report(tmp_path / "absent.nc")
    text = tmp_path / "text.nc"
    text.write_text("not NetCDF")
    with pytest.raises(DataError, match=r"text\.nc"):
        dg.report.write_report(text)
    whole = dg.io.write_dataset(tmp_path / "whole.nc", made_up()).read_bytes()
    (tmp_path / "cut.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.nc"):
        dg.report.write_report(tmp_path / "cut.nc")
    other = dg.io.write_dataset(tmp_path / "other.nc", xr.Dataset({"x": ("y", [1.0], {"units": "m"})}))
    with pytest.raises(DataError, match=r"other\.nc: holds nothing to report.*\['x'\]"):
        dg.report.write_report(other)
    dates = xr.Dataset({"x": ("time", [1.0], {"units": "m"})}, {"time": ("time", [1], {"units": "days since never"})})
    with pytest.raises(DataError, match=r"dates\.nc"):
        dg.report.write_report(dg.io.write_dataset(tmp_path / "dates.nc", dates))
    assert not [*tmp_path.glob("*.html")]
    good = dg.io.write_dataset(tmp_path / "good.nc", made_up())
    with pytest.raises(DataError, match="would replace the result"):
        dg.report.write_report(good, good)
    with pytest.raises(DataError, match="cannot be written"):
        dg.report.write_report(good, tmp_path / "nowhere" / "r.html")


def test_command_says_what_is_wrong(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path / "absent.nc")]) == 1
    assert "absent.nc: there is no such file" in capsys.readouterr().err


def test_variables_of_other_shapes_do_no_harm(tmp_path, undrawn):
    data = made_up()
    data["loss"] = (("basin", "step", "time"), np.ones((4, 1, data.sizes["time"])), {"units": "1"})
    data["K"] = ("time", np.ones(data.sizes["time"]), {"units": "1", "long_name": "no parameter (calibrated)"})
    data["baseline_nse"] = ("basin", np.ones(4), {"units": "1"})
    data["depth"] = ("basin", ["a", "b", "c", "d"])
    data["period_start"] = ("period", ["first", "second"])
    data["runoff_prior"] = ("basin", np.ones(4), {"units": "1"})
    page = report(tmp_path, data)
    assert {"Scores", "Series", "Parameters"} <= {*page.sections}
    assert "Losses" not in page.sections


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("change", ["absent", "not a number", "text", "one entry", "no entry"])
def test_anything_may_be_missing(change, undrawn):
    data = made_up(seeds=2).isel(time=slice(700, 800))
    for name in data.sizes if "entry" in change else data.variables:
        values = data[name]
        if change == "absent":
            other = data.drop_vars(name)
        elif change in ("one entry", "no entry"):
            other = data.isel({name: slice(0, change == "one entry")})
        elif values.dtype.kind == "f":
            other = data.assign({name: values * np.nan if change == "not a number" else values.astype(str)})
        else:
            continue
        if (change, name) == ("no entry", "basin"):
            with pytest.raises(DataError, match=r"result\.nc: holds nothing"):
                report_page.render(Content("result.nc", other))
        else:
            assert "<h2 id=" in report_page.render(Content("result.nc", other)), name


def test_without_matplotlib_the_message_says_what_to_install():
    code = """
import sys
sys.modules["matplotlib"] = None
import pydiffgeo as dg
for name in ("plots", "report"):
    try:
        getattr(dg, name)
    except dg.errors.MissingPackageError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "figures need matplotlib: pip install 'pydiffgeo[plots]'\n" * 2
    assert issubclass(MissingPackageError, PydiffgeoError)


def test_values_on_their_bounds_are_told(tmp_path, undrawn):
    data = made_up()
    assert "On a bound" not in report(tmp_path, data).sections["Parameters"]
    data["K"][:] = [0.126, 0.5, 1.374, 0.8]  # of 0.125 to 1.375
    text = report(tmp_path, data).sections["Parameters"]
    one, other = (SITES[i] for i in (0, 2))
    assert f"K on its lower one, 0.125 (mm d-1) in 1 site of 4 ({one})" in text
    assert f"K on its upper one, 1.375 (mm d-1) in 1 site of 4 ({other})" in text
