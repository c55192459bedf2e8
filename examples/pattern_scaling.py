"""How many members tell two emulators of a climate apart? Linear pattern scaling against a bent one, with a picture.

    python examples/pattern_scaling.py [--maps maps.npz] [--output pattern_scaling.png]

Without `--maps` the pattern is made up. With it, the real one is used: an archive with `tas`, slope and intercept of
the temperature at each place on its global mean, `(2, latitudes, longitudes)`, latitudes from pole to pole, and the
regression of that mean on cumulative emissions, `tas_per_GtCO2` and `tas_intercept` (Luetjens et al. 2025).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

import pydiffgeo as dg

Array = NDArray[np.float64]
MEMBERS, YEARS, LATE, MEMORY, SD, BEND = 50, 120, slice(-21, None), 0.6, 0.5, 0.1
SIZES = (1, 3, 5, 10, 20, 50)


def read(path: Path | None) -> tuple[Array, Array, float, float]:
    """Slopes of the pattern, area of each place, and the line from emissions (Gt CO2) to the global mean (K)."""
    if path is None:
        rows, columns = np.meshgrid(np.linspace(-90, 90, 24), np.linspace(0, 360, 36), indexing="ij")
        slopes = 1 + 0.8 * np.sin(np.radians(rows)) ** 2 + 0.3 * np.cos(np.radians(3 * columns))
        area = np.cos(np.radians(rows)).clip(0)
        return slopes / np.average(slopes, weights=area), area, 4.8e-4, 0.0
    maps = np.load(path, allow_pickle=False)
    # Every fourth place, so that fifty members of 120 years stay small; the real line of each.
    slopes, latitudes = maps["tas"][0].astype(np.float64), np.linspace(-90, 90, maps["tas"].shape[1])
    area = np.broadcast_to(np.cos(np.radians(latitudes)).clip(0)[:, None], slopes.shape)
    print(f"real pattern: slope with area weights {np.average(slopes, weights=area):.4f}, without {slopes.mean():.4f}")
    slopes, area = slopes[::4, ::4], area[::4, ::4]
    slopes = slopes / np.average(slopes, weights=area)
    return slopes, area, float(maps["tas_per_GtCO2"]), float(maps["tas_intercept"])


def noise(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Internal variability of each place by itself, AR(1), `(members, years, *places)`."""
    out = np.empty(shape)
    out[:, 0] = random.normal(0, SD, shape[:1] + shape[2:])
    for t in range(1, shape[1]):
        out[:, t] = MEMORY * out[:, t - 1] + random.normal(0, SD * (1 - MEMORY**2) ** 0.5, shape[:1] + shape[2:])
    return out


def main(
    maps: Path | None = None,
    output: Path = Path("pattern_scaling.png"),
    draws: int = 40,
    sizes: tuple[int, ...] = SIZES,
) -> dict[int, dg.baselines.MemberRanking]:
    """Members in the target -> ranking against targets of that size; draws the picture."""
    slopes, area, per_gt, intercept = read(maps)
    random, shape = np.random.default_rng(0), (MEMBERS, YEARS, *slopes.shape)
    emissions = {"training": 9000 * np.linspace(0, 1, YEARS) ** 1.5, "test": 5500 * np.linspace(0, 1, YEARS) ** 1.3}
    mean = {name: per_gt * e + intercept for name, e in emissions.items()}
    # The truth bends mildly: a tenth of the signal at four degrees.
    truth = {n: m[:, None, None] * slopes * (1 + BEND * (m[:, None, None] / 4 - 1)) for n, m in mean.items()}
    wiggle = {name: noise(shape, random) for name in emissions}
    late = (truth["test"] + wiggle["test"])[:, LATE].mean(1)

    def scaling(drawn: NDArray[np.int64]) -> Array:
        field = truth["training"] + wiggle["training"][drawn].mean(0)
        fit = dg.baselines.PatternScaling.fit({"training": (emissions["training"], field)}, weights=area)
        return fit.predict("test", emissions["test"])[LATE].numpy().mean(0)

    def parabola(drawn: NDArray[np.int64]) -> Array:
        field = (truth["training"] + wiggle["training"][drawn].mean(0)).reshape(YEARS, -1)
        found = np.polynomial.polynomial.polyfit(mean["training"], field, 2)
        return np.polynomial.polynomial.polyval(mean["test"][LATE], found).mean(1).reshape(slopes.shape)

    rivals = {"pattern scaling": scaling, "parabola in each place": parabola}
    found = {n: dg.baselines.rank_by_members(late, rivals, n=n, draws=draws, weights=area, seed=n) for n in sizes}
    for ranking in found.values():
        print(ranking)
    draw(slopes, found, output)
    return found


def draw(slopes: Array, found: dict[int, dg.baselines.MemberRanking], output: Path) -> None:
    """The pattern, and errors by the size of the target, with their floor."""
    sizes, rankings = [*found], [*found.values()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    shown = left.pcolormesh(slopes, cmap="inferno", shading="auto")
    figure.colorbar(shown, ax=left, label="K of the place per K of the mean")
    left.set(title="pattern", xlabel="column", ylabel="row")
    for name in rankings[0].error:
        low, middle, high = np.array([np.quantile(r.error[name], [0.05, 0.5, 0.95]) for r in rankings]).T
        line = right.plot(sizes, middle, marker="o", label=name)[0]
        right.fill_between(sizes, low, high, color=line.get_color(), alpha=0.2)
    right.plot(sizes, [r.floor for r in rankings], "k--", label="floor of internal variability")
    right.set(xscale="log", yscale="log", xlabel="members in the target", ylabel="error, K", xticks=sizes)
    right.set_xticks(sizes, labels=[str(n) for n in sizes])
    right.legend()
    figure.savefig(output, dpi=120)
    plt.close(figure)
    print(f"wrote {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=Path)
    parser.add_argument("--output", type=Path, default=Path("pattern_scaling.png"))
    parser.add_argument("--draws", type=int, default=40)
    main(**vars(parser.parse_args()))
