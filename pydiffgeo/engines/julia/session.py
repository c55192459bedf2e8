"""The one door to Julia: finds it, starts it once, and turns its errors into ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from ...errors import EngineError, EngineNotAvailableError
from .signals import connect, keep_ctrl_c, raise_pending

PACKAGE = "PydiffgeoSolvers"
EXE, PROJECT = "PYTHON_JULIACALL_EXE", "PYTHON_JULIACALL_PROJECT"
T = TypeVar("T")
_lock = threading.RLock()
# Why Julia did not come up: it cannot be started a second time in one process.
_failure: str | None = None
_forked = False
# Works for all threads but the first. A thread that has been in Julia tells it when it ends, at a moment that may
# suit nobody; this one ends with the process.
_helper = ThreadPoolExecutor(1, "julia")
_discarded: list[Any] = []


def _after_fork() -> None:
    """In a forked child: another thread may have held the lock, and Julia's own threads and state are gone."""
    global _lock, _forked
    _lock = threading.RLock()
    _forked = "juliacall" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

SETUP = (
    "install Julia 1.10 or later (https://julialang.org/install) and run `pydiffgeo doctor --install`, "
    "which lets juliapkg fetch the Julia packages"
)


def _configured() -> bool:
    """Did the user name both the executable and the project, so that nothing is resolved?"""
    return all(os.environ.get(name) for name in (EXE, PROJECT))


def executable() -> str | None:
    """Path of the Julia that would be used, without installing one; None where there is none."""
    named = os.environ.get(EXE) or os.environ.get("PYTHON_JULIAPKG_EXE")
    if named:
        return shutil.which(named)
    return _resolved_executable() or shutil.which("julia")


def _resolved_executable() -> str | None:
    """The Julia that juliapkg set up earlier."""
    if find_spec("juliapkg") is None:
        return None
    try:
        from juliapkg.state import STATE

        found = json.loads(Path(STATE["meta"]).read_text())["executable"]
    except Exception:  # its settings may be unusable, which `missing` tells
        return None
    return found if os.path.exists(found) else None


def obstacle() -> str | None:
    """What keeps Julia from starting and is not mended by installing its packages; None where nothing does."""
    if find_spec("juliacall") is None:
        return "the package juliacall is not installed: pip install juliacall"
    given = [name for name in (EXE, PROJECT) if os.environ.get(name)]
    if len(given) == 1:
        other = PROJECT if given == [EXE] else EXE
        return f"{given[0]} is set and {other} is not; set both, or unset it to let juliapkg find Julia and packages"
    found = executable()
    if found is None:
        name = next((n for n in (EXE, "PYTHON_JULIAPKG_EXE") if os.environ.get(n)), None)
        if name is None:
            return f"no julia was found on PATH; {SETUP}"
        return f"{name}={os.environ[name]} is no program that can be run; give the path of a julia, or unset it"
    return _unfit(found) or (_unfit_project(os.environ[PROJECT]) if given else None)


