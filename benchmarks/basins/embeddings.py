"""Do embeddings of a pretrained model of series help a parameter network in basins that it has not seen?

    python benchmarks/basins/embeddings.py DATA MODELS --output DIR [--seeds 0 1 2] [--engine E] [--euler]

DATA is a folder with `camels_us_60.nc`, `camels_us_attributes_60.csv` and `exphydro_parameters_60.csv`; MODELS is the result
of `hidden_series.py`: seed 1 takes its `mixed_1.npz`, and so on. Embeddings are principal components of what that model
remembers of 1980-10-01 to 2000-09-30, with runoff hidden in all basins, since those held out have no gauge; the components are those
of the 40 basins for training. Each network gives the parameters of EXP-HYDRO, is trained on the 40 in the same years, and
scored in the other 20 over 2000-10-01 to 2010-09-30. Inputs:

    attributes          climate and topography, as in `learn.py`
    both                these, and the embedding
    embedding           that alone
    random              the attributes, and as many random numbers as the embedding has

What was trained is read again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from adaptation import Plan, Scores, base, efficiency, start_of

import pydiffgeo as dg

KINDS = ("attributes", "both", "embedding", "random")


def given(data: dg.nn.SiteData, embedding: dg.io.SiteTable, kind: str, seed: int) -> dg.nn.SiteData:
    """The sites with the inputs of a kind."""
    if kind == "attributes":
        return data
    if kind == "random":
        values = np.random.default_rng(1000 + seed).normal(size=embedding.values.shape)
        return data.joined(dg.io.SiteTable(embedding.sites, embedding.columns, values))
    bare = replace(data, attributes=data.attributes[:, :0], inputs=())
    return (data if kind == "both" else bare).joined(embedding)


def study(
    data: dg.nn.SiteData,
    plan: Plan,
    models: Mapping[int, dg.series.SeriesModel],
    kept: Sequence[str],
    kinds: Sequence[str],
    size: int,
    folder: Path,
) -> dict[str, dict[str, Scores]]:
    """NSE of the sites that are not kept: kind -> seed -> site."""
    file = folder / "embeddings.json"
    table: dict[str, dict[str, Scores]] = json.loads(file.read_text()) if file.exists() else {}
    out = [n for n in data.names if n not in kept]
    past = data.between(*plan.home)
    for seed, model in models.items():
        embedding = dg.series.embed(model, past, hidden=("runoff",), size=size, like=past.take(kept))
        dg.io.write_site_table(folder / f"embedding_{seed}.csv", embedding)
        for kind in kinds:
            if str(seed) in table.get(kind, {}):
                continue
            sites = given(data, embedding, kind, seed)
            network = base(
                replace(plan, inputs=sites.inputs), sites.take(kept), seed, folder / f"network_{kind}_{seed}.npz"
            )
            found = efficiency(plan, network, sites.take(out))
            table.setdefault(kind, {})[str(seed)] = found
            file.write_text(json.dumps(table, indent=1) + "\n")
            print(f"{kind}, seed {seed}: median NSE held out {np.median([*found.values()]):.3f}", flush=True)
        report(table)
    return table


def report(table: Mapping[str, Mapping[str, Scores]]) -> None:
    """Medians over the sites held out, and the change from the attributes alone, paired by seed, with its floor."""
    alone = table["attributes"]
    for kind, by_seed in table.items():
        seeds = [s for s in by_seed if s in alone]
        own, before = ([float(np.median([*t[s].values()])) for s in seeds] for t in (by_seed, alone))
        better = [sum(by_seed[s][n] > alone[s][n] for n in alone[s]) for s in seeds]
        lead = np.subtract(own, before)
        floor = f"floor over seeds {2 * lead.std(ddof=1):.3f}" if len(lead) > 1 else "one seed has no floor over seeds"
        basins = [dg.baselines.median_floor([*by_seed[s].values()], [*alone[s].values()]) for s in seeds]
        floor += f", with basins drawn anew {np.mean(basins):.3f}"
        change = (
            ""
            if kind == "attributes"
            else f"; {lead.mean():+.3f}, {floor}; better in {better} of {len(alone[seeds[0]])}"
        )
        print(f"  {kind:12} {np.mean(own):.3f} ({', '.join(f'{v:.3f}' for v in own)}){change}", flush=True)


def main() -> None:
    from learn import BOUNDS, GIVEN, INITIAL, TRAIN, VALIDATION, read, settings_of, training_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--output", type=Path, default=Path("embeddings"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=[*KINDS])
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--euler", action="store_true", help="daily steps of implicit Euler in place of error control")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--inner-steps", type=int, default=6)
    parser.add_argument("--window", type=int, default=365)
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True, parents=True)
    torch.set_num_threads(1)
    data = read(options.data, GIVEN)
    kept, _ = dg.nn.held_out(data.names, 20)
    settings = settings_of(options.engine, options.euler)
    training = training_of(options.steps, 40, options.window, options.inner_steps, settings)
    plan = Plan(GIVEN, start_of(options.data, kept), BOUNDS, INITIAL, training, training, TRAIN, TRAIN, VALIDATION)
    models = {s: dg.series.SeriesModel.load(options.models / f"mixed_{s}.npz") for s in options.seeds}
    study(data, plan, models, kept, options.kinds, options.size, options.output)


if __name__ == "__main__":
    main()
