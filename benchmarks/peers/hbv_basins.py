"""HBV over sixty basins: runoff, and the gradient of its mean square to the parameters of each, beside other libraries.

    python benchmarks/peers/hbv_basins.py DATA --peer pydiffgeo [--years 2] [--rounds 5]

DATA is a folder with `camels_us_60.nc`. Each peer runs in an environment of its own (`--peer hydrologeez`, `hydrodl2`), which
needs NumPy, h5py and the peer; nothing of pydiffgeo is imported there. All get the same days, potential evapotranspiration
(Hamon) and parameters, which differ from basin to basin, and start from the same stores.

The models are alike, and not the same: this package solves rates in continuous time; the others take one step a day, one store
after the other, without capillary rise. hydrologeez routes by a triangle (of one day here) and, where soil
passes its field capacity, drops what is above; hydrodl2 computes in single precision. Prints processor seconds (one thread, the least
of the rounds), and how the slope to TT compares with central differences of the same model over 0.2 degC.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "JULIA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import h5py  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

Array = NDArray[np.float64]
# Of all peers: name, and the value around which those of the basins lie.
VALUES = {
    **{"TT": 0.0, "CFMAX": 3.5, "CFR": 0.05, "CWH": 0.1, "FC": 250.0, "LP": 0.7, "BETA": 2.0},
    **{"PERC": 1.5, "UZL": 20.0, "K0": 0.3, "K1": 0.1, "K2": 0.03},
}
# Runoff `(basins, days)` of parameters `(basins, len(VALUES))`, and the mean square with its gradient.
Run = Callable[[Array], Array]
Slope = Callable[[Array], tuple[float, Array]]


def weather(data: Path, days: int) -> dict[str, Array]:
    """Precipitation and potential evapotranspiration (mm/d) and temperature (degC), `(60, days)` each."""
    with h5py.File(data / "camels_us_60.nc") as file:
        rain, temperature, daylight = (
            np.nan_to_num(np.asarray(file[name][:, :days], np.float64)) for name in ("prcp", "tmean", "dayl")
        )
    pressure = 0.611 * np.exp(17.3 * temperature / (temperature + 237.3))
    return {
        "precipitation": rain,
        "temperature": temperature,
        "pet": 29.8 * daylight * pressure / (temperature + 273.2),
    }


def parameters(basins: int) -> Array:
    """Those of each basin, 10 % around the usual ones; TT within half a degree."""
    random = np.random.default_rng(0)
    spread = random.uniform(-1, 1, (basins, len(VALUES)))
    x = np.array([*VALUES.values()]) * (1 + 0.1 * spread)
    x[:, 0] = 0.5 * spread[:, 0]
    return x


def pydiffgeo(drive: dict[str, Array]) -> tuple[Run, Slope]:
    import torch

    import pydiffgeo as dg

    torch.set_num_threads(1)
    model, days = dg.models.HBV(), drive["pet"].shape[1]
    forcing = {
        "precipitation": torch.tensor(drive["precipitation"]),
        "temperature": torch.tensor(drive["temperature"]),
        "potential_evapotranspiration": torch.tensor(drive["pet"]),
    }

    def solved(x: torch.Tensor) -> torch.Tensor:
        values = {name: x[:, k : k + 1] for k, name in enumerate(VALUES)}
        return dg.solve(
            model,
            values,
            forcing=forcing,
            times=range(days + 1),
            initial={"soil_moisture": 0.5 * values["FC"].detach()},
            engine="julia",
            rtol=1e-3,
            atol=1e-3,
        ).fluxes["runoff"]

    def run(x: Array) -> Array:
        with torch.no_grad():
            return solved(torch.tensor(x)).numpy()

    def slope(x: Array) -> tuple[float, Array]:
        leaf = torch.tensor(x, requires_grad=True)
        loss = solved(leaf).square().mean()
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.item(), gradient.numpy()

    return run, slope


def hydrologeez(drive: dict[str, Array]) -> tuple[Run, Slope]:
    import jax
    import jax.numpy as jnp
    from hydrologeez.models.hbv import HBVForcing, HBVModel

    forcing = HBVForcing(jnp.array(drive["precipitation"]), jnp.array(drive["pet"]), jnp.array(drive["temperature"]))

    def one(x: jax.Array, weather: HBVForcing) -> jax.Array:
        named = {name.lower(): x[k] for k, name in enumerate(VALUES)}
        return HBVModel(**named, sfcf=jnp.array(1.0), maxbas=jnp.array(1.0)).run(weather)

    def all_of(x: jax.Array) -> jax.Array:
        return jax.vmap(one)(x, forcing)

    runoff = jax.jit(all_of)
    both = jax.jit(jax.value_and_grad(lambda x: (all_of(x) ** 2).mean()))

    def slope(x: Array) -> tuple[float, Array]:
        loss, gradient = both(x)
        return float(loss), np.asarray(gradient)

    return lambda x: np.asarray(runoff(x)), slope


def hydrodl2(drive: dict[str, Array]) -> tuple[Run, Slope]:
    import torch
    from hydrodl2.models.hbv.hbv import Hbv

    torch.set_num_threads(1)
    config = {"dynamic_params": {"Hbv": []}, "warmup": 0, "nmul": 1}
    model = Hbv(config, torch.device("cpu"))
    order = ("precipitation", "temperature", "pet")
    x_phy = torch.tensor(np.stack([drive[k].T for k in order], axis=-1), dtype=torch.float32)
    bounds = torch.tensor([model.parameter_bounds[f"par{name}"] for name in VALUES])
    place = [[*model.parameter_bounds].index(f"par{name}") for name in VALUES]

    def solved(x: torch.Tensor) -> torch.Tensor:
        share = (x - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0])
        raw = torch.zeros(len(x), len(VALUES)).index_copy(1, torch.tensor(place), torch.logit(share))
        # It cannot run without its routing, whose result is not used.
        raw = torch.cat([raw, torch.zeros(len(x), 2)], dim=1)
        flow = model({"x_phy": x_phy}, raw.unsqueeze(0).expand(len(x_phy), -1, -1))
        return flow["streamflow_no_rout"].reshape(len(x_phy), -1).T

    def run(x: Array) -> Array:
        with torch.no_grad():
            return solved(torch.tensor(x, dtype=torch.float32)).double().numpy()

    def slope(x: Array) -> tuple[float, Array]:
        leaf = torch.tensor(x, dtype=torch.float32, requires_grad=True)
        loss = solved(leaf).square().mean()
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.item(), gradient.double().numpy()

    return run, slope


PEERS = {"pydiffgeo": pydiffgeo, "hydrologeez": hydrologeez, "hydrodl2": hydrodl2}


def seconds(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Processor seconds of the first call, and the least of the later ones."""
    spent = []
    for _ in range(rounds + 1):
        begun = time.process_time()
        call()
        spent.append(time.process_time() - begun)
    return spent[0], min(spent[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--years", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    drive = weather(given.data, round(365 * given.years))
    x = parameters(len(drive["pet"]))
    run, slope = PEERS[given.peer](drive)
    first, forward = seconds(lambda: run(x), given.rounds)
    first_both, both = seconds(lambda: slope(x), given.rounds)
    gradient = slope(x)[1]
    step = np.zeros_like(x)
    step[:, 0] = 0.1
    # Each basin depends on its own TT alone.
    up, down = ((run(x + s * step) ** 2).mean(1) for s in (1, -1))
    difference = (up - down) / 0.2 / len(x)
    off = np.abs(gradient[:, 0] - difference).sum() / np.abs(difference).sum()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{given.peer}: {x.shape[0]} basins, {drive['pet'].shape[1]} days: mean runoff {run(x).mean():.4f} mm/d; forward "
        f"{forward:.3f} s (first {first:.1f}), with gradient {both:.3f} s (first {first_both:.1f}); slopes to TT off by "
        f"{100 * off:.0f} % of differences; peak {memory:.0f} MB"
    )


if __name__ == "__main__":
    main()