def _unfit(program: str) -> str | None:
    """Why a program is no Julia that can be used."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, encoding="utf-8", errors="replace", timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} cannot be run ({error}); install Julia anew: https://julialang.org/install"
    if done.returncode:
        how = f"exit status {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        words = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return f"{program} crashes ({how}: {words}); install Julia anew: https://julialang.org/install"
    version = re.match(r"julia version (\d+)\.(\d+)\.(\d+)", done.stdout)
    if version is None:
        return f"{program} is no Julia: it calls itself {done.stdout.strip()[:80]!r}"
    oldest = json.loads((_package() / "juliapkg.json").read_text())["julia"].split()[0]
    if tuple(map(int, version.groups())) < tuple(map(int, oldest.split("."))):
        return (
            f"{program} is Julia {'.'.join(version.groups())}, and {oldest} or later is needed: "
            f"https://julialang.org/install (PYTHON_JULIAPKG_EXE names another than that on PATH)"
        )
    return None


def _unfit_project(project: str) -> str | None:
    folder = Path(project) if Path(project).is_dir() else Path(project).parent
    if not Path(project).exists():
        return f"{PROJECT}={project} does not exist; {_recipe(project)}"
    if not any((folder / name).is_file() for name in ("Project.toml", "JuliaProject.toml")):
        return f"{PROJECT}={project} is no Julia project, it has no Project.toml; {_recipe(project)}"
    return None


def _recipe(project: str) -> str:
    """How to fill a project by hand."""
    from importlib.metadata import version

    return (
        f'this makes one: julia --project={project} -e \'import Pkg; Pkg.develop(path="{source_directory()}"); '
        f'Pkg.add(name="PythonCall", version="{version("juliacall")}")\''
    )


@cache
def missing() -> str | None:
    """Why the engine cannot start right now without installing anything; None where it can."""
    if (why := obstacle()) is not None or _configured():
        return why
    try:
        import juliapkg

        if juliapkg.resolve(dry_run=True):
            return None
    except OSError as error:
        return (
            f"the folder of the Julia packages cannot be written ({error}); let someone who may write it run "
            f"`pydiffgeo doctor --install`, or name a Julia and a project of your own in {EXE} and {PROJECT}"
        )
    except Exception as error:  # juliapkg raises many kinds
        return f"juliapkg cannot be used: {error}"
    return "its packages are not set up; `pydiffgeo doctor --install` does that"


def install() -> None:
    """Lets juliapkg set up Julia and the packages; does nothing where they are set up already.

    Raises:
        EngineNotAvailableError: there is no Julia for them, or juliapkg could not do it.
    """
    if missing() is None:
        return
    if why := obstacle():
        raise EngineNotAvailableError(f"the Julia packages could not be set up: {why}")
    try:
        import juliapkg

        juliapkg.resolve()
    except Exception as error:  # juliapkg raises many kinds
        raise EngineNotAvailableError(
            f"the Julia packages could not be set up: {_reason(error)}. Without a network, copy a project from another machine: "
            f"docs/installing.md says how"
        ) from error
    missing.cache_clear()


def _package() -> Path:
    return Path(__file__).resolve().parents[2]


def source_directory() -> Path:
    """Where the Julia package lies: beside the package in a checkout, inside it in a wheel."""
    inside = _package() / "julia"
    return inside if (inside / "Project.toml").exists() else _package().parent / "julia"


@cache
def _start() -> Any:
    global _failure
    if _failure is None:
        if why := obstacle():
            raise EngineNotAvailableError(f"engine 'julia': {why}")
        try:
            return _started()
        except EngineNotAvailableError as error:
            _failure = f"{error} (then start Python anew)"
    raise EngineNotAvailableError(_failure)


def _started() -> Any:
    project = os.environ.get(PROJECT, "")
    mend = _recipe(project) if project else SETUP
    try:
        with warnings.catch_warnings():
            # PyTorch is loaded already, always; both orders are tested to work.
            warnings.filterwarnings("ignore", message="torch was imported before juliacall")
            import juliacall
            from juliacall import Main
    except Exception as error:  # juliapkg and juliacall raise many kinds
        raise EngineNotAvailableError(f"engine 'julia' could not be started: {_reason(error)}; {mend}") from error
    try:
        # A shared or offline project may hold the dependencies without this package itself.
        find = f'path -> isnothing(Base.find_package("{PACKAGE}")) && push!(LOAD_PATH, path)'
        Main.seval(find)(str(source_directory()))
        module = Main.seval(f"import {PACKAGE}; {PACKAGE}")
        found, place = str(Main.string(Main.pkgversion(module))), str(Main.pkgdir(module))
    except Exception as error:
        raise EngineNotAvailableError(
            f"engine 'julia': the package {PACKAGE} does not load: {_reason(error)}; {mend}"
        ) from error
    own = (source_directory() / "Project.toml").read_text()
    if f'version = "{found}"' not in own:
        raise EngineNotAvailableError(
            f"engine 'julia': the package {PACKAGE} at {place} is of version {found}, other than that of this pydiffgeo "
            f"at {source_directory()}; {mend if project else 'run `pydiffgeo doctor --install`'}"
        )
    if juliacall.CONFIG["init"]:
        # Julia's first thread is the one that imported juliacall; only from there can it be said to rest.
        if Main.seval("Threads.threadid()") != 1:
            raise EngineError(
                "engine 'julia': juliacall was imported in another thread; use the engine once there, "
                "or import pydiffgeo and solve before juliacall is imported"
            )
        connect(module)
        keep_ctrl_c()
    return module


def _reason(error: Exception) -> str:
    """What an error says, without the commands that were run or the way it came."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error.cmd[0]} ended with exit status {error.returncode}, for reasons it printed above"
    return str(error).split("\nStacktrace")[0].strip().replace("\n", " ")


def loaded_from() -> Path:
    """Where the Julia package in use lies; starts Julia.

    Raises:
        EngineNotAvailableError: as `julia`.
    """
    with julia() as package:
        from juliacall import Main

        return Path(str(Main.pkgdir(package)))


@cache
def _load(name: str) -> None:
    """Loads a further Julia package, and with it the extensions that wait for it."""
    from juliacall import Main

    Main.seval(f"import {name}")


@contextmanager
def julia(*packages: str) -> Iterator[Any]:
    """The Julia package, for one thread at a time; errors raised in Julia become `EngineError`.

    For the first thread of Python alone; others go through `in_julia`. A solve gives other Python threads a
    turn, and signals theirs, every 50 ms.

    `packages` are Julia packages to load first, where only some calls need them.

    Raises:
        EngineNotAvailableError: Julia is not there, or this is a fork of the process that started it.
    """
    if _forked:
        raise EngineNotAvailableError(
            "engine 'julia' cannot be used in a forked process; start workers with multiprocessing.get_context('spawn')"
        )
    with _lock:
        module = _start()
        from juliacall import JuliaError

        _discarded.clear()
        failure = ""
        try:
            for name in packages:
                _load(name)
            yield module
        except JuliaError as error:
            # Its words alone: what belongs to Julia is not to travel to another thread.
            failure = f"Julia failed: {error}"
        finally:
            raise_pending()
        if failure:
            raise EngineError(failure)


def in_julia(work: Callable[[Any], T], *packages: str) -> T:
    """Result of `work(Julia package)`, called from any thread; raises what `julia` raises."""

    def call() -> T:
        with julia(*packages) as package:
            return work(package)

    if _forked or _in_julia_thread():
        return call()
    return _helper.submit(call).result()


def _in_julia_thread() -> bool:
    thread = threading.current_thread()
    return thread is threading.main_thread() or thread.name.startswith("julia_")


class Owned:
    """Holds objects of Julia, and lets go of them in a thread that may; any thread may drop it."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __del__(self) -> None:
        if not _in_julia_thread():
            _discarded.append(self.values)
