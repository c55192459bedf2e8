"""Local learning coefficients against quadrature and formulas: `python benchmarks/identify/learning_coefficients.py`."""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from pydiffgeo.identify import LearningCoefficient, local_learning_coefficient

N = 1000


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def told(what: str, found: LearningCoefficient, truth: float, started: float) -> None:
    doubts = "; ".join(found.doubts) or "trusted"
    print(
        f"{what:34} {found.value:7.3f} of {truth:.3f} (off by {found.value - truth:+.3f}, {100 * (found.value / truth - 1):+.0f} %); "
        f"again {found.again:.3f}; {doubts}; {time.process_time() - started:.0f} s",
        flush=True,
    )


def crossings() -> None:
    """`y = x w1^a w2^b` without errors, weights equally likely in a box; truth by quadrature over the same density."""
    x, grid = 2 * normal(N, seed=0), np.abs(np.linspace(-1, 1, 8001))
    for a, b in ((0, 1), (1, 1), (2, 2)):
        started = time.process_time()
        k = N / math.log(N) * float((x**2).mean()) * np.outer(grid ** (2 * a), grid ** (2 * b))
        truth = float((k * np.exp(-k)).sum() / np.exp(-k).sum())

        def loss(w: torch.Tensor, x: torch.Tensor, a: int = a, b: int = b) -> torch.Tensor:
            return (x * w[0] ** a * w[1] ** b) ** 2

        # The chains walk along the arms of a cross.
        found = local_learning_coefficient(
            loss, torch.zeros(2), x, gamma=0.0, box=1.0, chains=30, draws=5000, burn_in=2000, step=4e-3
        )
        told(f"normal crossing ({a}, {b})", found, truth, started)


def reduced_rank() -> None:
    """`y = B A x`, of which nothing but noise is learnt (Aoyagi and Watanabe 2005, Neural Netw. 18): rank zero."""
    for m, h, n, truth in ((5, 3, 5, 6.5), (4, 3, 8, 6.0)):
        started = time.process_time()
        x, count = normal(N, m, seed=1), h * m

        def loss(
            w: torch.Tensor, x: torch.Tensor, shape: tuple[int, int, int] = (m, h, n), count: int = count
        ) -> torch.Tensor:
            m, h, n = shape
            return 0.5 * ((x @ w[:count].reshape(h, m).T @ w[count:].reshape(n, h).T) ** 2).sum(1)

        found = local_learning_coefficient(
            loss, torch.zeros(h * (m + n)), x, chains=8, draws=3000, burn_in=1000, step=1e-3
        )
        told(f"reduced-rank regression ({m}, {h}, {n})", found, truth, started)


def regression() -> None:
    """Ten weights of a linear model: half their number."""
    started = time.process_time()
    x, y = normal(N, 10, seed=2), normal(N, seed=3)
    best = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    found = local_learning_coefficient(
        lambda w, x, y: 0.5 * (y - x @ w) ** 2, best, x, y, chains=20, draws=1500, burn_in=500, step=1e-3
    )
    told("linear regression, ten weights", found, 5.0, started)


if __name__ == "__main__":
    torch.set_num_threads(1)
    crossings()
    reduced_rank()
    regression()
