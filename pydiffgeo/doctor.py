"""`pydiffgeo doctor`: what is installed, what works, and how to mend what does not."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version

import torch

from . import __version__
from .engines.choose import NAMES, choose_engine
from .engines.julia import session
from .errors import PydiffgeoError
from .models import RichardsColumn
from .solve import solve

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
            "JULIA_DEPOT_PATH", "JULIA_LOAD_PATH", "OMP_NUM_THREADS")  # fmt: skip


def examine(install: bool = False) -> int:
    """Prints a report; returns 0 where at least one engine solves and differentiates, else 1.

    `install` lets juliapkg fetch and build the Julia packages first, which takes minutes.
    """
    _versions()
    _julia(install)
    print("engines")
    working = [name for name in NAMES if _try_engine(name)]
    engine = "none" if not working else choose_engine("auto")[0].name
    print(f"engine='auto' takes: {engine}")
    return 0 if working else 1


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


def _julia(install: bool) -> None:
    print("Julia")
    executable = session.executable()
    print(f"  executable   {executable or 'not found'}")
    for name in SETTINGS:
        if name in os.environ:
            print(f"  {name}={os.environ[name]}")
    if executable is None:
        print(f"  to use the Julia engine: {session.SETUP}")
        return
    if install:
        print("  installing the packages, this takes some minutes the first time ...")
        try:
            session.install()
        except PydiffgeoError as error:
            print(f"  {error}")
    why = session.missing()
    print(f"  packages     {'set up' if why is None else why}")
    order = "torch" if "juliacall" not in sys.modules else "already running"
    print(f"  import order torch before juliacall ({order}); both orders work, juliacall's warning is not shown")
    if (
        os.environ.get("PYTHON_JULIACALL_THREADS", "1") != "1"
        and os.environ.get("PYTHON_JULIACALL_HANDLE_SIGNALS") != "yes"
    ):
        print("  WARNING: several Julia threads need PYTHON_JULIACALL_HANDLE_SIGNALS=yes, which takes Ctrl-C away")


def _try_engine(name: str) -> bool:
    """A tiny solve and gradient, against a finite difference."""
    if name == "julia" and (why := session.missing()):
        print(f"  julia        not ready: {why}")
        return False
    started = time.perf_counter()
    try:
        gradient, difference, solver, balance = _tiny_gradient(name)
    except PydiffgeoError as error:
        print(f"  {name:<12} FAILED: {error}")
        return False
    relative = abs(gradient - difference) / abs(difference)
    good = relative < 1e-4
    print(f"  {name:<12} {'works' if good else 'WRONG GRADIENT'}: {solver}, gradient off by {relative:.1e} from finite "
          f"differences, balance {balance:.0e} m, {time.perf_counter() - started:.1f} s")  # fmt: skip
    return good


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
