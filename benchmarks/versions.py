"""Is one state of the code slower than another? Both solve the cases of `peers`, in turns, on the same machine.

    python benchmarks/versions.py ../before --julia-projects env_before env_now --data ../data

Prints, for each case, steps and seconds of a loss with its gradient, the least of all rounds, and their ratio. Where one
of the two has chosen to take more steps at the same tolerance, compare their errors before their times
(`peers/run.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CASES = {"richards": 1e-3, "basin": 1e-3, "robertson": 1e-3}
HERE = Path(__file__).resolve().parent.parent


def measure(root: Path, engine: str, data: Path | None, budget: float) -> dict[str, tuple[int, float]]:
    """Steps, and the least seconds of a loss with its gradient, of the code that is checked out at `root`."""
    sys.path[:0] = [str(root), str(root / "benchmarks" / "peers")]
    import cases
    import ours
    import torch

    steps: list[int] = []
    solve = ours.dg.solve

    def counted(*args: Any, **settings: Any) -> Any:
        solution = solve(*args, **settings)
        steps[:] = solution.stats["steps"]
        return solution

    torch.set_num_threads(1)
    ours.dg.solve = counted
    found = {}
    for name, rtol in CASES.items():
        if name == "basin" and data is None:
            continue
        gradient = ours.prepare(cases.CASES[name](data), rtol, engine=engine)
        seconds = []
        until = time.perf_counter() + budget
        while (started := time.perf_counter()) < until:
            gradient()
            seconds.append(time.perf_counter() - started)
        found[name] = steps[0], min(seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, nargs="?", help="a checkout of the code to compare with")
    parser.add_argument("--engine", default="julia")
    parser.add_argument("--julia-projects", nargs=2, metavar=("BEFORE", "NOW"), help="environments of each for Julia")
    parser.add_argument("--data", type=Path, help="folder with the basins; without it that case is left out")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each case, in each round")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.engine, given.data, given.seconds)))
        return
    if given.before is None:
        parser.error("give a checkout to compare with")
    roots = {"before": given.before.resolve(), "now": HERE}
    best: dict[str, dict[str, tuple[int, float]]] = {which: {} for which in roots}
    for _ in range(given.rounds):
        for i, (which, root) in enumerate(roots.items()):
            environment = os.environ | {"OMP_NUM_THREADS": "1", "JULIA_NUM_THREADS": "1"}
            if given.julia_projects:
                environment["PYTHON_JULIACALL_PROJECT"] = str(Path(given.julia_projects[i]).resolve())
            command = [
                sys.executable,
                __file__,
                "--one",
                str(root),
                "--engine",
                given.engine,
                "--seconds",
                str(given.seconds),
            ]
            command += ["--data", str(given.data)] if given.data else []
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            for name, (steps, seconds) in json.loads(done.stdout.splitlines()[-1]).items():
                best[which][name] = steps, min(seconds, best[which].get(name, (0, float("inf")))[1])
    print(f"{'case':12}{'steps before':>14}{'now':>8}{'seconds before':>16}{'now':>10}{'ratio':>8}")
    for name, (steps, seconds) in best["now"].items():
        other, before = best["before"][name]
        print(f"{name:12}{other:14}{steps:8}{before:16.4f}{seconds:10.4f}{seconds / before:8.2f}")


if __name__ == "__main__":
    main()
