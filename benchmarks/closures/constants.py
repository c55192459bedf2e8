"""Spectra of forced turbulence on 32 x 32 points under constants of Leith and Smagorinsky, from the fields of the data.

    python benchmarks/closures/constants.py DATA.npz

T = 20, of which the last two thirds count; the five fields are averaged before the logarithm, and singly.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from pydiffgeo.losses import rms_log_ratio
from pydiffgeo.testbeds import Closure, DynamicSmagorinsky, ForcedTurbulence, Leith, Smagorinsky

LEITH = (0.0, 0.14, 0.155, 0.17, 0.185, 0.20, 0.25, 0.40)
SMAGORINSKY = (0.055, 0.07, 0.08, 0.09, 0.11, 0.17)


def main(data: Path, dt: float) -> None:
    """Prints a row for each closure."""
    torch.set_num_threads(1)
    archive, system = np.load(data), ForcedTurbulence()
    fields = torch.from_numpy(archive["vorticity_32"]).double()
    wanted = torch.from_numpy(archive["enstrophy_spectrum"][:16]).double()
    print("closure C | rms ln | mean of single runs | ratio at k = 2, 4, 8, 12, 14 | sd | kurtosis")
    kinds: tuple[tuple[str, tuple[float, ...], type], ...] = (
        ("Leith", LEITH, Leith),
        ("Smagorinsky", SMAGORINSKY, Smagorinsky),
        ("dynamic Smagorinsky", (0.0,), DynamicSmagorinsky),
    )
    for name, constants, kind in kinds:
        c = torch.tensor(constants, dtype=torch.float64).repeat_interleave(len(fields))[:, None, None]
        closure: Closure = kind() if kind is DynamicSmagorinsky else kind(c)
        w, every, began = fields.repeat(len(constants), 1, 1), round(0.1 / dt), time.process_time()
        spectra, squares, fourths = [], [], []
        with torch.no_grad():
            for part in range(200):
                w = system.advance(w, dt, every, closure)
                if part >= 67:
                    spectra.append(system.flow(w).enstrophy_spectrum)
                    squares.append(w.square().mean((-2, -1)))
                    fourths.append((w**4).mean((-2, -1)))
        spectrum = torch.stack(spectra).mean(0).reshape(len(constants), len(fields), -1)
        square, fourth = (torch.stack(x).mean(0).reshape(len(constants), -1).mean(-1) for x in (squares, fourths))
        for i, constant in enumerate(constants):
            ratio = spectrum[i].mean(0) / wanted
            shown = " ".join(f"{ratio[k]:.2f}" for k in (2, 4, 8, 12, 14))
            error = rms_log_ratio(spectrum[i].mean(0)[1:15], wanted[1:15])
            single = rms_log_ratio(spectrum[i][:, 1:15], wanted[1:15]).mean()
            label = name if kind is DynamicSmagorinsky else f"{name} {constant:g}"
            moments = f"{square[i].sqrt():.2f} | {fourth[i] / square[i] ** 2:.2f}"
            print(f"{label} | {error:.3f} | {single:.3f} | {shown} | {moments}", flush=True)
        print(f"  {time.process_time() - began:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--dt", type=float, default=5e-3)
    asked = parser.parse_args()
    main(asked.data, asked.dt)
