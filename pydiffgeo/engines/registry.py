"""Which engine to use, and why."""

from __future__ import annotations

from functools import cache

from ..errors import EngineNotAvailableError
from .base import Engine
from .fallback import Fallback

NAMES = ("julia", "sundials")


@cache
def sundials() -> Engine:
    """The embedded engine.

    Raises:
        EngineNotAvailableError: CasADi is not installed.
    """
    try:
        from .sundials.engine import SundialsEngine
    except ImportError as error:
        raise EngineNotAvailableError(f"engine 'sundials' needs CasADi: pip install casadi ({error})") from error
    return SundialsEngine()


@cache
def julia() -> Engine:
    """The Julia engine; starts Julia at the first call.

    Raises:
        EngineNotAvailableError: Julia or its packages are not there; the message says what to do.
    """
    from .julia import FALLBACKS, JuliaEngine

    return Fallback(JuliaEngine(), FALLBACKS)


def julia_missing() -> str | None:
    """Why the Julia engine cannot be used without installing something; None where it can."""
    from .julia.session import missing

    return missing()


def choose_engine(name: str) -> tuple[Engine, str]:
    """The engine called `name` and the reason for it.

    "auto" takes Julia where a Julia is found, so it never starts a download by itself.

    Raises:
        EngineNotAvailableError: the name is unknown or the engine is not there.
    """
    if not isinstance(name, str):
        raise EngineNotAvailableError(f"engine must be the name of one, got {name!r}")
    if name == "julia":
        return julia(), "asked for"
    if name == "sundials":
        return sundials(), "asked for"
    if name != "auto":
        raise EngineNotAvailableError(f"unknown engine {name!r}; known are 'auto', {', '.join(map(repr, NAMES))}")
    why = julia_missing()
    if why is None:
        return julia(), "Julia was found"
    return sundials(), f"no Julia: {why}"
