"""Which programs and projects the engine can use, and where the Julia package of our own lies. Starts no Julia."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

# The way out of a program that is no good.
ANEW = "install Julia anew (https://julialang.org/install), or let `pydiffgeo doctor --install` bring one"
# What names the executable, and the project, where the user sets up Julia.
EXE, PROJECT = "PYTHON_JULIACALL_EXE", "PYTHON_JULIACALL_PROJECT"


def unfit_program(program: str) -> str | None:
    """Why a program is no Julia that can be used."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, encoding="utf-8", errors="replace", timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} cannot be run ({error}); {ANEW}"
    if done.returncode:
        how = f"exit status {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        words = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return f"{program} crashes ({how}: {words}); {ANEW}"
    version = re.match(r"julia version (\d+)\.(\d+)\.(\d+)", done.stdout)
    if version is None:
        return f"{program} is no Julia: it calls itself {done.stdout.strip()[:80]!r}"
    oldest = json.loads((_package() / "juliapkg.json").read_text())["julia"].split()[0]
    if tuple(map(int, version.groups())) < tuple(map(int, oldest.split("."))):
        return (
            f"{program} is Julia {'.'.join(version.groups())}, and {oldest} or later is needed: `pydiffgeo doctor --install` "
            f"lets juliapkg bring one, or PYTHON_JULIAPKG_EXE names another than that on PATH"
        )
    return None


def unfit_project(project: str) -> str | None:
    """Why packages cannot be taken from a project that the user named."""
    folder = Path(project) if Path(project).is_dir() else Path(project).parent
    if not Path(project).exists():
        return f"{PROJECT}={project} does not exist; {recipe(project)}"
    if not any((folder / name).is_file() for name in ("Project.toml", "JuliaProject.toml")):
        return f"{PROJECT}={project} is no Julia project, it has no Project.toml; {recipe(project)}"
    return None


def recipe(project: str) -> str:
    """How to fill a project by hand."""
    from importlib.metadata import version

    return (
        f'this makes one: julia --project={project} -e \'import Pkg; Pkg.develop(path="{source_directory()}"); '
        f'Pkg.add(name="PythonCall", version="{version("juliacall")}")\''
    )


def _package() -> Path:
    return Path(__file__).resolve().parents[2]


def source_directory() -> Path:
    """Where the Julia package lies: beside the package in a checkout, inside it in a wheel."""
    inside = _package() / "julia"
    return inside if (inside / "Project.toml").exists() else _package().parent / "julia"
