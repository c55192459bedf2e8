"""Closures of two-dimensional turbulence, learned through the solver from an enstrophy spectrum alone.

    python examples/turbulence_closure.py DATA.npz

Forced turbulence at Re = 20,000 on 32 x 32 points (Mojgani et al. 2023, arXiv 2312.00907): without a closure small scales
pile up. What is known of the truth is the spectrum of a simulation of 1024 x 1024. One coefficient, Leith's or Smagorinsky's,
and a network of the local invariants shared by all points learn from it: runs go on from window to window, and gradients
reach back over one window, which is shorter than the time in which neighbours part. They are judged in fresh runs from other
fields over 100 units of time, beside no closure, the constants of the textbooks and a dynamic one.

DATA.npz holds `vorticity_32` (filtered fields to begin training from, `(5, 32, 32)`) and `enstrophy_spectrum`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.testbeds import (
    Closure,
    DynamicSmagorinsky,
    ForcedTurbulence,
    InvariantNetwork,
    Leith,
    Smagorinsky,
)

SYSTEM = ForcedTurbulence()
DT = 5e-3
# The wave numbers that are judged; beyond them lies the edge of the grid.
SCALES = slice(1, 15)
# Vorticity over its standard deviation.
BINS = np.linspace(-8, 8, 65)


@dataclass(frozen=True, eq=False)
class Score:
    """Of fresh runs: spectrum `(16,)` with its error, moments, density of w / sd(w), how long all were finite, cost."""

    spectrum: Tensor
    error: float
    sd: float
    kurtosis: float
    density: np.ndarray
    lasted: float
    step: float

    def __str__(self) -> str:
        return (
            f"{self.error:6.3f} {self.sd:6.2f} {self.kurtosis:6.2f} {tail(self.density):9.1e} {self.lasted:6.0f} "
            f"{1e3 * self.step:8.2f}"
        )


def tail(density: np.ndarray) -> float:
    """The probability of more than four standard deviations."""
    centres = (BINS[1:] + BINS[:-1]) / 2
    return float(density[np.abs(centres) > 4].sum() * (BINS[1] - BINS[0]))


def score(closure: Closure | None, wanted: Tensor, starts: Tensor, until: float, spin_up: float) -> Score:
    """Runs from fields `(members, 32, 32)`, and what is left of them after the spin-up, every fifth of a unit of time."""
    w, every = starts, round(0.2 / DT)
    spectra, squares, fourths, counts = [], [], [], np.zeros(len(BINS) - 1)
    began, steps, t = time.process_time(), 0, 0.0
    with torch.no_grad():
        while t < until:
            w = SYSTEM.advance(w, DT, every, closure)
            if not torch.isfinite(w).all():
                break
            steps, t = steps + every, t + every * DT
            if t > spin_up:
                spectra.append(SYSTEM.flow(w).enstrophy_spectrum.mean(0))
                squares.append(w.square().mean())
                fourths.append((w**4).mean())
                counts += np.histogram((w / w.square().mean().sqrt()).numpy(), BINS)[0]
    cost = (time.process_time() - began) / max(steps, 1) / len(starts)
    if not spectra:
        nothing = torch.full_like(wanted, math.nan)
        return Score(nothing, math.nan, math.nan, math.nan, counts, t, cost)
    spectrum, square, fourth = (torch.stack(x).mean(0) for x in (spectra, squares, fourths))
    error = float(dg.losses.rms_log_ratio(spectrum[SCALES], wanted[SCALES]))
    density = counts / counts.sum() / (BINS[1] - BINS[0])
    return Score(spectrum, error, float(square.sqrt()), float(fourth / square**2), density, t, cost)


def spun_up(members: int, seed: int, time_: float) -> Tensor:
    """Fields that no training has seen, from random ones; with a thick closure, whose traces the spin-up of runs removes."""
    with torch.no_grad():
        return SYSTEM.advance(SYSTEM.start(members, seed), DT, round(time_ / DT), Leith(0.25))


def learn(
    closure: Closure,
    parameters: list[Tensor],
    fields: Tensor,
    wanted: Tensor,
    windows: int,
    rate: float,
    steps: int = 100,
) -> dg.closures.Learned[Tensor]:
    """Learns from windows of `steps`; the spectrum is that of their second half."""

    def run(w: Tensor) -> tuple[Tensor, Tensor]:
        spectra = []
        for _ in range(4):
            w = SYSTEM.advance(w, DT, steps // 4, closure)
            spectra.append(SYSTEM.flow(w).enstrophy_spectrum.mean(0))
        return w, torch.stack(spectra[2:]).mean(0)

    def loss(spectrum: Tensor) -> Tensor:
        return dg.losses.rms_log_ratio(spectrum[SCALES], wanted[SCALES]) ** 2

    def watch(window: int, value: float) -> None:
        if window % 20 == 0 or window == windows - 1:
            shown = f"C = {math.exp(parameters[0].item()):.4f}" if len(parameters) == 1 else ""
            print(f"  window {window:4}: rms of the logarithm {math.sqrt(value):.3f} {shown}", flush=True)

    return dg.closures.learn(run, loss, parameters, fields, windows=windows, rate=rate, memory=8.0, watch=watch)


def constant(kind: Callable[[Tensor], Closure], first: float, fields: Tensor, wanted: Tensor, windows: int) -> float:
    """The coefficient that is learned from a first one; its logarithm is what is stepped in, so that steps have no unit."""
    logarithm = torch.tensor(math.log(first), dtype=torch.float64, requires_grad=True)
    learn(lambda flow: kind(logarithm.exp())(flow), [logarithm], fields, wanted, windows, rate=0.02)
    return math.exp(logarithm.item())


def divergence_time(fields: Tensor, coefficient: float) -> float:
    """One over the mean rate at which neighbours part (the largest Lyapunov exponent), over ten units of time."""
    with torch.no_grad():
        a, grown, size = fields, 0.0, 1e-6
        b = a + size * SYSTEM.start(len(a), seed=5, rms=1.0)
        for part in range(40):
            a, b = (SYSTEM.advance(w, DT, round(0.25 / DT), Leith(coefficient)) for w in (a, b))
            apart = (b - a).square().mean((-2, -1), keepdim=True).sqrt()
            if part >= 8:
                grown += float((apart / size).log().mean())
            b = a + (b - a) * size / apart
    return 32 * round(0.25 / DT) * DT / grown


def fresh_runs(
    closures: dict[str, Closure | None], wanted: Tensor, members: int, until: float, spin_up: float
) -> dict[str, Score]:
    """Scores of closures in the same fresh runs, printed as they come."""
    starts, found = spun_up(members, seed=100, time_=spin_up / 2), {}
    print(f"{'fresh runs':28} rms ln     sd   kurt  P(>4 sd) stable  ms/step")
    for name, closure in closures.items():
        found[name] = score(closure, wanted, starts, until, spin_up)
        print(f"{name:28} {found[name]}", flush=True)
    return found


def read(data: Path) -> tuple[Tensor, Tensor]:
    """Fields to begin from, `(5, 32, 32)`, and the spectrum that is wanted, `(16,)`."""
    archive = np.load(data)
    fields, spectrum = archive["vorticity_32"], archive["enstrophy_spectrum"][:16]
    return torch.from_numpy(fields).double(), torch.from_numpy(spectrum).double()


def kurtosis(fields: Tensor) -> float:
    """Of vorticity, whose mean is zero; of a normal distribution it is 3."""
    return float((fields**4).mean() / fields.square().mean() ** 2)


def main(
    data: Path,
    windows: int = 150,
    members: int = 4,
    until: float = 100.0,
    spin_up: float = 20.0,
    network_file: Path | None = None,
    output: Path | None = Path("turbulence_closure.png"),
) -> tuple[dict[str, float], dict[str, Score]]:
    """Trains, prints a table of fresh runs, draws it; returns the coefficients and the scores by name."""
    torch.set_num_threads(1)
    fields, wanted = read(data)
    print("learning C of Leith's closure, from 0.25")
    leith = constant(Leith, 0.25, fields, wanted, windows)
    print("learning C of Smagorinsky's closure, from 0.17")
    smagorinsky = constant(Smagorinsky, 0.17, fields, wanted, windows)
    print(f"C of Leith {leith:.4f}, of Smagorinsky {smagorinsky:.4f}")
    parting = divergence_time(fields, leith)
    print(f"neighbours part by e in {parting:.2f}; gradients reach over {100 * DT:.2f}")
    print("learning a network of six invariants, from Leith's closure with this C")
    network, began = InvariantNetwork(coefficient=leith), time.process_time()
    learn(network, list(network.parameters()), fields, wanted, windows, rate=0.01)
    print(f"{time.process_time() - began:.0f} s of processor time")
    if network_file is not None:
        torch.save(network.state_dict(), network_file)
    closures: dict[str, Closure | None] = {
        "no closure": None,
        "Leith 0.25": Leith(0.25),
        "Smagorinsky 0.17": Smagorinsky(0.17),
        "dynamic Smagorinsky": DynamicSmagorinsky(),
        "Leith, learned": Leith(leith),
        "Smagorinsky, learned": Smagorinsky(smagorinsky),
        "network, learned": network,
    }
    scores = fresh_runs(closures, wanted, members, until, spin_up)
    print(f"{'filtered fields of the truth':35} {float(fields.square().mean().sqrt()):6.2f} {kurtosis(fields):6.2f}")
    if output is not None:
        draw(scores, fields, wanted, output)
    return {"Leith": leith, "Smagorinsky": smagorinsky, "parting": parting, "kurtosis": kurtosis(fields)}, scores


def draw(scores: dict[str, Score], fields: Tensor, wanted: Tensor, output: Path) -> None:
    """Spectra, their errors by wave number, and the density of vorticity."""
    import matplotlib.pyplot as plt

    k, colours = np.arange(16), dict(zip(scores, ("C7", "C9", "C8", "C4", "C0", "C2", "C3", "C1"), strict=False))
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    left.loglog(k[1:], wanted[1:], "k-", lw=3, alpha=0.4, label="simulation of 1024 x 1024")
    for name, result in scores.items():
        strong = {"lw": 1.8 if "learned" in name else 1.0, "color": colours[name], "label": name}
        left.loglog(k[1:], result.spectrum[1:], **strong)
        middle.plot(k[1:15], (result.spectrum / wanted)[1:15], **strong)
        centres = (BINS[1:] + BINS[:-1]) / 2
        right.semilogy(centres, np.where(result.density > 0, result.density, np.nan), **strong)
    counts = np.histogram((fields / fields.square().mean().sqrt()).numpy(), BINS)[0]
    density = counts / counts.sum() / (BINS[1] - BINS[0])
    right.semilogy(centres, np.where(density > 0, density, np.nan), "k.", label="five filtered fields")
    right.semilogy(centres, np.exp(-(centres**2) / 2) / math.sqrt(2 * math.pi), "k:", lw=0.8, label="normal")
    middle.axhline(1, color="k", lw=0.8)
    middle.set(xlabel="wave number", ylabel="enstrophy over that wanted", yscale="log", yticks=[0.25, 0.5, 1, 2, 4])
    middle.set_yticklabels(["1/4", "1/2", "1", "2", "4"])
    middle.minorticks_off()
    left.set(xlabel="wave number", ylabel="enstrophy spectrum", xlim=(1, 16))
    right.set(xlabel="vorticity over its standard deviation", ylabel="density", ylim=(1e-6, 1), xlim=(-8, 8))
    left.legend(frameon=False, fontsize=7.5, loc="lower left")
    handles = [h for h in right.get_lines() if h.get_label() in ("five filtered fields", "normal")]
    right.legend(handles=handles, frameon=False, fontsize=7.5)
    figure.savefig(output, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--windows", type=int, default=150)
    parser.add_argument("--members", type=int, default=4, help="fresh runs of each closure")
    parser.add_argument("--until", type=float, default=100.0, help="time of the fresh runs")
    parser.add_argument("--network", type=Path, help="file to write the weights to")
    parser.add_argument("--output", type=Path, default=Path("turbulence_closure.png"))
    asked = parser.parse_args()
    main(asked.data, asked.windows, asked.members, asked.until, network_file=asked.network, output=asked.output)
