"""How far what is learned of turbulence on 32 x 32 points depends on the seed, and how noisy its judging is.

    python benchmarks/closures/seeds.py DATA.npz [--seeds 0 1 2 3 4] [--output FILE.json]

The trainings of `examples/turbulence_closure.py`, each seed from other fields and other first weights, judged in fresh runs
of their own. Seed 0 trains from the fields of the data; the others from these with a random field of a tenth of their
size on top, which is another course of the run after three units of time. Fresh runs of a seed are four, T = 100, of which
the first 20 are left out; their error is also that of the first two and of the last two alone, and of leaving out each in turn
(jackknife). Closures of one seed are judged from the same first fields.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from agents import EXAMPLE
from torch import Tensor

from pydiffgeo.losses import rms_log_ratio
from pydiffgeo.testbeds import Closure, DynamicSmagorinsky, InvariantNetwork, Leith, Smagorinsky

SYSTEM, DT, SCALES = EXAMPLE.SYSTEM, EXAMPLE.DT, EXAMPLE.SCALES
MEMBERS = 4


def trained(seed: int, fields: Tensor, wanted: Tensor, windows: int) -> tuple[dict[str, float], dict[str, Closure]]:
    """The constants that are learned, and the closures by name."""
    size = float(fields.square().mean().sqrt())
    begin = fields + SYSTEM.start(len(fields), 300 + seed, rms=0.1 * size) if seed else fields
    leith = EXAMPLE.constant(Leith, 0.25, begin, wanted, windows)
    smagorinsky = EXAMPLE.constant(Smagorinsky, 0.17, begin, wanted, windows)
    network = InvariantNetwork(coefficient=leith, seed=seed)
    EXAMPLE.learn(network, list(network.parameters()), begin, wanted, windows, rate=0.01)
    closures: dict[str, Closure] = {
        "Leith": Leith(leith),
        "Smagorinsky": Smagorinsky(smagorinsky),
        "network": network,
        "dynamic Smagorinsky": DynamicSmagorinsky(),
    }
    return {"Leith": leith, "Smagorinsky": smagorinsky}, closures


def fresh(closure: Closure, starts: Tensor, until: float, spin_up: float) -> tuple[Tensor, float, float]:
    """Spectra of each run `(members, 16)`, the kurtosis of all, and how long all stayed finite."""
    w, every, t = starts, round(0.2 / DT), 0.0
    spectra, squares, fourths = [], [], []
    with torch.no_grad():
        while t < until - 1e-9:
            w = SYSTEM.advance(w, DT, every, closure)
            if not torch.isfinite(w).all():
                break
            t += every * DT
            if t > spin_up:
                spectra.append(SYSTEM.flow(w).enstrophy_spectrum)
                squares.append(w.square().mean())
                fourths.append((w**4).mean())
    if not spectra:
        return torch.full((len(starts), 16), math.nan), math.nan, t
    kurtosis = float(torch.stack(fourths).mean() / torch.stack(squares).mean() ** 2)
    return torch.stack(spectra).mean(0), kurtosis, t


def error(spectra: Tensor, wanted: Tensor) -> float:
    """Of runs `(members, 16)`, averaged before the logarithm."""
    return float(rms_log_ratio(spectra.mean(0)[SCALES], wanted[SCALES]))


def jackknife(values: Sequence[float]) -> float:
    """Standard error of a statistic, from its values with each run left out in turn."""
    n = len(values)
    return math.sqrt((n - 1) * float(np.var(values)))


def main(data: Path, seeds: Sequence[int], windows: int, until: float, spin_up: float, output: Path | None) -> None:
    """Prints a row for each seed and closure, and what the seeds say together."""
    torch.set_num_threads(1)
    fields, wanted = EXAMPLE.read(data)
    rows: list[dict[str, float | str | list[float]]] = []
    for seed in seeds:
        began = time.process_time()
        constants, closures = trained(seed, fields, wanted, windows)
        starts = EXAMPLE.spun_up(MEMBERS, seed=100 + seed, time_=spin_up / 2)
        for name, closure in closures.items():
            spectra, kurtosis, lasted = fresh(closure, starts, until, spin_up)
            left_out = [error(torch.cat([spectra[:i], spectra[i + 1 :]]), wanted) for i in range(MEMBERS)]
            halves = [error(half, wanted) for half in spectra.split(MEMBERS // 2)]
            row: dict[str, float | str | list[float]] = {
                "seed": seed,
                "closure": name,
                "C": constants.get(name, math.nan),
                "error": error(spectra, wanted),
                "se": jackknife(left_out),
                "halves": halves,
                "kurtosis": kurtosis,
                "lasted": lasted,
                "spectrum": spectra.mean(0).tolist(),
            }
            rows.append(row)
            print(
                f"seed {seed} {name:20} C {row['C']:.4f} rms ln {row['error']:.3f} +- {row['se']:.3f}, halves "
                f"{halves[0]:.3f} {halves[1]:.3f}; kurtosis {kurtosis:.2f}, stable to {lasted:.0f}",
                flush=True,
            )
        print(f"  {time.process_time() - began:.0f} s of processor time", flush=True)
        if output is not None:
            output.write_text(json.dumps(rows))
    summary(rows, wanted)


def summary(rows: Sequence[dict[str, float | str | list[float]]], wanted: Tensor) -> None:
    """Means and standard deviations over seeds, and differences between closures judged from the same fields."""
    each: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(row["closure"] for row in rows):
        own = [row for row in rows if row["closure"] == name]
        errors, constants = (np.array([row[key] for row in own], float) for key in ("error", "C"))
        each[str(name)] = errors
        apart = np.array([row["halves"] for row in own], float)
        noise = np.abs(apart[:, 0] - apart[:, 1]).mean()
        pooled = error(torch.tensor([row["spectrum"] for row in own], dtype=torch.float64), wanted)
        print(
            f"{name:20} C {constants.mean():.4f} +- {constants.std(ddof=1):.4f} ({constants.min():.4f} to "
            f"{constants.max():.4f}); rms ln {errors.mean():.3f} +- {errors.std(ddof=1):.3f}, of all runs together "
            f"{pooled:.3f}; halves differ by {noise:.3f}"
        )
    for name in ("Leith", "Smagorinsky", "dynamic Smagorinsky"):
        apart = each["network"] - each[name]
        print(
            f"network less {name}: {apart.mean():+.3f} +- {apart.std(ddof=1) / math.sqrt(len(apart)):.3f} (standard error)"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--windows", type=int, default=150)
    parser.add_argument("--until", type=float, default=100.0)
    parser.add_argument("--spin-up", type=float, default=20.0)
    parser.add_argument("--output", type=Path, help="JSON of all rows, written after each seed")
    asked = parser.parse_args()
    main(asked.data, asked.seeds, asked.windows, asked.until, asked.spin_up, asked.output)
