"""A writer that is killed at random moments, in a process of its own: `python -m killed KIND FOLDER`."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from faults import forward

import pydiffgeo as dg
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


if __name__ == "__main__":
    rewrite(*sys.argv[1:])
    print("done")
