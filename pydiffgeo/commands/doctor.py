"""`pydiffgeo doctor`: what is installed, what works, and how to mend what does not."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..engines.julia import session
from ..engines.julia.candidates import source_directory
from ..engines.registry import NAMES
from ..errors import PydiffgeoError
from ..models import RichardsColumn
from ..solve import solve

PACKAGES = ("torch", "numpy", "casadi", "juliacall", "juliapkg", "xarray", "h5netcdf", "h5py", "pint",
            "cftime", "zarr", "matplotlib", "diffeqpy")  # fmt: skip
OPTIONAL = {
    "h5netcdf": "io",
    "h5py": "io",
    "pint": "io",
    "cftime": "io",
    "zarr": "io",
    "matplotlib": "plots",
    "diffeqpy": "diffeqpy",
}
SETTINGS = ("PYTHON_JULIACALL_EXE", "PYTHON_JULIACALL_PROJECT", "PYTHON_JULIACALL_THREADS", "PYTHON_JULIACALL_HANDLE_SIGNALS",
            "PYTHON_JULIAPKG_EXE", "PYTHON_JULIAPKG_PROJECT", "PYTHON_JULIAPKG_OFFLINE", "JULIA_NUM_THREADS",
            "JULIA_DEPOT_PATH", "JULIA_LOAD_PATH", "JULIA_CPU_TARGET", "JULIA_PKG_SERVER", "OMP_NUM_THREADS")  # fmt: skip
# An engine is tried in a process of its own, for one that crashes takes the process along.
# `-c` would look for modules in the present folder first, whatever lies there.
TRIAL = "import sys; sys.path.remove('') if '' in sys.path else None; {first}from pydiffgeo.commands.doctor import report_trial; report_trial({name!r})"
MARK = "pydiffgeo doctor: "


def examine(install: bool = False) -> int:
    """Prints a report; returns 0 where at least one engine solves and differentiates, else 1.

    `install` lets juliapkg fetch and build the Julia packages first, which takes minutes; where that
    fails, 1 is returned.
    """
    _versions()
    installed = _julia(install)
    print("engines")
    working = [name for name in NAMES if _try_engine(name)]
    print(f"engine='auto' takes: {_auto(working)}")
    return 0 if working and installed else 1


def _auto(working: list[str]) -> str:
    """What "auto" comes to: Julia where nothing is known to be missing, even if it then fails."""
    name = "sundials" if session.missing() else "julia"
    if name in working:
        return name
    return f"{name}, which fails here" + (f"; ask for engine={working[0]!r}" if working else "")


def _versions() -> None:
    print(f"pydiffgeo {__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    print("packages")
    for name in PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            extra = OPTIONAL.get(name)
            found = (
                f"not installed (optional: pip install 'pydiffgeo[{extra}]')"
                if extra
                else "NOT INSTALLED: pip install " + name
            )
        print(f"  {name:<12} {found}")
    print(f"  threads: torch {torch.get_num_threads()}, processors {os.cpu_count()}")


def _julia(install: bool) -> bool:
    """Prints how Julia is set up; returns whether an installation, if asked for, succeeded."""
    print("Julia")
    print(f"  executable   {session.executable() or 'not found'}")
    for name in SETTINGS:
        if name in os.environ:
            print(f"  {name}={os.environ[name]}")
    installed = True
    if install and session.missing() is not None:
        print("  installing the packages, this takes some minutes the first time ...", flush=True)
        try:
            session.install()
        except PydiffgeoError as error:
            installed = False
            print(f"  FAILED: {error}")
    why = session.missing()
    print(f"  packages     {'set up' if why is None else why}")
    if (
        os.environ.get("PYTHON_JULIACALL_THREADS", "1") != "1"
        and os.environ.get("PYTHON_JULIACALL_HANDLE_SIGNALS") != "yes"
    ):
        print("  WARNING: several Julia threads need PYTHON_JULIACALL_HANDLE_SIGNALS=yes, which takes Ctrl-C away")
    return installed


def _try_engine(name: str) -> bool:
    """Prints how a tiny solve and its gradient went; returns whether they are right."""
    if name == "julia" and (why := session.missing()):
        print(f"  julia        not ready: {why}")
        return False
    found = _trial(name)
    if name == "julia" and "crash" in found and "solver" in (other := _trial(name, "import juliacall; ")):
        print(f"  julia        {found['crash']} where torch is imported before juliacall, as pydiffgeo does; the other order "
              f"works: put `import juliacall` at the head of your program")  # fmt: skip
        found = other
    if "solver" not in found:
        print(f"  {name:<12} FAILED: {found.get('error') or found['crash']}")
        return False
    good = found["relative"] < 1e-4
    print(f"  {name:<12} {'works' if good else 'WRONG GRADIENT'}: {found['solver']}, gradient off by {found['relative']:.1e} "
          f"from finite differences, balance {found['balance']:.0e} m, {found['seconds']:.1f} s")  # fmt: skip
    if name == "julia":
        place, own = Path(found["place"]).resolve(), source_directory()
        print(f"               Julia source {place}" + ("" if place == own else f", not that of this pydiffgeo, {own}"))
    return good


def _trial(name: str, first: str = "") -> dict[str, Any]:
    """The outcome of `report_trial` in a new process; `crash` says how that ended without one."""
    # It is to find the same packages as this process.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    command = [sys.executable, "-c", TRIAL.format(first=first, name=name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", env=environment)
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            return dict(json.loads(line.removeprefix(MARK)))
    how = f"exit status {done.returncode}"
    if done.returncode < 0:
        how = f"signal {signal.Signals(-done.returncode).name}"
    return {"crash": f"crashes ({how})"}


def report_trial(name: str) -> None:
    """Prints as JSON how a tiny solve and its gradient go: solver, relative error, balance; or an `error`."""
    started = time.perf_counter()
    try:
        gradient, difference, solver, balance = _tiny_gradient(name)
        found: dict[str, Any] = {"solver": solver, "relative": abs(gradient - difference) / abs(difference),
                                 "balance": balance, "seconds": time.perf_counter() - started}  # fmt: skip
        if name == "julia":
            found["place"] = str(session.loaded_from())
    except PydiffgeoError as error:
        found = {"error": str(error)}
    print(MARK + json.dumps(found), flush=True)


def _tiny_gradient(engine: str) -> tuple[float, float, str, float]:
    model = RichardsColumn(depth=0.5, cells=5)

    def loss(k: torch.Tensor) -> tuple[torch.Tensor, str, float]:
        sol = solve(model, {"K_s": k}, forcing={"flux": torch.tensor([0.02, 0.001], dtype=torch.float64)},
                    times=[0.0, 1.0, 2.0], initial={"theta": 0.25}, engine=engine, rtol=1e-9, atol=1e-11)  # fmt: skip
        return sol.states["theta"].mean() + sol.fluxes["drainage"].sum(), sol.stats["solver"], sol.balance.item()

    k = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
    value, solver, balance = loss(k)
    value.backward()
    assert k.grad is not None
    with torch.no_grad():
        difference = (loss(k + 1e-3)[0] - loss(k - 1e-3)[0]) / 2e-3
    return k.grad.item(), difference.item(), solver, balance
