"""The one door to Julia: finds it, starts it once, and turns its errors into ours."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from ...errors import EngineError, EngineNotAvailableError
from .candidates import EXE, PROJECT, recipe, source_directory, unfit_program, unfit_project
from .crossing import JuliaValue, Package, directly, evaluated, rest
from .worker import Worker, ctrl_c_kept, signals_settled

PACKAGE = "PydiffgeoSolvers"
T = TypeVar("T")
# Why Julia did not come up: it cannot be started a second time in one process.
_failure: str | None = None
_forked = False
_worker = Worker()
# What belongs to Julia and was dropped by another thread than the worker, which drops it for good.
_discarded: list[tuple[JuliaValue, ...]] = []


def _after_fork() -> None:
    """In a forked child: the thread that enters Julia is gone, and so are Julia's own."""
    global _forked, _worker
    _worker = Worker()
    if "juliacall" in sys.modules:
        _forked = True
        _leave_without_julia()


def _leave_without_julia() -> None:
    """Keeps juliacall from taking leave of Julia at the exit: it would wait for threads that are not there."""
    if "lib" in _juliacall():
        _juliacall()["lib"].jl_atexit_hook = lambda code: None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

SETUP = (
    "run `pydiffgeo doctor --install`, which lets juliapkg download Julia where none is found, and the Julia packages; "
    "without a network docs/installing.md says how"
)
_OFFLINE = "PYTHON_JULIAPKG_OFFLINE"
OFFLINE = (
    f"{_OFFLINE}=yes keeps `pydiffgeo doctor --install` from letting juliapkg download one: unset it where there is a "
    f"network, or install Julia 1.10 or later (https://julialang.org/install) and put it on the PATH"
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

        program: str = json.loads(Path(STATE["meta"]).read_text())["executable"]
    except Exception:  # its settings may be unusable, which `missing` tells
        return None
    return program if os.path.exists(program) else None


def obstacle() -> str | None:
    """What keeps Julia from starting and is not mended by installing its packages; None where nothing does."""
    if find_spec("juliacall") is None:
        return "the package juliacall is not installed: pip install juliacall"
    named = [name for name in (EXE, PROJECT) if os.environ.get(name)]
    if len(named) == 1:
        other = PROJECT if named == [EXE] else EXE
        return f"{named[0]} is set and {other} is not; set both, or unset it to let juliapkg find Julia and packages"
    program = executable()
    if program is None:
        name = next((n for n in (EXE, "PYTHON_JULIAPKG_EXE") if os.environ.get(n)), None)
        if name is None:
            return f"no julia was found; {OFFLINE if os.environ.get(_OFFLINE) == 'yes' else SETUP}"
        return f"{name}={os.environ[name]} is no program that can be run; give the path of a julia, or unset it"
    return unfit_program(program) or (unfit_project(os.environ[PROJECT]) if named else None)


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


def own_julia() -> Path | None:
    """Where juliapkg would put a Julia of its own, downloaded: where none that can be used is found, and none is named.

    None where one is found, one is named, or juliapkg is told to stay offline, or cannot be used.
    """
    named = any(os.environ.get(name) for name in (EXE, PROJECT, "PYTHON_JULIAPKG_EXE"))
    if named or find_spec("juliacall") is None or obstacle() is None:
        return None
    try:
        from juliapkg.state import STATE
    except Exception:  # its settings may be unusable, which `missing` tells
        return None
    return None if STATE["offline"] or STATE["override_executable"] else Path(STATE["install"])


def install() -> None:
    """Lets juliapkg set up Julia and the packages; does nothing where they are set up already.

    juliapkg downloads Julia itself where there is none that can be used, unless one is named.

    Raises:
        EngineNotAvailableError: there is no Julia for them, or juliapkg could not do it.
    """
    if missing() is None:
        return
    if (why := obstacle()) and own_julia() is None:
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


@cache
def _start() -> Package:
    global _failure
    if _failure is None:
        if why := obstacle():
            raise EngineNotAvailableError(f"engine 'julia': {why}")
        try:
            return _started()
        except EngineNotAvailableError as error:
            _failure = f"{error} (then start Python anew)"
    raise EngineNotAvailableError(_failure)


def _started() -> Package:
    project = os.environ.get(PROJECT, "")
    mend = recipe(project) if project else SETUP
    try:
        with ctrl_c_kept(), signals_settled(), warnings.catch_warnings():
            # PyTorch is loaded already, always; both orders are tested to work.
            warnings.filterwarnings("ignore", message="torch was imported before juliacall")
            first = "juliacall" not in sys.modules
            import juliacall  # noqa: F401
    except Exception as error:  # juliapkg and juliacall raise many kinds
        raise EngineNotAvailableError(f"engine 'julia' could not be started: {_reason(error)}; {mend}") from error
    try:
        version, place, entry = _opened(first)
    except Exception as error:
        raise EngineNotAvailableError(
            f"engine 'julia': the package {PACKAGE} does not load: {_reason(error)}; {mend}"
        ) from error
    own = (source_directory() / "Project.toml").read_text()
    if f'version = "{version}"' not in own or not entry:
        raise EngineNotAvailableError(
            f"engine 'julia': the package {PACKAGE} at {place} is of version {version}, other than that of this pydiffgeo "
            f"at {source_directory()}; {mend if project else 'run `pydiffgeo doctor --install`'}"
        )
    functions = (ctypes.pythonapi.PyEval_SaveThread, ctypes.pythonapi.PyEval_RestoreThread)
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in functions]
    package = Package(entry, _module)
    package.called("python!", *addresses, _worker.address)
    return package


