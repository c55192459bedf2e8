"""A model of series pretrained on 40 basins: what it makes of hidden runoff, and of the days ahead, in 20 others.

    python benchmarks/basins/hidden_series.py DATA --output DIR [--seeds 0 1 2] [--steps 600]

DATA is a folder with `camels_us_60.nc` and `camels_us_attributes_60.csv`. Models are trained on precipitation, temperature and
runoff of 40 basins over 1980-10-01 to 2000-09-30; their climatology is that of these years. Scores are of the other 20 basins
over 2000-10-01 to 2010-09-30, which had no part in training. With half of these days hidden in gaps of 5 to 60 days,
reconstructions of the hidden runoff are held against the climatology and interpolation, linear in the runoff and in its anomaly; of
days ahead, against climatology and persistence. Errors are root mean squares in units of the spread of each basin, so
that basins count alike, and the medians over the basins of ratios. Two objectives: mixed, and forecasts alone, at equal steps.
What was trained is read again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import pydiffgeo as dg

VARIABLES = ("precipitation", "temperature", "runoff")
LEADS = (1, 3, 7)
# Squared errors of each basin, `(basins,)`, by what was predicted and by whom.
Errors = dict[str, dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Plan:
    """What is trained: `train` and `evaluation` are first and last days, `gaps` the shortest and longest of those hidden."""

    training: dg.series.Pretraining
    train: tuple[str, str]
    evaluation: tuple[str, str]
    width: int = 32
    share: float = 0.5
    gaps: tuple[int, int] = (5, 60)

    def objectives(self) -> Mapping[str, dg.series.Pretraining]:
        ahead = tuple(lead for lead in self.training.leads if lead > 0)
        return {"mixed": self.training, "forecasts alone": replace(self.training, leads=ahead)}


def trained(data: dg.nn.SiteData, plan: Plan, objective: str, seed: int, file: Path) -> dg.series.SeriesModel:
    """A model trained on all the sites given, read from `file` where it is there."""
    if file.exists():
        return dg.series.SeriesModel.load(file)
    model = dg.series.SeriesModel(VARIABLES, data.inputs, width=plan.width, seed=seed)
    training = replace(plan.objectives()[objective], seed=seed)
    seen = dg.series.pretrain(
        model, data, training, period=plan.train, progress=False, checkpoint=file.with_suffix(".checkpoint.npz")
    )
    print(f"{file.stem}: {training.steps} steps, {seen.seconds:.0f} s, loss {np.mean(seen.loss[-50:]):.3f}", flush=True)
    model.save(file)
    return model


def hide(data: dg.nn.SiteData, plan: Plan, seed: int = 0) -> torch.Tensor:
    """Days of evaluation on which runoff is hidden, `(sites, days)`; not at the ends, which nothing interpolates."""
    inside = (data.dates >= np.datetime64(plan.evaluation[0])) & (data.dates <= np.datetime64(plan.evaluation[1]))
    hidden = np.zeros((len(data), len(data.dates)), bool)
    random = np.random.default_rng(seed)
    for row in hidden:
        row[inside] = dg.series.gaps(
            random, int(inside.sum()), share=plan.share, shortest=plan.gaps[0], longest=plan.gaps[1]
        )
        last = int(np.flatnonzero(inside)[-1])
        row[last - 1 :] = False
    return torch.from_numpy(hidden) & ~torch.isnan(data.observed)


def interpolated(values: torch.Tensor) -> torch.Tensor:
    """Linear between what is known on both sides, `(sites, days)`."""
    rows = []
    for row in values.numpy():
        known = np.flatnonzero(~np.isnan(row))
        rows.append(np.interp(np.arange(len(row)), known, row[known]))
    return torch.from_numpy(np.stack(rows))


def errors(model: dg.series.SeriesModel, data: dg.nn.SiteData, plan: Plan) -> Errors:
    """Of hidden runoff, and of each lead: mean squared errors of each site in units of its spread, by who predicted."""
    at, hidden = model.variables.index("runoff"), hide(data, plan)
    shown = replace(data, observed=torch.where(hidden, torch.nan, data.observed))
    normals = model.normals(data)
    usual, spread = normals.at(data.dates)[:, :, at], normals.spread[:, at : at + 1]

    def scored(predicted: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        square = torch.where(where, (predicted - torch.nan_to_num(data.observed)) / spread, 0.0) ** 2
        return square.sum(1) / where.sum(1)

    found: Errors = {"hidden": {}}
    rivals = {
        "model": dg.series.fill(model, shown).observed,
        "climatology": usual,
        "interpolation": interpolated(shown.observed),
        "interpolated anomalies": usual + interpolated(shown.observed - usual),
    }
    for name, predicted in rivals.items():
        found["hidden"][name] = scored(predicted, hidden)
    inside = torch.from_numpy(
        (data.dates >= np.datetime64(plan.evaluation[0])) & (data.dates <= np.datetime64(plan.evaluation[1]))
    )
    ahead = dg.series.forecast(model, data, LEADS)
    for lead in LEADS:
        where = inside & ~torch.isnan(data.observed) & ~torch.isnan(data.observed.roll(lead, 1))
        rivals = {
            "model": ahead[lead][:, :, at].roll(lead, 1),
            "climatology": usual,
            "persistence": data.observed.roll(lead, 1),
        }
        found[f"{lead} d ahead"] = {n: scored(torch.nan_to_num(p), where) for n, p in rivals.items()}
    return found


def rows(found: Mapping[str, Mapping[str, Errors]]) -> list[dict[str, object]]:
    """One row for each objective, task and rival: error of the model over that of the rival, by seed."""
    out: list[dict[str, object]] = []
    for objective, by_seed in found.items():
        for task in next(iter(by_seed.values())):
            for rival in next(iter(by_seed.values()))[task]:
                if rival == "model":
                    continue
                pairs = [(e[task]["model"], e[task][rival]) for e in by_seed.values()]
                out.append(
                    {
                        "objective": objective,
                        "task": task,
                        "rival": rival,
                        "ratio": [float((m.mean() / r.mean()).sqrt()) for m, r in pairs],
                        "median": [float((m / r).sqrt().median()) for m, r in pairs],
                        "floor": [dg.baselines.median_floor((m / r).sqrt().numpy()) for m, r in pairs],
                        "better in": [int((m < r).sum()) for m, r in pairs],
                        "error": [float(m.mean().sqrt()) for m, _ in pairs],
                    }
                )
    return out


def report(found: Mapping[str, Mapping[str, Errors]], sites: int) -> None:
    """Ratios of errors with their spread over seeds; then the two objectives against each other, paired by seed."""
    print(
        "| objective | what | against | ratio of RMSE | median over basins | its floor, basins drawn anew | better in |"
    )
    print("|" + " --- |" * 7)
    table = rows(found)
    for row in table:
        ratio, median, floor = (np.array(row[k]) for k in ("ratio", "median", "floor"))
        spread = f" ± {ratio.std(ddof=1):.3f}" if len(ratio) > 1 else ""
        better = ", ".join(map(str, row["better in"]))  # type: ignore[call-overload]
        print(
            f"| {row['objective']} | {row['task']} | {row['rival']} | {ratio.mean():.3f}{spread} | {median.mean():.3f} "
            f"| {floor.mean():.3f} | {better} of {sites} |"
        )
    error = {(r["objective"], r["task"]): np.array(r["error"]) for r in table}
    for task in dict.fromkeys(str(r["task"]) for r in table):
        if ("forecasts alone", task) not in error:
            continue
        ratio = error["mixed", task] / error["forecasts alone", task]
        floor = f"floor {2 * ratio.std(ddof=1):.3f}" if len(ratio) > 1 else "one seed has no floor"
        by_seed = ", ".join(f"{v:.3f}" for v in ratio)
        print(f"mixed over forecasts alone, {task}: {ratio.mean():.3f} ({by_seed}); {floor} (two spreads over seeds)")


def study(
    data: dg.nn.SiteData, plan: Plan, kept: Sequence[str], out: Sequence[str], seeds: Sequence[int], folder: Path
) -> Mapping[str, Mapping[str, Errors]]:
    """Errors in the sites `out`: objective -> seed -> what -> who."""
    found: dict[str, dict[str, Errors]] = {}
    for seed in seeds:
        for objective in plan.objectives():
            file = folder / f"{objective.replace(' ', '_')}_{seed}.npz"
            model = trained(data.take(kept), plan, objective, seed, file)
            found.setdefault(objective, {})[str(seed)] = errors(model, data.take(out), plan)
        report(found, len(out))
        (folder / "hidden_series.json").write_text(json.dumps(rows(found), indent=1) + "\n")
    return found


def main() -> None:
    from learn import GIVEN, TRAIN, VALIDATION, read

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("hidden_series"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--window", type=int, default=128)
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True, parents=True)
    torch.set_num_threads(1)
    data = read(options.data, GIVEN)
    kept, out = dg.nn.held_out(data.names, 20)
    # Precipitation is mostly chance: it would drown what can be learnt.
    training = dg.series.Pretraining(
        steps=options.steps,
        window=options.window,
        leads=(0, *LEADS),
        weights={"precipitation": 0.1, "temperature": 0.3},
    )
    study(data, Plan(training, TRAIN, VALIDATION, options.width), kept, out, options.seeds, options.output)


if __name__ == "__main__":
    main()
