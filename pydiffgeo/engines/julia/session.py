"""The one door to Julia: finds it, starts it once, and turns its errors into ours."""

from __future__ import annotations

import json
import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import EngineError, EngineNotAvailableError

PACKAGE = "PydiffgeoSolvers"
_lock = threading.RLock()
_process = os.getpid()

SETUP = (
    "install Julia 1.10 or later (https://julialang.org/install) and run `pydiffgeo doctor --install`, "
    "which lets juliapkg fetch the Julia packages"
)


def _configured() -> bool:
    """Did the user name both the executable and the project, so that nothing is resolved?"""
    return all(os.environ.get(f"PYTHON_JULIACALL_{name}") for name in ("EXE", "PROJECT"))


def executable() -> str | None:
    """Path of the Julia that would be used, without installing one; None where there is none."""
    named = os.environ.get("PYTHON_JULIACALL_EXE") or os.environ.get("PYTHON_JULIAPKG_EXE")
    if named:
        return shutil.which(named)
    return _resolved_executable() or shutil.which("julia")


def _resolved_executable() -> str | None:
    """The Julia that juliapkg set up earlier."""
    if find_spec("juliapkg") is None:
        return None
    from juliapkg.state import STATE

    try:
        found = json.loads(Path(STATE["meta"]).read_text())["executable"]
    except (OSError, ValueError, KeyError):
        return None
    return found if os.path.exists(found) else None


@cache
def missing() -> str | None:
    """Why the engine cannot start right now without installing anything; None where it can."""
    if find_spec("juliacall") is None:
        return "the package juliacall is not installed"
    if executable() is None:
        return "no julia was found on PATH"
    if _configured():
        return None
    import juliapkg

    if juliapkg.resolve(dry_run=True):
        return None
    return "its packages are not set up; `pydiffgeo doctor --install` does that"


def install() -> None:
    """Lets juliapkg set up Julia and the packages; does nothing where they are set up already.

    Raises:
        EngineNotAvailableError: juliapkg is missing or could not do it.
    """
    if missing() is None:
        return
    try:
        import juliapkg

        juliapkg.resolve()
    except Exception as error:  # juliapkg raises many kinds
        raise EngineNotAvailableError(f"the Julia packages could not be set up: {error}") from error
    missing.cache_clear()


def source_directory() -> Path:
    """Where the Julia package lies: beside the package in a checkout, inside it in a wheel."""
    here = Path(__file__).resolve().parents[2]
    inside = here / "julia"
    return inside if (inside / "Project.toml").exists() else here.parent / "julia"


@cache
def _start() -> Any:
    if find_spec("juliacall") is None:
        raise EngineNotAvailableError(f"engine 'julia' needs juliacall: pip install juliacall; then {SETUP}")
    if executable() is None:
        raise EngineNotAvailableError(f"engine 'julia': no julia was found on PATH; {SETUP}")
    try:
        with warnings.catch_warnings():
            # PyTorch is loaded already, always; both orders are tested to work.
            warnings.filterwarnings("ignore", message="torch was imported before juliacall")
            from juliacall import Main
    except Exception as error:  # juliapkg and juliacall raise many kinds
        raise EngineNotAvailableError(f"engine 'julia' could not be started: {error}; {SETUP}") from error
    try:
        # A shared or offline project may hold the dependencies without this package itself.
        Main.seval(f'isnothing(Base.find_package("{PACKAGE}")) && push!(LOAD_PATH, raw"{source_directory()}")')
        return Main.seval(f"import {PACKAGE}; {PACKAGE}")
    except Exception as error:
        raise EngineNotAvailableError(f"engine 'julia': the package {PACKAGE} does not load: {error}") from error


@cache
def _load(name: str) -> None:
    """Loads a further Julia package, and with it the extensions that wait for it."""
    from juliacall import Main

    Main.seval(f"import {name}")


@contextmanager
def julia(*packages: str) -> Iterator[Any]:
    """The Julia package, for one thread at a time; errors raised in Julia become `EngineError`.

    `packages` are Julia packages to load first, where only some calls need them.

    Raises:
        EngineNotAvailableError: Julia is not there, or this is a fork of the process that started it.
    """
    if _start.cache_info().currsize and os.getpid() != _process:
        raise EngineNotAvailableError(
            "engine 'julia' cannot be used in a forked process; start workers with multiprocessing.get_context('spawn')"
        )
    with _lock:
        module = _start()
        from juliacall import JuliaError

        try:
            for name in packages:
                _load(name)
            yield module
        except JuliaError as error:
            raise EngineError(f"Julia failed: {error}") from error
