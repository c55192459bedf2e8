"""Scores of every basin, in evaluation, from the results of `calibrate.py`, as a table.

    python benchmarks/basins/score_table.py RESULT.nc [RESULT.nc ...] [--peer exphydro_peer_metrics_60.csv]

NSE, KGE, high and low flows (FHV, FLV, %), the error of low flows (RMSE below the 30 % quantile of what was observed, mm/d) and of
the base-flow index, and days without observation; medians over all basins, and over those whose observations are complete.
Below them their floors, two standard deviations of the median over all: with basins drawn anew, and with years of evaluation
drawn anew (of NSE and KGE). Medians that lie nearer cannot be told apart; that against the peer is paired by basin.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from controls import SCORES, scores

from pydiffgeo.arrays import Dates
from pydiffgeo.baselines import median_floor, years_floor


def series(result: xr.Dataset) -> tuple[torch.Tensor, torch.Tensor, Dates]:
    """What was simulated and observed in evaluation, both `(basins, days)`, and the days."""
    inside = result.time.values >= np.datetime64(str(result.period_start.values[1]))
    simulated, observed = (
        torch.tensor(result[f"runoff_{name}"].transpose("basin", "time").values[:, inside].astype(float))
        for name in ("simulated", "observed")
    )
    return simulated, observed, result.time.values[inside].astype("datetime64[D]")


def rows(result: xr.Dataset) -> dict[str, dict[str, float]]:
    """Scores of each basin of one result, with those of training and the days that are missing."""
    inside = result.time.values >= np.datetime64(str(result.period_start.values[1]))
    table = {}
    for basin in result.basin.values:
        one = result.sel(basin=basin)
        simulated, observed = (
            torch.tensor(one[f"runoff_{name}"].values[inside].astype(float)) for name in ("simulated", "observed")
        )
        found = scores(simulated, observed) if torch.isfinite(simulated).all() else dict.fromkeys(SCORES, np.nan)
        table[str(basin)] = {"training": float(one.nse[0]), **found, "missing": float(torch.isnan(observed).sum())}
    return table


def print_table(
    table: dict[str, dict[str, float]], peer: dict[str, float], over_years: Mapping[str, float] | None = None
) -> None:
    """Prints scores, medians and floors; `over_years` are those of some scores with years drawn anew."""
    columns = ("training", *SCORES, "missing")
    print("| basin | training NSE | NSE | KGE | FHV | FLV | low flow | base-flow index | days missing | peer NSE |")
    print("|" + " --- |" * 10)
    for name in sorted(table):
        print(_row(name, [table[name][c] for c in columns], peer.get(name, np.nan)))
    complete = [name for name in table if table[name]["missing"] == 0]
    for text, names in (("median of all", [*table]), ("median of the complete", complete)):
        middle = [float(np.nanmedian([table[n][c] for n in names])) for c in columns]
        print(_row(f"{text} {len(names)}", middle, float(np.median([peer.get(n, np.nan) for n in names]))))
    floor = {c: median_floor([table[n][c] for n in table]) for c in columns[:-1]} | {"missing": np.nan}
    of_peer = [peer.get(n, np.nan) for n in table]
    known = np.isfinite(of_peer).sum() > 1
    print(_row("floor, basins drawn anew", [floor[c] for c in columns], median_floor(of_peer) if known else np.nan))
    years = over_years or {}
    print(_row("floor, years drawn anew", [years.get(c, np.nan) for c in columns], np.nan))
    if known:
        own = [table[n]["nse"] for n in table]
        lead, least = np.nanmedian(own) - np.nanmedian(of_peer), median_floor(own, of_peer)
        told = "apart" if abs(lead) > least else "not to be told apart"
        print(
            f"\nmedian NSE {lead:+.3f} from the peer's, floor with the same basins drawn for both {least:.3f}: {told}"
        )
    better = sum(table[n]["nse"] > peer[n] for n in table if n in peer)
    print(f"\nbetter than the peer in {better} of {len(table)}")


def _row(name: str, values: Sequence[float], peer: float) -> str:
    training, nse, kge, fhv, flv, low, bfi, missing = values
    scores = f"{training:.3f} | {nse:.3f} | {kge:.3f} | {fhv:+.0f} | {flv:+.0f} | {low:.2f} | {bfi:+.2f}"
    # What cannot be had is left empty.
    return f"| {name} | {scores} | {missing:.0f} | {peer:.3f} |".replace("+nan", "").replace("nan", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--peer", type=Path)
    given = parser.parse_args()
    table: dict[str, dict[str, float]] = {}
    parts = []
    for path in given.results:
        with xr.open_dataset(path) as result:
            table |= rows(result)
            parts.append(series(result))
    peer = {}
    if given.peer is not None:
        with given.peer.open(encoding="utf-8") as file:
            peer = {row["basin_ID"].zfill(8): float(row["nse_valid"]) for row in csv.DictReader(file)}
    # Years can be drawn for all basins at once where all results have the same.
    together = all(np.array_equal(dates, parts[0][2]) for _, _, dates in parts)
    simulated, observed = (torch.cat([p[i] for p in parts]) for i in range(2)) if together else parts[0][:2]
    over_years = {m: years_floor(simulated, observed, parts[0][2], m) for m in ("nse", "kge") if together}
    print_table(table, peer, over_years)


if __name__ == "__main__":
    main()
