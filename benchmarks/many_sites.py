"""Many sites over Dask: what two workers bring over one, and what the scheduler sees of a hundred thousand sites.

    python benchmarks/many_sites.py basins [--basins 60] [--engine E] [--days 1461] [--brief]
    python benchmarks/many_sites.py simulated [--sites 100000] [--workers 2] [--seconds 0]

`basins` calibrates made-up basins (EXP-HYDRO, bounds of three parameters) on one worker and on two, prints seconds and the
processor time of the workers, and whether all results are equal to the last bit. `simulated` sends as many tasks
as there are sites to workers that sleep, or return at once, what a site's search returns: what is sent, what the client and the
scheduler take in time and memory. Workers are started, and have solved once, before clocks start.
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
from functools import partial

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.calibration import Site, Strategy, calibrate
from pydiffgeo.scheduling import each

STRATEGY = Strategy(candidates=32, starts=4, finalists=2, steps=8)
BRIEF = Strategy(candidates=8, starts=2, finalists=1, steps=4)


def basin(number: int, engine: str, days: int) -> Site:
    """A made-up basin whose runoff is that of the model, with errors of a tenth."""
    random, n = np.random.default_rng(number), days
    season = np.cos(2 * np.pi * np.arange(n) / 365.25)
    forcing = {
        "precipitation": random.gamma(0.3, 10.0, n),
        "temperature": 6.0 - 9.0 * season + random.normal(0.0, 3.0, n),
        "daylength": 12.0 - 3.0 * season,
    }
    true = {"f": 0.01 + 0.05 * random.random(), "S_max": 150.0 + 300.0 * random.random()}
    settings = {"engine": engine, "rtol": 1e-4, "atol": 1e-4}
    run = dg.solve(
        dg.models.ExpHydro(),
        true,
        forcing=forcing,
        times=np.arange(n + 1.0),
        initial={"water_storage": 200.0},
        **settings,
    )
    windows = np.stack([np.arange(n), np.arange(n) + 1.0], axis=1)
    seen = run.fluxes["runoff"].reshape(-1) * torch.from_numpy(1 + 0.1 * random.normal(size=n))
    observed = dg.observe.Observation("runoff", "flux_mean", windows, seen, error=1.0)
    return Site(
        f"basin {number}",
        dg.models.ExpHydro(),
        np.arange(n + 1.0),
        forcing,
        (observed,),
        {"f": None, "S_max": None, "D_f": None},
        fixed={"Q_max": 15.0, "T_max": 1.0, "T_min": -1.0},
        initial={"water_storage": 200.0},
        loss="nse",
        warmup=180.0,
        settings=settings,
    )


def used(worker: object = None) -> float:
    """Seconds of processor time of this process."""
    return time.process_time()


def warm(engine: str) -> float:
    basin(0, engine, 400).evaluate(np.zeros((4, 3)))
    return time.process_time()


def basins(count: int, engine: str, days: int, strategy: Strategy) -> None:
    from distributed import Client, LocalCluster

    sites = [basin(i, engine, days) for i in range(count)]
    site = len(pickle.dumps(sites[0]))
    seconds, busy, found = dict[int, float](), dict[int, list[float]](), {}
    for workers in (1, 2):
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            before, mine = client.run(warm, engine), time.process_time()
            began = time.perf_counter()
            found[workers] = calibrate(sites, strategy, scheduler=client, progress=False)
            seconds[workers] = time.perf_counter() - began
            busy[workers] = [after - before[worker] for worker, after in client.run(used).items()]
            # The scheduler is in this process.
            other = time.process_time() - mine
        shares = " + ".join(f"{share:.1f}" for share in busy[workers])
        print(
            f"{workers} workers: {seconds[workers]:.1f} s; processor time of workers {shares} s, of client and scheduler "
            f"{other:.1f} s; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    states = [[found[w].searches[s.name] for s in sites] for w in (1, 2)]
    same = all(
        np.array_equal(a[k], b[k], equal_nan=True) for a, b in zip(*states, strict=True) for k in a if k != "seconds"
    )
    # On a machine that has other work, seconds say little: there the busier of two workers against the single one.
    print(f"two workers over one: {seconds[1] / seconds[2]:.2f} x, by processor time {busy[1][0] / max(busy[2]):.2f} x")
    print(f"equal to the last bit: {same}")
    print(f"a site is {site / 1000:.0f} kB as sent, its result {len(pickle.dumps(states[0][0])) / 1000:.1f} kB")


def simulated(state: bytes, seconds: float, name: str) -> bytes:
    """What a search returns, after so many seconds."""
    time.sleep(seconds)
    return state


def memory() -> float:
    """Megabytes of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def many(count: int, workers: int, seconds: float) -> None:
    import subprocess
    import sys

    import cloudpickle
    from distributed import Client

    state = os.urandom(2500)
    work = partial(simulated, state, seconds)
    # The scheduler in a process of its own, so that its time and memory are its own.
    tool = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"scheduler-{os.getpid()}.json")
    started = [subprocess.Popen([*tool, "--scheduler-file", folder], stderr=subprocess.DEVNULL)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard"]
    try:
        while not os.path.exists(folder):
            time.sleep(0.1)
        started += [
            subprocess.Popen([*worker, "--scheduler-file", folder], stderr=subprocess.DEVNULL) for _ in range(workers)
        ]
        with Client(scheduler_file=folder) as client:
            client.wait_for_workers(workers)
            begun = client.run_on_scheduler(_of_scheduler)
            mine, at, took = memory(), time.process_time(), time.perf_counter()
            for done, _ in enumerate(each(work, ((str(i), str(i)) for i in range(count)), client), 1):
                if done % max(count // 10, 1) == 0:
                    cpu, size, tasks = client.run_on_scheduler(_of_scheduler)
                    print(
                        f"{done:7d} sites  scheduler {cpu - begun[0]:6.1f} s {size:6.1f} MB {tasks} tasks", flush=True
                    )
            took, at = time.perf_counter() - took, time.process_time() - at
            cpu, size, _ = client.run_on_scheduler(_of_scheduler)
            print(
                f"a site: {1e3 * took / count:.2f} ms, of which scheduler {1e3 * (cpu - begun[0]) / count:.2f} ms, client "
                f"{1e3 * at / count:.2f} ms; scheduler grew by {size - begun[1]:.1f} MB, client by {memory() - mine:.1f} MB"
            )
            sent = len(cloudpickle.dumps(work)) - len(state) + len(cloudpickle.dumps("0"))
            print(f"sent for a site that workers make: {sent} bytes; returned: {len(state)} bytes")
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _of_scheduler(dask_scheduler: object) -> tuple[float, float, int]:
    """Processor seconds, megabytes and tasks of the scheduler."""
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return time.process_time(), size, len(getattr(dask_scheduler, "tasks", ()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("basins", "simulated"))
    parser.add_argument("--basins", type=int, default=60)
    parser.add_argument("--engine", default="sundials")
    parser.add_argument("--days", type=int, default=1461)
    parser.add_argument("--brief", action="store_true", help="a search of a quarter of a second for each basin")
    parser.add_argument("--sites", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.0)
    options = parser.parse_args()
    if options.what == "basins":
        basins(options.basins, options.engine, options.days, BRIEF if options.brief else STRATEGY)
    else:
        many(options.sites, options.workers, options.seconds)
