"""Scores of every basin, in evaluation, from the results of `calibrate.py`, as a table.

    python benchmarks/basins/score_table.py RESULT.nc [RESULT.nc ...] [--peer exphydro_peer_metrics_60.csv]

NSE, KGE, high and low flows (FHV, FLV, %), the error of low flows (RMSE below the 30 % quantile of what was observed, mm/d) and of
the base-flow index, and days without observation; medians over all basins, and over those whose observations are complete.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from controls import SCORES, scores


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


def print_table(table: dict[str, dict[str, float]], peer: dict[str, float]) -> None:
    columns = ("training", *SCORES, "missing")
    print("| basin | training NSE | NSE | KGE | FHV | FLV | low flow | base-flow index | days missing | peer NSE |")
    print("|" + " --- |" * 10)
    for name in sorted(table):
        print(_row(name, [table[name][c] for c in columns], peer.get(name, np.nan)))
    complete = [name for name in table if table[name]["missing"] == 0]
    for text, names in (("median of all", [*table]), ("median of the complete", complete)):
        middle = [float(np.nanmedian([table[n][c] for n in names])) for c in columns]
        print(_row(f"{text} {len(names)}", middle, float(np.median([peer.get(n, np.nan) for n in names]))))
    better = sum(table[n]["nse"] > peer[n] for n in table if n in peer)
    print(f"\nbetter than the peer in {better} of {len(table)}")


def _row(name: str, values: Sequence[float], peer: float) -> str:
    training, nse, kge, fhv, flv, low, bfi, missing = values
    scores = f"{training:.3f} | {nse:.3f} | {kge:.3f} | {fhv:+.0f} | {flv:+.0f} | {low:.2f} | {bfi:+.2f}"
    return f"| {name} | {scores} | {missing:.0f} | {peer:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--peer", type=Path)
    given = parser.parse_args()
    table: dict[str, dict[str, float]] = {}
    for path in given.results:
        with xr.open_dataset(path) as result:
            table |= rows(result)
    peer = {}
    if given.peer is not None:
        with given.peer.open(encoding="utf-8") as file:
            peer = {row["basin_ID"].zfill(8): float(row["nse_valid"]) for row in csv.DictReader(file)}
    print_table(table, peer)


if __name__ == "__main__":
    main()
