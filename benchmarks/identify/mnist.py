"""Intrinsic dimension of MNIST with a network of 784-200-200-10 units, against published accuracies.

    python benchmarks/identify/mnist.py MNIST.npz results.jsonl --epochs 5

The file holds `x_train`, `y_train`, `x_test`, `y_test`. Published (Li et al. 2018, their public results, 100 epochs, Adam): accuracies of twenty
widths and depths at d = 100 .54 to .64, 300 .79 to .83, 750 .891 to .905, 1000 .905 to .921, 1500 .923 to .937.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from pathlib import Path

import numpy as np
import torch

from pydiffgeo import identify

WIDTHS = (784, 200, 200, 10)


def network(seed: int) -> torch.nn.Sequential:
    """Weights by He's rule, biases zero."""
    torch.manual_seed(seed)
    layers = list[torch.nn.Module]()
    for number, (wide, narrow) in enumerate(itertools.pairwise(WIDTHS)):
        layers += [torch.nn.ReLU()] * (number > 0) + [torch.nn.Linear(wide, narrow)]
        torch.nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
        torch.nn.init.zeros_(layers[-1].bias)
    return torch.nn.Sequential(*layers)


def train(dimension: int | None, seed: int, *, data: Path, epochs: int, rate: float, images: int) -> float:
    """Accuracy on the test images."""
    torch.set_num_threads(1)
    started = time.process_time()
    with np.load(data) as file:
        x, y, x_test, y_test = (torch.from_numpy(file[k]) for k in ("x_train", "y_train", "x_test", "y_test"))
    x, x_test = (v.reshape(len(v), -1).float() / 255 for v in (x[:images], x_test))
    y, y_test = y[:images].long(), y_test.long()
    model: torch.nn.Module = network(seed)
    if dimension is not None:
        model = identify.in_subspace(model, dimension, projection="sparse", seed=1000 + seed)
    learnt = [p for p in model.parameters() if p.requires_grad]
    # The gradient of v is P'g: a rate that suits weights is far too small for it in a short training.
    optimiser = torch.optim.Adam(learnt, lr=1e-3 if dimension is None else rate, betas=(0.9, 0.99))
    steps = epochs * (len(x) // 128)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    random = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=random)
        for chosen in order[: len(x) // 128 * 128].reshape(-1, 128):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        accuracy = (model(x_test).argmax(1) == y_test).double().mean().item()
    print(f"d {dimension}, seed {seed}: {accuracy:.4f}, {time.process_time() - started:.0f} s", flush=True)
    return accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[100, 300, 750, 1500])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.03)
    parser.add_argument("--images", type=int, default=60000)
    options = parser.parse_args()
    one = functools.partial(train, data=options.data, epochs=options.epochs, rate=options.rate, images=options.images)
    found = identify.intrinsic_dimension(one, options.dimensions, options.seeds, file=options.results)
    print(found.table())
    stated = identify.IntrinsicDimension(found.dimensions, found.performance, np.array([1.0]), 0.9)
    print(f"against an accuracy of 1: {stated.value}, each seed by itself {stated.of_seeds}")


if __name__ == "__main__":
    main()
