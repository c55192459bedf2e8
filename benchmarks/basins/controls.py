"""What a network over basins learns from their attributes, beside what it learns without: random ones, or those of others.

    python benchmarks/basins/controls.py DATA --output DIR [--model hbv] [--varying BETA K0] [--folds N] [--seeds 0 1 2]
        [--euler]

DATA is a folder with `camels_us_60.nc` and `camels_us_attributes_60.csv`. Networks are trained on four fifths of the basins
with each kind of input, and scored in the others and in their own, in days that none has seen:

    attributes    climate and topography, as in `learn.py`
    random        as many numbers drawn for each basin
    shuffled      the attributes of another basin
    place         latitude and longitude only

With `--varying` some parameters follow the weather of the days before, through a recurrent layer. Scores are those of the
field: NSE, KGE, high and low flows (FHV, FLV), the error of low flows (RMSE below the 30 % quantile of what was observed) and
of the base-flow index. Networks that were trained are read again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.hydrology.base_flow import base_flow_index
from pydiffgeo.hydrology.scores import score

CONTROLS = ("attributes", "random", "shuffled", "place")
PLACE = ("gauge_lat", "gauge_lon")
SCORES = ("nse", "kge", "fhv", "flv", "low_rmse", "bfi_error")
# States that a network gives with the parameters, mm.
INITIAL: Mapping[str, dict[str, tuple[float, float]]] = {
    "exphydro": {"water_storage": (0.0, 2000.0)},
    "hbv": {"soil_moisture": (0.0, 300.0), "lower_zone": (0.0, 200.0)},
    "gr4j": {"routing_store": (0.0, 100.0)},
}


@dataclass(frozen=True)
class Plan:
    """What is trained and how; `train` and `evaluation` are first and last days."""

    model: str
    options: Mapping[str, int]
    training: dg.nn.Training
    train: tuple[str, str]
    evaluation: tuple[str, str]
    varying: tuple[str, ...] = ()
    hidden: tuple[int, ...] = (64,)
    folds: int = 5
    used: int = 5
    warmup: int = 365


def given(data: dg.nn.SiteData, control: str, seed: int) -> dg.nn.SiteData:
    """The sites with what a network is given in place of their attributes; the last two of these are the place."""
    random = np.random.default_rng(1000 + seed)
    inputs = tuple(n for n in data.inputs if n not in PLACE) if control != "place" else PLACE
    values = data.attributes[:, [data.inputs.index(n) for n in inputs]]
    if control == "random":
        values = torch.from_numpy(random.normal(size=tuple(values.shape)))
    elif control == "shuffled":
        order = random.permutation(len(data))
        # Every basin gets those of another one: along the circle of a random order.
        values = values[order][np.argsort(np.roll(order, 1))]
    return replace(data, attributes=values, inputs=inputs)


def network(plan: Plan, inputs: Sequence[str], seed: int) -> dg.nn.ParameterNetwork:
    return dg.nn.ParameterNetwork(
        dg.hydrology.basin_model(plan.model, **plan.options),
        inputs,
        initial=INITIAL[plan.model],
        varying=plan.varying,
        weather=("precipitation", "temperature") if plan.varying else (),
        hidden=plan.hidden,
        scaling="normal_scores",
        seed=seed,
    )


def scores(simulated: torch.Tensor, observed: torch.Tensor) -> dict[str, float]:
    """Of the days of evaluation of one basin."""
    found = {name: score(name, simulated, observed) for name in ("nse", "kge", "fhv", "flv")}
    there = ~torch.isnan(observed)
    q, o = simulated[there], observed[there]
    low = o <= torch.quantile(o, 0.3)
    found["low_rmse"] = float((q[low] - o[low]).square().mean().sqrt())
    found["bfi_error"] = base_flow_index(q.numpy()) - base_flow_index(o.numpy())
    return found


def study(
    data: dg.nn.SiteData, plan: Plan, controls: Sequence[str], seeds: Sequence[int], folder: Path
) -> dict[str, Any]:
    """Scores of each basin: control -> "held out" or "trained" -> seed -> basin -> score."""
    table: dict[str, Any] = {c: {"held out": {}, "trained": {}} for c in controls}
    keep = torch.from_numpy(
        (data.dates >= np.datetime64(plan.evaluation[0])) & (data.dates <= np.datetime64(plan.evaluation[1]))
    )
    parts = list(dg.nn.k_fold(data.names, plan.folds))[: plan.used]
    for seed in seeds:
        for control in controls:
            sites = given(data, control, seed)
            held, own = {}, {}
            for number, (kept, out) in enumerate(parts):
                file = folder / f"{plan.model}_{control}_fold{number}_seed{seed}.npz"
                if file.exists():
                    net = dg.nn.ParameterNetwork.load(file, dg.hydrology.basin_model(plan.model, **plan.options))
                else:
                    net = network(plan, sites.inputs, seed)
                    training = replace(plan.training, seed=seed)
                    seen = dg.nn.train(net, sites.take(kept).between(*plan.train), training)
                    print(
                        f"{file.stem}: {seen.solves} solves, {seen.seconds:.0f} s, failures {seen.failures}", flush=True
                    )
                    net.save(file)
                run = dg.nn.predict(net, sites, warmup=plan.warmup, **plan.training.settings)
                runoff = run.fluxes["runoff"][:, plan.warmup :]
                found = {n: scores(runoff[i, keep], sites.observed[i, keep]) for i, n in enumerate(sites.names)}
                held |= {n: found[n] for n in out}
                own |= {f"{n} in {number}": found[n] for n in kept}
            table[control]["held out"][str(seed)], table[control]["trained"][str(seed)] = held, own
            report(table)
            (folder / f"{plan.model}_controls.json").write_text(json.dumps(table, indent=1) + "\n")
    return table


def report(table: Mapping[str, Any]) -> None:
    """Medians over the basins, means over the seeds; the floor is two spreads of the NSE over seeds."""
    print(f"{'':24}" + "".join(f"{name:>11}" for name in SCORES))
    for control, parts in table.items():
        for part, by_seed in parts.items():
            if by_seed:
                medians = [
                    [np.nanmedian([b[name] for b in basins.values()]) for name in SCORES] for basins in by_seed.values()
                ]
                row = "".join(f"{v:11.3f}" for v in np.mean(medians, axis=0))
                nse = [m[0] for m in medians]
                floor = f"floor {2 * np.std(nse, ddof=1):.3f}" if len(nse) > 1 else "one seed has no floor"
                told = ", ".join(f"{v:.3f}" for v in nse)
                print(f"{control:12}{part:12}{row}   NSE by seed {told}; {floor}", flush=True)
    for control in table:
        against(table, control)


def against(table: Mapping[str, Any], control: str) -> None:
    """How far the median NSE with attributes, of each basin's mean over the seeds that both have, is above that of a control."""
    if control == "attributes" or "attributes" not in table:
        return
    for part, by_seed in table[control].items():
        own = table["attributes"][part]
        seeds = [s for s in by_seed if s in own]
        if not seeds:
            continue
        ours, theirs = (
            np.mean([[b["nse"] for b in some[s].values()] for s in seeds], axis=0) for some in (own, by_seed)
        )
        lead, floor = np.median(ours) - np.median(theirs), dg.baselines.median_floor(ours, theirs)
        print(
            f"attributes above {control}, {part}, seeds {', '.join(seeds)}: {lead:+.3f} (better in {(ours > theirs).sum()} of "
            f"{len(ours)}); floor with the same basins drawn anew for both {floor:.3f}",
            flush=True,
        )


