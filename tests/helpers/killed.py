"""Work that is killed or interrupted at random moments, in processes of its own: `python -m killed KIND FOLDER`."""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import learning
import numpy as np
import torch
from faults import forward

import pydiffgeo as dg
from pydiffgeo import calibration
from pydiffgeo.calibration import checkpoint


def rewrite(kind: str, folder: str) -> None:
    """Kills a process that rewrites a file, again and again, and reads what is there each time."""
    path = Path(folder) / {"result": "result.nc", "checkpoint": "search.npz"}[kind]
    identity = {"data": {"basin": "what it is made of"}}
    sol, _ = forward("sundials", (0.3, 0.5))
    data = dg.io.solution_dataset(sol)

    def write(i: int) -> None:
        if kind == "result":
            dg.io.write_dataset(
                path, data.assign(u=(data.u.dims, np.full(data.u.shape, float(i)), data.u.attrs)), {"round": i}
            )
        else:
            state = {"x": np.full(20_000, float(i)), "y": np.full(3, float(i))}
            checkpoint.save(path, identity, checkpoint.Checkpoint(site="basin", state=state))

    def read() -> float:
        if kind == "result":
            found = dg.io.read_dataset(path)
            values = [*found.u.values.ravel(), float(found.attrs["round"])]
        else:
            state = checkpoint.load(path, identity).state
            assert state is not None
            values = [*state["x"], *state["y"]]
        assert len({*values}) == 1, "two rounds in one file"
        return values[0]

    write(0)
    last, random_delay = 0.0, random.Random(0)
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            i = int(last)
            while True:
                i += 1
                write(i)
        time.sleep(random_delay.uniform(0.02, 0.3))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = read()
        assert found >= last, "an older result came back"
        last = found
    assert last > 0
    left = [p for p in Path(folder).iterdir() if p != path]
    print("rounds", int(last), "left behind", len(left))
    assert all(p.name.startswith(".") and p.suffix == ".part" for p in left), left


def train(path: Path) -> list[Any]:
    """A short training that writes its checkpoint after each step; what it comes to."""
    training = replace(
        learning.BRIEF, steps=12, batch=4, window=60, warmup=10, tuning=40, measure="scaled", learning_rate=0.05
    )
    net = learning.network()
    seen = dg.nn.train(net, learning.make_sites(), training, checkpoint=path, progress=False)
    return [seen.loss, seen.tuning, seen.failures, *(v.tolist() for v in net.state_dict().values())]


def search(path: Path) -> list[Any]:
    """A short calibration of two sites that writes its checkpoint after each step; what it comes to."""
    sites = learning.make_sites()
    windows = [(float(d), float(d + 1)) for d in range(20, 120)]
    made = [
        calibration.Site(
            name,
            learning.MODEL,
            range(121),
            {k: v[i, :120] for k, v in sites.forcing.items()},
            (dg.observe.Observation("runoff", "flux_mean", windows, sites.observed[i, 20:120], error=1.0),),
            {"f": (0.01, 0.1), "S_max": (100.0, 400.0)},
            fixed={"Q_max": 15.0, "D_f": 2.0},
            initial={"water_storage": 150.0},
            warmup=20.0,
            settings={"engine": "sundials", "rtol": 1e-4, "atol": 1e-4},
        )
        for i, name in ((2, "one"), (6, "two"))
    ]
    strategy = calibration.Strategy(
        candidates=6, starts=3, finalists=2, window=30, window_steps=3, steps=8, method="bfgs"
    )
    found = calibration.calibrate(made, strategy, checkpoint=path, progress=False)
    kept = [{k: v.tolist() for k, v in state.items() if k != "seconds"} for state in found.searches.values()]
    return [kept, dict(found.failures)]


def go_on(kind: str, folder: str) -> None:
    """Kills and interrupts work at random moments until it is done, and compares with work that was left alone."""
    work, path, chance = {"training": train, "calibration": search}[kind], Path(folder) / "c.npz", random.Random(1)
    # Forked children have what was built here, and need no time for it.
    torch.set_num_threads(1)
    importlib.import_module("pydiffgeo.nn.train").SAVE_EVERY = 0.0
    importlib.import_module("pydiffgeo.calibration.keeper").SAVE_EVERY = 0.0
    work(Path(folder) / "first.npz")
    started = time.monotonic()
    alone = json.dumps(work(Path(folder) / "alone.npz"))
    duration, stops = time.monotonic() - started, {signal.SIGKILL: 0, signal.SIGINT: 0}
    for attempt in range(200):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                done = json.dumps(work(path))
                os._exit(0 if done == alone else 3)
            except KeyboardInterrupt:
                os._exit(2)
            except BaseException:
                traceback.print_exc()
                os._exit(4)
        kind_of_stop = (signal.SIGKILL, signal.SIGINT)[attempt % 2]
        # Long enough that something is done between stops, also where the machine has become slower since.
        time.sleep(chance.uniform(0.03, 0.3) * duration * 1.02**attempt)
        os.kill(pid, kind_of_stop)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            break
        assert code in (2, -signal.SIGKILL, -signal.SIGINT), f"after {stops}: exit {code}"
        stops[kind_of_stop] += 1
    print("stops", dict(stops), "seconds undisturbed", duration)
    assert code == 0
    assert min(stops.values()) >= 1


if __name__ == "__main__":
    (go_on if sys.argv[1] in ("training", "calibration") else rewrite)(*sys.argv[1:])
    print("done")
