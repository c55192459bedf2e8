"""Scenarios that run in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Seconds for a process of its own, Julia's start included, on a machine that is busy with other things.
LIMIT = 400


def run_apart(*arguments: str, module: str = "faults", **environment: str) -> str:
    """What a scenario of `faults` prints; a crash or a hang fails."""
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")])
    command, settings = [sys.executable, "-m", module, *arguments], {**os.environ, "PYTHONPATH": path, **environment}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    assert done.stdout.endswith("done\n")
    return done.stdout