def main() -> None:
    from learn import GIVEN, TRAIN, VALIDATION, add_training, read, settings_of, training_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("controls"))
    parser.add_argument("--model", choices=[*INITIAL], default="hbv")
    parser.add_argument("--varying", nargs="+", default=[], help="parameters that follow the weather, such as BETA K0")
    parser.add_argument("--table", action="store_true", help="of what the output folder has, without solving anything")
    parser.add_argument("--controls", nargs="+", choices=CONTROLS, default=[*CONTROLS])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--euler", action="store_true", help="daily steps of implicit Euler in place of error control")
    add_training(parser)
    options = parser.parse_args()
    if options.table:
        report(json.loads((options.output / f"{options.model}_controls.json").read_text()))
        return
    options.output.mkdir(exist_ok=True)
    settings = settings_of(options.engine, options.euler)
    training = training_of(
        options.steps, options.batch, options.window, 1 if options.varying else options.inner_steps, settings
    )
    routing = {"routing": 2} if options.model == "hbv" else {}
    plan = Plan(options.model, routing, training, TRAIN, VALIDATION, tuple(options.varying), used=options.folds)
    attributes = tuple(n for n in GIVEN if n not in PLACE) + PLACE
    data = read(options.data, attributes, dg.hydrology.basin_model(options.model, **routing))
    study(data, plan, options.controls, options.seeds, options.output)


if __name__ == "__main__":
    main()
