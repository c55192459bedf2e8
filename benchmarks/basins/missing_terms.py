"""What does EXP-HYDRO lack in real basins? Its increments in training years, a regression, and a check in other years.

    python benchmarks/basins/missing_terms.py DATA --output FILE.json [--basins N] [--engine E] [--table]

DATA holds `camels_us_60.nc` and `exphydro_parameters_60.csv`: EXP-HYDRO as others calibrated it over 1980 to 2000. In each
basin the first three of these years are smoothed from daily runoff alone (weak-constraint 4D-Var; errors of runoff are taken
to be 15 % and 5 % of its mean); what the water store lacked, in means of ten days, is regressed on candidate terms, at most two. The
terms found are added to the model, once as they were found and once with their coefficients refined through the solver in the
same three years, and both are scored in 2000-10-01 to 2010-09-30, which no step has seen. Basins are taken in an order that
spreads over all of them; a run that was stopped goes on. `--table` prints what the file says, and runs nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.discover import Candidate
from pydiffgeo.errors import PydiffgeoError
from pydiffgeo.processes.evaporation import hamon
from pydiffgeo.processes.reservoir import exponential_base_flow
from pydiffgeo.processes.snow import degree_day_melt

TRAIN, WARMUP, EVALUATION = ("1980-10-01", "1983-09-30"), "1999-10-01", ("2000-10-01", "2010-09-30")
NAMES = {"f": "f", "S_max": "Smax", "Q_max": "Qmax", "D_f": "Df", "T_max": "Tmax", "T_min": "Tmin"}
# One term, or two where they leave five per cent of the variance less. Relevance vectors would keep most of such a library.
WIDTH, TOLERANCE, ALL_OF = 10, 0.05, 2
STEPS = 4


def wet(cell):
    """Nothing is taken from an empty store."""
    return 1 - torch.exp(-torch.clamp(cell.water_storage, min=0.0) / 5.0)


CANDIDATES = (
    Candidate("S", lambda c, f: c.water_storage, "mm"),
    Candidate("S^2", lambda c, f: c.water_storage**2, "mm2"),
    Candidate("base flow", lambda c, f: exponential_base_flow(c.water_storage, c.f, c.S_max, c.Q_max), "mm d-1"),
    Candidate("wet", lambda c, f: wet(c), "1"),
    Candidate("PET wet", lambda c, f: wet(c) * hamon(f.temperature, f.daylength), "mm d-1"),
    Candidate("PET S", lambda c, f: hamon(f.temperature, f.daylength) * c.water_storage, "mm2 d-1"),
    Candidate("PET S^2", lambda c, f: hamon(f.temperature, f.daylength) * c.water_storage**2, "mm3 d-1"),
    Candidate("P", lambda c, f: wet(c) * f.precipitation, "mm d-1"),
    Candidate("P S", lambda c, f: f.precipitation * c.water_storage, "mm2 d-1"),
    Candidate("P S^2", lambda c, f: f.precipitation * c.water_storage**2, "mm3 d-1"),
    Candidate("snow", lambda c, f: wet(c) * c.snow_storage, "mm"),
    Candidate("melt", lambda c, f: wet(c) * degree_day_melt(c.snow_storage, f.temperature, c.D_f, c.T_max), "mm d-1"),
)


def record(data: Path, basin: str, start: str, end: str):
    """Days, weather and runoff of one basin."""
    names = {"precipitation": "prcp", "temperature": "tmean", "daylength": "dayl", "runoff": "q_obs"}
    dataset = dg.hydrology.open_cf(data / "camels_us_60.nc", basins=[basin], variables=names, quantities=())
    found = dg.hydrology.basin_data(dataset, basin, start=start, end=end)
    weather = {k: np.array(getattr(found, k)) for k in ("precipitation", "temperature", "daylength")}
    return np.arange(len(found.dates) + 1.0), weather, torch.from_numpy(np.array(found.runoff))


def efficiency(model: dg.Model, values: dict[str, float], initial: dict[str, float], given, engine: str) -> float:
    """Nash-Sutcliffe efficiency in the evaluation years, after a year that is not scored."""
    times, weather, runoff = given
    sol = dg.solve(
        model, values, forcing=weather, times=times, initial=initial, engine=engine, rtol=1e-3, atol=1e-3, throw=False
    )
    first = int((np.datetime64(EVALUATION[0]) - np.datetime64(WARMUP)).astype(int))
    return (
        float(dg.losses.nse(sol.fluxes["runoff"].reshape(-1)[first:], runoff[first:])) if sol.ok.all() else float("nan")
    )


def examined(data: Path, basin: str, row: dict[str, str], engine: str) -> dict[str, object]:
    """What EXP-HYDRO lacks in one basin, and what adding it does."""
    begun, plain = time.perf_counter(), dg.models.ExpHydro()
    values = {name: float(row[column]) for name, column in NAMES.items()}
    initial = {"snow_storage": float(row["S0"]), "water_storage": float(row["S1"])}
    times, weather, runoff = record(data, basin, *TRAIN)
    error = 0.15 * runoff + 0.05 * runoff.nanmean()
    error = torch.where(torch.isnan(error), 1.0, error)
    seen = dg.observe.Observation("runoff", "flux_sum", np.stack([times[:-1], times[1:]], 1), runoff, error)
    problem = dg.assimilate.Problem(
        plain,
        times,
        weather,
        [seen],
        uncertain={"snow_storage": 1.0, "water_storage": 50.0},
        initial=initial,
        parameters=values,
        model_error={"water_storage": 1.0},
        settings={"engine": engine, "rtol": 1e-3, "atol": 1e-3},
    )
    smoothed = dg.assimilate.smooth_record(problem, steps=12)
    amiss = dg.discover.record_increments(smoothed, "water_storage", width=WIDTH)
    terms = dg.discover.record_library(CANDIDATES, smoothed, "water_storage", width=WIDTH)
    # Where it never snows there is nothing to learn of snow.
    terms = [t for t in terms if float(t.values.std()) > 1e-9]
    lacks = dg.discover.discover(terms, amiss, unit="mm d-1", thresholds=(), tolerance=TOLERANCE, all_of=ALL_OF)
    later = record(data, basin, WARMUP, EVALUATION[1])
    found: dict[str, object] = {
        "basin": basin,
        "verdict": lacks.verdict,
        "why": lacks.why,
        "terms": lacks.terms,
        "stability": lacks.stability,
        "same": lacks.same,
        "r2": lacks.r2,
        "size": lacks.size,
        "floor": lacks.floor,
        "model_error": smoothed.model_error["water_storage"],
        "chi2": smoothed.reduced_chi_squared,
        "converged": smoothed.converged,
        "plain": efficiency(plain, values, initial, later, engine),
    }
    if lacks.terms:
        mended = dg.discover.with_terms(plain, "water_storage", lacks, CANDIDATES)
        found["added"] = efficiency(mended, values, initial, later, engine)
        names = [p.name for p in mended.parameters if p.name.startswith("c_")]
        try:
            start = {name: value[0] for name, value in smoothed.states.items()}
            refined = dg.discover.refine(mended, problem, names, start=start, steps=STEPS)
            found |= {"coefficients": refined.values, "misfit": [refined.before, refined.after]}
            found["refined"] = efficiency(mended, {**values, **refined.values}, initial, later, engine)
        except PydiffgeoError as failure:
            found["refined"], found["failure"] = float("nan"), str(failure).split("\n")[0]
    return {**found, "seconds": time.perf_counter() - begun}


def table(rows: list[dict]) -> None:
    """The rows, and in how many basins the model became better."""
    print("| basin | verdict | terms | same in resamples | R2 | plain NSE | as found | refined |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for r in sorted(rows, key=lambda r: r["basin"]):
        if "verdict" not in r:
            print(f"| {r['basin']} | failed: {r['failure']} |")
            continue
        said = ", ".join(f"{c:+.2g} {n}" for n, c in r["terms"].items())
        scores = " | ".join(f"{r.get(k, float('nan')):.3f}" for k in ("plain", "added", "refined"))
        print(f"| {r['basin']} | {r['verdict']} | {said} | {r['same']:.0%} | {r['r2']:.2f} | {scores} |")
    whole = [r for r in rows if "verdict" in r]
    print("verdicts:", dict(Counter(r["verdict"] for r in whole)))
    print("terms:", Counter(f"{'+' if c > 0 else '-'} {n}" for r in whole for n, c in r["terms"].items()).most_common())
    for verdict in ("found", "not trustworthy"):
        for arm in ("added", "refined"):
            each = [(r["plain"], r.get(arm, float("nan"))) for r in whole if r["verdict"] == verdict]
            if not each:
                continue
            # A model that could not be run is no better.
            better = sum(b > a for a, b in each)
            clearly = sum(b > a + 0.01 for a, b in each)
            medians = [float(np.nanmedian(column)) for column in zip(*each, strict=True)]
            print(
                f"{verdict}, {arm}: better in {better} of {len(each)}, by more than 0.01 in {clearly}; "
                f"median NSE {medians[0]:.3f} -> {medians[1]:.3f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--basins", type=int, default=60)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    rows = json.loads(args.output.read_text()) if args.output.exists() else []
    if not args.table:
        with open(args.data / "exphydro_parameters_60.csv", encoding="utf-8") as file:
            known = {row["basinID"].zfill(8): row for row in csv.DictReader(file)}
        basins = sorted(known)
        order = [b for first in (0, 5, 2, 7, 4, 9, 1, 6, 3, 8) for b in basins[first::10]][: args.basins]
        for basin in order:
            if basin in {r["basin"] for r in rows}:
                continue
            try:
                rows.append(examined(args.data, basin, known[basin], args.engine))
            except PydiffgeoError as failure:
                rows.append({"basin": basin, "failure": str(failure).split("\n")[0]})
            print({k: v for k, v in rows[-1].items() if k != "stability"}, flush=True)
            args.output.write_text(json.dumps(rows, indent=1))
    table(rows)


if __name__ == "__main__":
    main()
