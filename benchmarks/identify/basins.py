"""How many numbers the 60 basins fix in a parameter network: intrinsic dimension and effective weights.

    python benchmarks/identify/basins.py DATA --output learnt_in_subspaces --engine julia

A network from ten attributes to the seven values of EXP-HYDRO is trained on all 60 basins together, directly and in random subspaces,
with three seeds; skill is the median over the basins of the NSE in 2000 to 2010, after training on 1980 to 2000. Directly trained
networks are looked at afterwards: how many weights the runoff of the basins sees, and how many directions of the hidden
layer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import pydiffgeo as dg

sys.path.insert(0, str(Path(__file__).parents[1] / "basins"))
from learn import BOUNDS, GIVEN, INITIAL, TRAIN, VALIDATION, WARMUP, efficiency, read

TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-6)


def network(seed: int) -> dg.nn.ParameterNetwork:
    return dg.nn.ParameterNetwork(
        dg.models.ExpHydro(), GIVEN, bounds=BOUNDS, initial=INITIAL, hidden=(32,), scaling="normal_scores", seed=seed
    )


def trained(
    data: dg.nn.SiteData, dimension: int | None, seed: int, options: argparse.Namespace
) -> dg.nn.ParameterNetwork:
    """Normalised, put into its subspace, trained."""
    made = network(seed).normalise(data.attributes)
    if dimension is not None:
        made = dg.identify.in_subspace(made, dimension, projection="dense", seed=1000 + seed)
    training = dg.nn.Training(
        steps=options.steps,
        batch=options.batch,
        window=options.window,
        warmup=WARMUP,
        learning_rate=options.rate if dimension is None else options.rate_of_subspace,
        # A decay would pull the vector of the subspace, not the weights.
        weight_decay=0.0,
        measure="log",
        inner_steps=6,
        seed=seed,
        settings=options.settings,
    )
    dg.nn.train(made, data.between(*TRAIN), training, progress=False)
    return made


def skill(made: dg.nn.ParameterNetwork, data: dg.nn.SiteData, options: argparse.Namespace) -> float:
    # The states have forgotten how they started after one year, which is run twice.
    seen = data.between("1999-10-01", options.evaluated_until)
    solution = dg.nn.predict(made, seen, warmup=WARMUP, **options.settings)
    return float(np.median([*efficiency(solution.fluxes["runoff"][:, WARMUP:], seen).values()]))


def looked_at(made: dg.nn.ParameterNetwork, data: dg.nn.SiteData, options: argparse.Namespace) -> dict[str, Any]:
    """Effective weights and the interaction basis of a network, over three years of the basins."""
    days = data.between("1990-10-01", "1993-09-30")
    metric = dg.identify.site_metric(made, days, warmup=WARMUP, **{**options.settings, "rtol": 1e-6, "atol": 1e-6})
    used = dg.identify.effective_weights_of_sites(made, data, metric)
    basis = dg.identify.interaction_basis(made, made.scaling(data.attributes), metric=metric, tolerance=1e-4)
    return {
        "weights": used.weights,
        "rank": used.rank,
        "used": {f"{t:g}": used.count(t) for t in TOLERANCES},
        "hidden": [basis.layers[1].width, basis.layers[1].varying, basis.layers[1].kept],
        "copies": len(basis.layers[1].copies),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("learnt_in_subspaces"))
    parser.add_argument("--dimensions", type=int, nargs="*", default=[4, 8, 16, 32, 64], help="none: directly only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=60)
    parser.add_argument("--window", type=int, default=730)
    parser.add_argument("--evaluated-until", default=VALIDATION[1])
    parser.add_argument(
        "--step", type=float, help="implicit Euler in steps of so many days, in place of adaptive steps"
    )
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--rate-of-subspace", type=float, default=0.1)
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    options.settings = {"engine": options.engine, "rtol": 1e-3, "atol": 1e-3}
    if options.step is not None:
        options.settings |= {"solver": "implicit_euler", "step": options.step}
    data = read(options.data, GIVEN)
    print(f"{sum(p.numel() for p in network(0).parameters())} weights", flush=True)

    def train(dimension: int | None, seed: int) -> float:
        started = time.process_time()
        made = trained(data, dimension, seed, options)
        reached = skill(made, data, options)
        print(f"d {dimension}, seed {seed}: {reached:.4f}, {time.process_time() - started:.0f} s", flush=True)
        if dimension is None:
            about = looked_at(made, data, options)
            print(f"  {about}", flush=True)
            (options.output / f"direct{seed}.json").write_text(json.dumps(about))
        return reached

    if not options.dimensions:
        for seed in options.seeds:
            train(None, seed)
        return
    found = dg.identify.intrinsic_dimension(
        train, options.dimensions, options.seeds, file=options.output / "curve.jsonl"
    )
    print(found.table())


if __name__ == "__main__":
    main()
