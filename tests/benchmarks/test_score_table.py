"""The table of scores prints its floors, and leaves empty what cannot be had."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg

FOLDER = Path(__file__).parents[2] / "benchmarks" / "basins"


@pytest.fixture
def score_table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    module: ModuleType = pytest.importorskip("score_table")
    return module


def result(count: int) -> xr.Dataset:
    """Made-up runoff of some basins in four years, of which the last three are scored."""
    random, time = np.random.default_rng(0), np.arange("2000-10-01", "2004-10-01", dtype="datetime64[D]")
    observed = random.gamma(1.0, 2.0, (count, len(time)))
    simulated = observed + random.normal(0, np.linspace(0.2, 1.5, count)[:, None], observed.shape)
    return xr.Dataset(
        {
            "runoff_simulated": (("basin", "time"), np.abs(simulated)),
            "runoff_observed": (("basin", "time"), observed),
            "nse": (("basin", "period"), np.full((count, 2), 0.8)),
            "period_start": ("period", ["2000-10-01", "2001-10-01"]),
        },
        coords={"basin": [f"{i:02}" for i in range(count)], "time": time.astype("datetime64[ns]")},
    )


def test_floors_stand_below_the_medians(score_table: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    data = result(8)
    table = score_table.rows(data)
    simulated, observed, dates = score_table.series(data)
    assert simulated.shape == (8, 3 * 365 + 1)
    years = {"nse": dg.baselines.years_floor(simulated, observed, dates, draws=20)}
    peer = {name: row["nse"] - 0.3 for name, row in table.items()}
    score_table.print_table(table, peer, years)
    text = capsys.readouterr().out
    lines = {row.split("|")[1].strip(): row.split("|") for row in text.splitlines() if row.startswith("|")}
    basins, drawn = lines["floor, basins drawn anew"], lines["floor, years drawn anew"]
    expected = dg.baselines.median_floor([row["nse"] for row in table.values()])
    assert float(basins[3]) == pytest.approx(expected, abs=6e-4)
    assert float(drawn[3]) == pytest.approx(years["nse"], abs=6e-4)
    # Of what was not drawn there is no floor, and nothing in its place.
    assert drawn[4].strip() == drawn[9].strip() == ""
    told = re.search(r"median NSE \+0\.300 from the peer's, floor .* (\S+): (.*)", text)
    assert told is not None
    assert (float(told[1]), told[2]) == (0.0, "apart")


def test_without_a_peer(score_table: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    score_table.print_table(score_table.rows(result(3)), {})
    assert "from the peer's" not in capsys.readouterr().out
