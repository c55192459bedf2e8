"""`pydiffgeo warmup`: every stage is done and told, of a ready model and of a configuration, and failures are those of the model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pydiffgeo.commands.cli import main

STAGES = (
    "first solve: tracing, building, compiling",
    "first solve that keeps its steps",
    "first gradient, to ",
    "and once more, warm: a solve",
)


def seconds(said: str, stage: str) -> float:
    line = next(line for line in said.splitlines() if line.startswith(f"  {stage}"))
    return float(re.fullmatch(r".* ([0-9.]+) s", line)[1])


def test_a_ready_model_by_stage(capsys):
    assert main(["warmup", "ExpHydro", "--engine", "sundials"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("ExpHydro, engine sundials (asked for)\n")
    assert all(seconds(said, stage) >= 0 for stage in STAGES)
    assert "first gradient, to 6 parameters" in said
    # What was built is used again, here or before.
    assert seconds(said, STAGES[-1]) <= seconds(said, STAGES[0])


LATER = """
import torch, pydiffgeo as dg
from pydiffgeo.engines.julia.session import in_julia
f = torch.tensor(0.02, requires_grad=True)
sol = dg.solve(dg.models.ExpHydro(), {"f": f}, forcing={"precipitation": 3.0, "temperature": 5.0, "daylength": 12.0},
               times=range(4), engine="julia")
sol.fluxes["runoff"].sum().backward()
anew = "count(key -> !haskey(KNOWN, key[1]), keys(USED))"
known, compiled = in_julia(lambda package: (len(package.module.KNOWN), package.module.seval(anew)))
print("known", known, "compiled", compiled, "gradient", f.grad.item() < 0)
"""


def test_functions_of_a_model_are_kept_for_later_processes(julia_engine, tmp_path):
    """In a depot of its own: what others have compiled is found behind it."""
    behind = os.environ.get("JULIA_DEPOT_PATH", "")
    places = os.environ | {
        "JULIA_DEPOT_PATH": os.pathsep.join(
            [str(tmp_path), *([behind] if behind else [str(Path.home() / ".julia"), ""])]
        )
    }

    def run(*command: str) -> str:
        done = subprocess.run([sys.executable, *command], env=places, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run("-m", "pydiffgeo", "warmup", "ExpHydro", "--engine", "julia")
    assert all(f"  {stage}" in said for stage in (*STAGES, "Julia and its packages"))
    kept = int(re.search(r"  (\d+) functions of the model kept for later processes", said)[1])
    assert kept >= 4  # values, slopes, their adjoints
    assert run("-c", LATER) == f"known {kept} compiled 0 gradient True\n"


def test_the_model_of_a_configuration(tmp_path, capsys):
    path = tmp_path / "store.toml"
    assert main(["init", "ExpHydro", str(path)]) == 0
    path.write_text(path.read_text().replace("# rtol = 1e-6", "rtol = 1e-3"))
    assert main(["warmup", str(path), "--engine", "sundials"]) == 0
    assert "ExpHydro, engine sundials" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("Richards", "is no ready model; did you mean 'RichardsColumn'?"),
        ("gone.toml", "gone.toml"),
        ("a:b", "--run-code"),
    ],
)
def test_what_is_not_there_is_named(what, words, capsys):
    assert main(["warmup", what, "--engine", "sundials"]) == 1
    assert words in capsys.readouterr().err
