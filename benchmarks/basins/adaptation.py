"""A network trained on 40 basins is adapted to 20 of another climate with few years: which weights should move?

    python benchmarks/basins/adaptation.py DATA --output DIR [--seeds 0 1 2 3 4] [--by frac_snow] [--engine E]

DATA is a folder with `camels_us_60.nc`, `camels_us_attributes_60.csv` and `exphydro_parameters_60.csv`, whose medians
over the 40 basins are where all networks start. The 20 basins are those in which `--by` is largest. Arms:

    as it is     the network of the 40, not adapted
    tucker       FLoRA: a Tucker core and its factors for each weight; all else is frozen
    matrix       LoRA: the product of two factors for each weight; all else is frozen
    last layer   its weights and biases; all else is frozen
    full         all weights
    anew         all weights, from the random ones of a new network

Every arm gets the same days of the same basins, as many solves and as many steps of the optimiser. Its learning rate is
the one of `--rates` with the smallest loss over days that are held back, mean of the first `--tuning-seeds` seeds; scores are of
the years after, are found for the rates that were chosen only, and nothing was chosen by them. With `--one-base` all seeds
adapt the same network of the 40. What was done is read again, so that a run that is stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import pydiffgeo as dg

ARMS = ("tucker", "matrix", "last layer", "full", "anew")
LOW_RANK = ("tucker", "matrix")
AS_IT_IS = "as it is"
Scores = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """What is trained and how.

    Attributes:
        inputs: attributes that networks see. start: where they begin. bounds, initial: ranges of what they learn.
        base: training on the basins at home. region: training in the new region, with `tuning` days held back.
        home, few: first and last days of these two; those held back are the last of `few`.
        evaluation: first and last days of the scores.
        rates: learning rates tried. rank: of the updates. hidden: widths of the network.
    """

    inputs: tuple[str, ...]
    start: Mapping[str, float]
    bounds: Mapping[str, tuple[float, float]]
    initial: Mapping[str, tuple[float, float]]
    base: dg.nn.Training
    region: dg.nn.Training
    home: tuple[str, str]
    few: tuple[str, str]
    evaluation: tuple[str, str]
    rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    rank: int = 2
    hidden: tuple[int, ...] = (64,)

    def network(self, seed: int) -> dg.nn.ParameterNetwork:
        """A new one."""
        return dg.nn.ParameterNetwork(
            dg.models.ExpHydro(),
            self.inputs,
            bounds=self.bounds,
            initial=self.initial,
            hidden=self.hidden,
            scaling="normal_scores",
            start=self.start,
            seed=seed,
        )


def start_of(folder: Path, names: Sequence[str]) -> dict[str, float]:
    """Medians over basins of parameters that others calibrated over the same years of training."""
    with open(folder / "exphydro_parameters_60.csv", encoding="utf-8") as file:
        rows = {row["basinID"].zfill(8): row for row in csv.DictReader(file)}
    columns = {"f": "f", "S_max": "Smax", "Q_max": "Qmax", "D_f": "Df", "T_max": "Tmax", "T_min": "Tmin"}
    return {k: float(np.median([float(rows[n][c]) for n in names])) for k, c in columns.items()}


def of_another_climate(data: dg.nn.SiteData, by: str, count: int) -> tuple[list[str], list[str]]:
    """The sites at home, and the `count` with the largest value of an attribute."""
    order = data.attributes[:, data.inputs.index(by)].argsort(descending=True, stable=True)
    away = {data.names[int(i)] for i in order[:count]}
    return [n for n in data.names if n not in away], [n for n in data.names if n in away]


def base(plan: Plan, data: dg.nn.SiteData, seed: int, file: Path) -> dg.nn.ParameterNetwork:
    """The network of the sites at home, read from `file` where it is there."""
    if file.exists():
        return dg.nn.ParameterNetwork.load(file, dg.models.ExpHydro())
    network = plan.network(seed)
    seen = dg.nn.train(network, data.between(*plan.home), replace(plan.base, seed=seed), progress=False)
    print(f"{file.stem}: {seen.solves} solves, {seen.seconds:.0f} s, loss {seen.loss[-1]:.3f}", flush=True)
    network.save(file)
    return network


def adapted(
    plan: Plan, trained: Path, data: dg.nn.SiteData, arm: str, rate: float, seed: int
) -> tuple[dg.nn.ParameterNetwork, dg.nn.TrainingHistory, int]:
    """One arm: the network, what its training went through, and how many numbers were trained."""
    network = dg.nn.ParameterNetwork.load(trained, dg.models.ExpHydro())
    few = data.between(*plan.few)
    if arm == "anew":
        network = plan.network(1000 + seed)
    elif arm == "last layer":
        for name, weight in network.named_parameters():
            weight.requires_grad_(name.startswith("head."))
    adaptation = dg.nn.adapt(network, rank=plan.rank, kind=arm, seed=seed) if arm in LOW_RANK else None
    count = sum(p.numel() for p in network.parameters() if p.requires_grad)
    training = replace(plan.region, learning_rate=rate, seed=seed)
    seen = dg.nn.train(network, few, training, progress=False)
    if adaptation is not None:
        adaptation.merge()
    return network, seen, count


def efficiency(plan: Plan, network: dg.nn.ParameterNetwork, data: dg.nn.SiteData) -> Scores:
    """NSE of each site in the days of evaluation."""
    late = data.between(*plan.evaluation)
    settings = plan.region.settings
    warmup = plan.region.warmup
    run = dg.nn.predict(network, late, warmup=warmup, **settings)
    return dict(zip(data.names, dg.losses.nse(run.fluxes["runoff"][:, warmup:], late.observed).tolist(), strict=True))


class Study:
    """Trainings and scores of one plan, kept in a folder: `adaptation.json`, and networks of the sites at home.

    Args:
        away: names of the new region. one_base: all seeds adapt the network of the first.
    """

    def __init__(
        self, plan: Plan, data: dg.nn.SiteData, away: Sequence[str], folder: Path, *, one_base: bool = False
    ) -> None:
        self.plan, self.folder, self.one_base = plan, folder, one_base
        self.home = data.take([n for n in data.names if n not in away])
        self.region = data.take(list(away))
        self.file = folder / "adaptation.json"
        self.kept: dict[str, dict[str, object]] = json.loads(self.file.read_text()) if self.file.exists() else {}

    def keep(self, key: str, entry: dict[str, object]) -> None:
        self.kept[key] = entry
        self.file.write_text(json.dumps(self.kept, indent=1) + "\n")

    def base(self, seed: int, first: int) -> Path:
        """The network of the sites at home that a seed adapts, trained where that has not been done."""
        path = self.folder / f"base_{first if self.one_base else seed}.npz"
        base(self.plan, self.home, first if self.one_base else seed, path)
        return path

    def once(self, arm: str, rate: float, seed: int, trained: Path) -> float:
        """Loss over the days held back, of one arm; trains unless that has been done."""
        key = f"{arm}, {rate}, {seed}"
        if key not in self.kept:
            network, seen, count = adapted(self.plan, trained, self.region, arm, rate, seed)
            network.save(self.folder / f"{arm.replace(' ', '_')}_{rate}_{seed}.npz")
            entry = {"held back": min(seen.tuning), "numbers": count, "solves": seen.solves, "seconds": seen.seconds}
            self.keep(key, entry)
            print(f"{key}: held back {min(seen.tuning):.3f}, {seen.seconds:.0f} s", flush=True)
        return float(str(self.kept[key]["held back"]))

    def scores(self, key: str, path: Path) -> Scores:
        """NSE of the new region by a network of a file."""
        if "nse" not in self.kept.setdefault(key, {}):
            network = dg.nn.ParameterNetwork.load(path, dg.models.ExpHydro())
            found = efficiency(self.plan, network, self.region)
            self.keep(key, {**self.kept[key], "nse": found})
            print(f"{key}: median NSE {np.median([*found.values()]):.3f}", flush=True)
        scores: Scores = self.kept[key]["nse"]  # type: ignore[assignment]
        return scores

    def run(self, seeds: Sequence[int], tuning_seeds: int) -> dict[str, dict[str, Scores]]:
        """Scores, arm -> seed -> basin -> NSE."""
        table: dict[str, dict[str, Scores]] = {arm: {} for arm in (AS_IT_IS, *ARMS)}
        best: dict[str, float] = {}
        for arm in ARMS:
            # Chosen by the days held back alone: scores are not looked at.
            loss = [
                np.mean([self.once(arm, r, s, self.base(s, seeds[0])) for s in seeds[:tuning_seeds]])
                for r in self.plan.rates
            ]
            best[arm] = self.plan.rates[int(np.argmin(loss))]
            tried = ", ".join(f"{rate}: {v:.3f}" for rate, v in zip(self.plan.rates, loss, strict=True))
            print(f"{arm}: loss over the days held back by rate: {tried}", flush=True)
        for seed in seeds:
            trained = self.base(seed, seeds[0])
            table[AS_IT_IS][str(seed)] = self.scores(f"{AS_IT_IS}, {trained.stem}", trained)
            for arm in ARMS:
                self.once(arm, best[arm], seed, trained)
                path = self.folder / f"{arm.replace(' ', '_')}_{best[arm]}_{seed}.npz"
                table[arm][str(seed)] = self.scores(f"{arm}, {best[arm]}, {seed}", path)
            counts = {arm: int(str(self.kept[f"{arm}, {best[arm]}, {seed}"]["numbers"])) for arm in ARMS}
            report(table, best, counts)
        return table


def report(table: Mapping[str, Mapping[str, Scores]], best: Mapping[str, float], numbers: Mapping[str, int]) -> None:
    """Medians over the basins by seed, and which arms can be told apart: paired by seed, by the spread over seeds."""
    medians = {arm: [float(np.median([*basins.values()])) for basins in seeds.values()] for arm, seeds in table.items()}
    print(
        "| arm | numbers trained | rate | median NSE | by seed | better than as it is in | floor, basins drawn anew |"
    )
    print("|" + " --- |" * 7)
    for arm, found in medians.items():
        won = [sum(table[arm][s][n] > table[AS_IT_IS][s][n] for n in basins) for s, basins in table[AS_IT_IS].items()]
        spread = f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
        rate, count = best.get(arm, ""), numbers.get(arm, 0)
        ahead = "" if arm == AS_IT_IS else f"{', '.join(map(str, won))} of {len(next(iter(table[arm].values())))}"
        by_seed = ", ".join(f"{v:.3f}" for v in found)
        # Of the lead over the network as it is, the same basins drawn for both; mean over the seeds.
        pairs = [([*b.values()], [*table[AS_IT_IS][s].values()]) for s, b in table[arm].items()]
        floor = "" if arm == AS_IT_IS else f"{np.mean([dg.baselines.median_floor(own, old) for own, old in pairs]):.3f}"
        print(f"| {arm} | {count} | {rate} | {np.mean(found):.3f}{spread} | {by_seed} | {ahead} | {floor} |")
    if len(next(iter(medians.values()))) < 2:
        print("floor: one seed has no spread; nothing can be told apart")
        return
    for i, a in enumerate(medians):
        for b in [*medians][i + 1 :]:
            lead = np.subtract(medians[b], medians[a])
            # The floor of a difference: two spreads of it over seeds, and the same sign in all of them.
            least = 2 * lead.std(ddof=1)
            apart = abs(lead.mean()) > least and (np.sign(lead) == np.sign(lead[0])).all()
            verdict = ("better than" if lead.mean() > 0 else "worse than") if apart else "not to be told apart from"
            print(f"{b} is {verdict} {a}: {lead.mean():+.3f}, floor {least:.3f}")


def main() -> None:
    from learn import BOUNDS, GIVEN, INITIAL, read, settings_of, training_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("adaptation"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--tuning-seeds", type=int, default=2)
    parser.add_argument("--by", choices=GIVEN, default="frac_snow")
    parser.add_argument("--one-base", action="store_true")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--euler", action="store_true", help="daily steps of implicit Euler in place of error control")
    parser.add_argument("--base-steps", type=int, default=150)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--inner-steps", type=int, default=6)
    parser.add_argument("--window", type=int, default=365)
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True, parents=True)
    data = read(options.data, GIVEN)
    home, away = of_another_climate(data, options.by, 20)
    settings = settings_of(options.engine, options.euler)
    first = training_of(options.base_steps, 40, options.window, options.inner_steps, settings)
    second = replace(first, steps=options.steps, batch=20, weight_decay=0.0, average=0.0, tuning=730)
    second = replace(second, check_every=options.steps)
    plan = Plan(
        GIVEN,
        start_of(options.data, home),
        BOUNDS,
        INITIAL,
        first,
        second,
        ("1980-10-01", "2000-09-30"),
        ("1995-10-01", "2000-09-30"),
        ("2000-10-01", "2010-09-30"),
        tuple(options.rates),
    )
    print(f"20 basins by {options.by}: {' '.join(away)}", flush=True)
    torch.set_num_threads(1)
    study = Study(plan, data, away, options.output, one_base=options.one_base)
    study.run(options.seeds, options.tuning_seeds)


if __name__ == "__main__":
    main()
