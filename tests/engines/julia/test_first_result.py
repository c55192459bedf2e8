"""What keeps a first result from waiting: what is compiled with the Julia package is compiled once, and juliacall asks nothing of Julia."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pydiffgeo.engines.julia.worker import SIGNALS, signals_settled

# Functions of the package that were compiled with it, and have to be again.
STALE = """
begin
    stale = Set{String}()
    for name in names(PydiffgeoSolvers; all = true)
        f = isdefined(PydiffgeoSolvers, name) ? getglobal(PydiffgeoSolvers, name) : nothing
        f isa Function || continue
        for method in methods(f, PydiffgeoSolvers), s in Base.specializations(method)
            isdefined(s, :cache) && s.cache.max_world != typemax(UInt) && push!(stale, string(name))
        end
    end
    join(stale, ' ')
end
"""
FRESH = f"""
import os
from pydiffgeo.engines.julia.session import in_julia
stale = in_julia(lambda package: str(package.module.seval({STALE!r})))
print({SIGNALS!r} in os.environ, *stale.split())
"""


def test_what_is_compiled_with_the_package_is_valid_beside_juliacall(julia_engine: str) -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True)
    told, *stale = done.stdout.split()
    # What calls KLU and CHOLMOD stands behind barriers. Why one method for lanes is among them is not known.
    assert set(stale) <= {"solve_klu!", "order_of_factors", "begin_back!"}
    assert told == str(SIGNALS in os.environ)


@pytest.mark.parametrize("threads", [None, "1"])
def test_juliacall_is_told_what_it_does_anyway(monkeypatch: pytest.MonkeyPatch, threads: str | None) -> None:
    for name in (SIGNALS, "PYTHON_JULIACALL_THREADS", "JULIA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if threads:
        monkeypatch.setenv("JULIA_NUM_THREADS", threads)
    with signals_settled():
        assert os.environ[SIGNALS] == "no"
    assert SIGNALS not in os.environ


@pytest.mark.parametrize(
    ("name", "value"), [(SIGNALS, "yes"), ("PYTHON_JULIACALL_THREADS", "2"), ("JULIA_NUM_THREADS", "auto")]
)
def test_juliacall_may_warn_of_threads(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for other in (SIGNALS, "PYTHON_JULIACALL_THREADS", "JULIA_NUM_THREADS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with signals_settled():
        assert dict(os.environ) == before


def test_an_option_of_the_interpreter_counts_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for other in (SIGNALS, "PYTHON_JULIACALL_THREADS", "JULIA_NUM_THREADS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setitem(sys._xoptions, "juliacall-threads", "2")
    with signals_settled():
        assert SIGNALS not in os.environ