def _opened(first: bool) -> tuple[str, str, int]:
    """Loads the Julia package: its version, where it lies, and the address by which it is called.

    Args:
        first: this thread started Julia just now, and is to rest.
    """
    from juliacall import Main

    evaluate = directly(_juliacall()["lib"]) if first else Main.seval
    try:
        # A shared or offline project may hold the dependencies without this package itself.
        path = ", ".join(map(str, str(source_directory()).encode()))
        find = f'isnothing(Base.find_package("{PACKAGE}")) && push!(LOAD_PATH, String(UInt8[{path}]))'
        evaluated(f'{find}; import {PACKAGE}; ""', evaluate)
        # One of another version may have no entrance, and is refused for its version.
        entry = f"(isdefined({PACKAGE}, :entrance) ? {PACKAGE}.entrance() : 0)"
        said = evaluated(f'join((pkgversion({PACKAGE}), {entry}, pkgdir({PACKAGE})), " ")', evaluate)
    finally:
        if first:
            rest(evaluate)
    version, address, place = said.split(" ", 2)
    return version, place, int(address)


def _module() -> JuliaValue:
    """The package as juliacall has it."""
    from juliacall import Main

    return Main.seval(PACKAGE)


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

    def place(package: Package) -> Path:
        from juliacall import Main

        return Path(str(Main.pkgdir(package.module)))

    return in_julia(place)


def _juliacall() -> dict[str, JuliaValue]:
    """The configuration of juliacall where it is loaded; empty where it is not, or did not come up."""
    module = sys.modules.get("juliacall")
    return {} if module is None else module.CONFIG


def _settle() -> None:
    """Before the first use of a Julia that the program started itself: lets its thread rest."""
    library = _juliacall()["lib"]
    library.jl_get_pgcstack.restype = ctypes.c_void_p
    if library.jl_get_pgcstack() is None:
        raise EngineNotAvailableError(
            "engine 'julia': juliacall was imported in another thread; let that one solve first, "
            "or import juliacall after the first solve"
        )
    rest(directly(library))


@cache
def _load(name: str) -> None:
    """Loads a further Julia package, and with it the extensions that wait for it."""
    from juliacall import Main

    Main.seval(f"import {name}")


def in_julia(work: Callable[[Package], T], *packages: str) -> T:
    """Result of `work(Julia package)`, from any thread; one at a time, and while one waits other threads go on.

    A solve in Julia gives other Python threads a turn every 50 ms. What `work` returns must not belong to Julia,
    unless it is `Owned`.

    Args:
        packages: Julia packages to load first, where only some calls need them.

    Raises:
        EngineNotAvailableError: Julia is not there, or this is a fork of the process that started it.
        EngineError: Julia raised an error.
        KeyboardInterrupt: and whatever else a signal raises meanwhile; the solve ends.
    """
    if _forked:
        raise EngineNotAvailableError(
            "engine 'julia' cannot be used in a forked process; start workers with multiprocessing.get_context('spawn')"
        )
    if _juliacall().get("inited") and "lib" in _juliacall() and not _start.cache_info().currsize and not _worker.here():
        _settle()

    def call() -> T:
        _discarded.clear()
        module = _start()
        from juliacall import JuliaError

        try:
            for name in packages:
                _load(name)
            found = work(module)
            module.sweep()
            return found
        except Exception as error:
            # juliacall makes errors of Python's kinds of some of Julia's, and says so.
            if not isinstance(error, JuliaError) and not str(error).startswith("Julia: "):
                raise
            # Its words alone: what belongs to Julia is not to travel to another thread.
            failure = f"Julia failed: {error}"
        raise EngineError(failure)

    # Where Julia started Python, and not the other way round, there is no thread of ours for it.
    return call() if _juliacall().get("init") is False else _worker.run(call)


class Owned:
    """Holds objects of Julia, and lets go of them in the thread that may; any thread may drop it."""

    def __init__(self, *values: JuliaValue) -> None:
        self.values = values

    def __del__(self) -> None:
        # At the very end of a program names of modules are gone, and Julia too.
        if _worker and not _worker.here():
            _discarded.append(self.values)
