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

import torch
from typing_extensions import TypedDict

from .. import __version__
from ..engines.julia import session
from ..engines.julia.candidates import source_directory
from ..engines.registry import NAMES
from ..errors import PydiffgeoError
from ..models import RichardsColumn
from ..solve import Settings, solve

# Those that are not needed, with the extra that installs them.
OPTIONAL = {name: "io" for name in ("h5netcdf", "h5py", "pint", "cftime", "zarr")}
OPTIONAL |= {"matplotlib": "plots", "diffeqpy": "diffeqpy"}
PACKAGES = ("torch", "numpy", "casadi", "juliacall", "juliapkg", "xarray", *OPTIONAL)
SETTINGS = (
    *(f"PYTHON_JULIACALL_{name}" for name in ("EXE", "PROJECT", "THREADS", "HANDLE_SIGNALS")),
    *(f"PYTHON_JULIAPKG_{name}" for name in ("EXE", "PROJECT", "OFFLINE")),
    *(f"JULIA_{name}" for name in ("NUM_THREADS", "DEPOT_PATH", "LOAD_PATH", "CPU_TARGET", "PKG_SERVER")),
    "OMP_NUM_THREADS",
)
# An engine is tried in a process of its own, for one that crashes takes the process along.
# `-c` would look for modules in the present folder first, whatever lies there.
TRIAL = "import sys; sys.path.remove('') if '' in sys.path else None; {first}from pydiffgeo.commands.doctor import report_trial; report_trial({name!r})"
MARK = "pydiffgeo doctor: "


class Trial(TypedDict, total=False):
    """How an engine did in a process of its own: how well, or the `error` or the `crash` it ended with."""

    solver: str
    relative: float
    balance: float
    seconds: float
    place: str
    error: str
    crash: str


def examine(install: bool = False) -> int:
    """Prints a report; returns 0 where at least one engine solves and differentiates, else 1.

    `install` lets juliapkg fetch and build the Julia packages first, and Julia itself where none that can be used is found,
    which takes minutes; where that fails, 1 is returned.
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
            there = version(name)
        except PackageNotFoundError:
            there = "NOT INSTALLED: pip install " + name
            if extra := OPTIONAL.get(name):
                there = f"not installed (optional: pip install 'pydiffgeo[{extra}]')"
        print(f"  {name:<12} {there}")
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
        if place := session.own_julia():
            print(f"  juliapkg looks for a Julia to download to {place}, and says how far it is", flush=True)
        print("  installing the packages, this takes some minutes the first time ...", flush=True)
        try:
            session.install()
        except PydiffgeoError as error:
            installed = False
            print(f"  FAILED: {error}")
    why = session.missing()
    print(f"  packages     {'set up' if why is None else why}")
    several = os.environ.get("PYTHON_JULIACALL_THREADS", "1") != "1"
    if several and os.environ.get("PYTHON_JULIACALL_HANDLE_SIGNALS") != "yes":
        print("  WARNING: several Julia threads need PYTHON_JULIACALL_HANDLE_SIGNALS=yes, which takes Ctrl-C away")
    return installed


def _try_engine(name: str) -> bool:
    """Prints how a tiny solve and its gradient went; returns whether they are right."""
    if name == "julia" and (why := session.missing()):
        print(f"  julia        not ready: {why}")
        return False
    trial = _trial(name)
    if name == "julia" and "crash" in trial and "solver" in (other := _trial(name, "import juliacall; ")):
        print(
            f"  julia        {trial['crash']} where torch is imported before juliacall, as pydiffgeo does; the other order "
            f"works: put `import juliacall` at the head of your program"
        )
        trial = other
    if "solver" not in trial:
        print(f"  {name:<12} FAILED: {trial.get('error') or trial['crash']}")
        return False
    good = trial["relative"] < 1e-4
    print(
        f"  {name:<12} {'works' if good else 'WRONG GRADIENT'}: {trial['solver']}, gradient off by "
        f"{trial['relative']:.1e} from finite differences, balance {trial['balance']:.0e} m, {trial['seconds']:.1f} s"
    )
    if name == "julia":
        place, own = Path(trial["place"]).resolve(), source_directory()
        print(f"               Julia source {place}" + ("" if place == own else f", not that of this pydiffgeo, {own}"))
    return good


def _trial(name: str, first: str = "") -> Trial:
    """The outcome of `report_trial` in a new process; `crash` says how that ended without one."""
    # It is to find the same packages as this process.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    command = [sys.executable, "-c", TRIAL.format(first=first, name=name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", env=environment)
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            outcome: Trial = json.loads(line.removeprefix(MARK))
            return outcome
    how = f"exit status {done.returncode}"
    if done.returncode < 0:
        how = f"signal {signal.Signals(-done.returncode).name}"
    return {"crash": f"crashes ({how})"}


def report_trial(name: str) -> None:
    """Prints as JSON how a tiny solve and its gradient go: solver, relative error, balance; or an `error`."""
    started = time.perf_counter()
    try:
        gradient, difference, solver, balance = _tiny_gradient(name)
        relative, seconds = abs(gradient - difference) / abs(difference), time.perf_counter() - started
        trial: Trial = {"solver": solver, "relative": relative, "balance": balance, "seconds": seconds}
        if name == "julia":
            trial["place"] = str(session.loaded_from())
    except PydiffgeoError as error:
        trial = {"error": str(error)}
    print(MARK + json.dumps(trial), flush=True)


def _tiny_gradient(engine: str) -> tuple[float, float, str, float]:
    model = RichardsColumn(depth=0.5, cells=5)

    def loss(k: torch.Tensor) -> tuple[torch.Tensor, str, float]:
        weather, start = {"flux": [0.02, 0.001]}, {"theta": 0.25}
        how: Settings = {"engine": engine, "rtol": 1e-9, "atol": 1e-11}
        sol = solve(model, {"K_s": k}, forcing=weather, times=[0.0, 1.0, 2.0], initial=start, **how)
        return sol.states["theta"].mean() + sol.fluxes["drainage"].sum(), sol.stats["solver"], sol.balance.item()

    k = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
    value, solver, balance = loss(k)
    value.backward()
    assert k.grad is not None
    with torch.no_grad():
        difference = (loss(k + 1e-3)[0] - loss(k - 1e-3)[0]) / 2e-3
    return k.grad.item(), difference.item(), solver, balance
