"""`pydiffgeo doctor`: for every way in which an installation can be broken, what it says and returns."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from juliapkg.state import STATE, reset_state

from pydiffgeo.commands import doctor
from pydiffgeo.engines.julia import session
from pydiffgeo.errors import EngineNotAvailableError

FINE = {"solver": "any", "relative": 1e-6, "balance": 0.0, "seconds": 0.1}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with nothing but an empty `bin` on the PATH, and no setting of Julia; SUNDIALS counts as fine."""
    for name in [n for n in os.environ if n.startswith(("PYTHON_JULIA", "JULIA_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYTHON_JULIAPKG_PROJECT", str(tmp_path / "julia_env"))
    monkeypatch.setattr(doctor, "_trial", lambda name, first="": FINE | {"place": str(session.source_directory())})
    kept = dict(STATE)
    reset_state()
    session.missing.cache_clear()
    yield tmp_path
    STATE.clear()
    STATE.update(kept)
    session.missing.cache_clear()


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def version_only(version: str, otherwise: str = "exit 4") -> str:
    """The script of a julia that knows its version, and does `otherwise` when it is to run something."""
    return f'if [ "$1" = --version ]; then echo "julia version {version}"; exit 0; fi; {otherwise}'


def no_julia(at: Path) -> dict[str, str]:
    return {}


def on_path(script: str) -> Callable[[Path], dict[str, str]]:
    def make(at: Path) -> dict[str, str]:
        program(at / "bin" / "julia", script)
        return {}

    return make


def garbage(at: Path) -> dict[str, str]:
    (at / "bin" / "julia").write_bytes(b"\x7fELF")
    (at / "bin" / "julia").chmod(0o755)
    return {}


def exe_and(project: str = "") -> Callable[[Path], dict[str, str]]:
    """A good julia in PYTHON_JULIACALL_EXE, and a project as given, below the folder."""

    def make(at: Path) -> dict[str, str]:
        julia = program(at / "good", version_only("1.10.8"))
        (at / "empty").mkdir()
        return {session.EXE: str(julia)} | ({session.PROJECT: str(at / project)} if project else {})

    return make


def unwritable(at: Path) -> dict[str, str]:
    on_path(version_only("1.10.8"))(at)
    (at / "file").touch()
    return {"PYTHON_JULIAPKG_PROJECT": str(at / "file" / "julia_env")}


BROKEN = {
    "no julia": (
        no_julia,
        "no julia was found on PATH; install Julia 1.10 or later (https://julialang.org/install) and run",
    ),
    "old": (
        on_path(version_only("1.6.7")),
        "/bin/julia is Julia 1.6.7, and 1.10.3 or later is needed: https://julialang.org",
    ),
    "crash": (
        on_path("echo lost: libopenlibm.so >&2; exit 127"),
        "/bin/julia crashes (exit status 127: lost: libopenlibm.so); install Julia anew: https://julialang.org",
    ),
    "killed": (on_path("kill -SEGV $$"), "/bin/julia crashes (signal 11: it says nothing); install Julia anew"),
    "another program": (on_path("echo v18.2"), "/bin/julia is no Julia: it calls itself 'v18.2'"),
    "no program": (garbage, "/bin/julia cannot be run ([Errno 8] Exec format error"),
    "EXE alone": (exe_and(), "PYTHON_JULIACALL_EXE is set and PYTHON_JULIACALL_PROJECT is not; set both, or unset it"),
    "PROJECT alone": (
        lambda at: {session.PROJECT: str(at)},
        "PYTHON_JULIACALL_PROJECT is set and PYTHON_JULIACALL_EXE is not",
    ),
    "EXE to nothing": (
        lambda at: {session.EXE: str(at / "gone"), session.PROJECT: str(at)},
        "/gone is no program that can be run; give the path of a julia, or unset it",
    ),
    "PKG_EXE to nothing": (
        lambda at: {"PYTHON_JULIAPKG_EXE": "gone"},
        "PYTHON_JULIAPKG_EXE=gone is no program that can be run",
    ),
    "PROJECT to nothing": (exe_and("gone"), "/gone does not exist; this makes one: julia --project="),
    "PROJECT is empty": (exe_and("empty"), "/empty is no Julia project, it has no Project.toml; this makes one: julia"),
    "unwritable": (unwritable, "the folder of the Julia packages cannot be written ("),
    "not set up": (
        on_path(version_only("1.10.8")),
        "its packages are not set up; `pydiffgeo doctor --install` does that",
    ),
}


@pytest.mark.parametrize(("make", "sentence"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_with_julia_is_said(make, sentence, bare, monkeypatch, capsys):
    for name, value in make(bare).items():
        monkeypatch.setenv(name, value)
    reset_state()
    # SUNDIALS works, so all is well enough.
    assert doctor.examine() == 0
    said = capsys.readouterr().out
    packages = next(line for line in said.splitlines() if line.startswith("  packages  "))
    assert sentence in packages
    assert f"  julia        not ready: {packages[15:]}" in said
    assert said.endswith("engine='auto' takes: sundials\n")
    # An installation that was asked for and cannot be had is a failure.
    assert doctor.examine(install=True) == 1
    said = capsys.readouterr().out
    assert "  FAILED: the Julia packages could not be set up: " in said
    if "not set up" in sentence:
        assert "/bin/julia ended with exit status 4, for reasons it printed above. Without a network" in said
    if "not set up" not in sentence and "written" not in sentence:
        assert sentence in said[said.index("FAILED") :]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_environment_is_said(bare, capsys):
    on_path(version_only("1.10.8"))(bare)
    (bare / "julia_env").mkdir(mode=0o500)
    assert doctor.examine() == 0
    assert "the folder of the Julia packages cannot be written ([Errno 13]" in capsys.readouterr().out


def test_install_lets_juliapkg_set_up_the_packages(bare, capsys):
    # What it runs is a stand-in for Julia, that prints the places of its library when asked for them.
    on_path(version_only("1.10.8", "printf '/lib/libjulia.so\\0/bin'"))(bare)
    assert doctor.examine(install=True) == 0
    said = capsys.readouterr().out
    assert "  packages     set up" in said
    assert said.endswith("engine='auto' takes: julia\n")
    project = (bare / "julia_env" / "Project.toml").read_text()
    assert session.PACKAGE in project
    assert "PythonCall" in project


def test_settings_that_juliapkg_refuses_are_said(bare, monkeypatch):
    on_path(version_only("1.10.8"))(bare)
    monkeypatch.setenv("PYTHON_JULIAPKG_PROJECT", "relative")
    code = "from pydiffgeo.engines.julia import session; print(session.missing())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "juliapkg cannot be used: PYTHON_JULIAPKG_PROJECT must be an absolute path\n"


def test_missing_packages_are_named_with_their_extra(bare, monkeypatch, capsys):
    def version(name: str) -> str:
        if name in ("h5netcdf", "matplotlib", "casadi"):
            raise PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(doctor, "version", version)
    doctor.examine()
    said = capsys.readouterr().out
    assert "  h5netcdf     not installed (optional: pip install 'pydiffgeo[io]')\n" in said
    assert "  matplotlib   not installed (optional: pip install 'pydiffgeo[plots]')\n" in said
    assert "  casadi       NOT INSTALLED: pip install casadi\n" in said
    assert "  numpy        1.2.3\n" in said


def test_without_juliacall(bare, monkeypatch, capsys):
    monkeypatch.setattr(session, "find_spec", lambda name: None)
    assert doctor.examine() == 0
    assert "the package juliacall is not installed: pip install juliacall" in capsys.readouterr().out


def test_no_engine_at_all(bare, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_trial", lambda name, first="": {"error": "engine 'sundials' needs CasADi"})
    assert doctor.examine() == 1
    said = capsys.readouterr().out
    assert "  sundials     FAILED: engine 'sundials' needs CasADi\n" in said
    assert said.endswith("engine='auto' takes: sundials, which fails here\n")


def test_a_wrong_gradient_does_not_count(bare, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_trial", lambda name, first="": FINE | {"relative": 0.01})
    assert doctor.examine() == 1
    assert "  sundials     WRONG GRADIENT: any, gradient off by 1.0e-02" in capsys.readouterr().out


def test_threads_without_signals_are_warned_of(bare, monkeypatch, capsys):
    monkeypatch.setenv("PYTHON_JULIACALL_THREADS", "4")
    doctor.examine()
    assert "WARNING: several Julia threads need PYTHON_JULIACALL_HANDLE_SIGNALS=yes" in capsys.readouterr().out


def test_a_crash_is_told_and_survived(bare, monkeypatch, capsys):
    """A Julia that takes the process along, as torch imported first may make it do."""
    monkeypatch.undo()
    (bare / "juliacall").mkdir()
    (bare / "juliacall" / "__init__.py").write_text(
        "import os, signal, sys\nif 'torch' in sys.modules: os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    (bare / "Project.toml").touch()
    monkeypatch.syspath_prepend(bare)
    monkeypatch.setenv(session.EXE, str(program(bare / "julia", version_only("1.10.8"))))
    monkeypatch.setenv(session.PROJECT, str(bare))
    session.missing.cache_clear()
    assert doctor._trial("julia") == {"crash": "crashes (signal SIGSEGV)"}
    assert doctor.examine() == 0
    said = capsys.readouterr().out
    assert "  julia        FAILED: crashes (signal SIGSEGV)" in said
    assert "  sundials     works: cvodes-bdf" in said
    assert said.endswith("engine='auto' takes: julia, which fails here; ask for engine='sundials'\n")

    # Where the other order helps, that is what it says.
    trial = doctor._trial
    monkeypatch.setattr(
        doctor,
        "_trial",
        lambda name, first="": trial(name) if not first and name == "julia" else FINE | {"place": str(bare)},
    )
    assert doctor.examine() == 0
    said = capsys.readouterr().out
    assert "crashes (signal SIGSEGV) where torch is imported before juliacall" in said
    assert "put `import juliacall` at the head of your program" in said
    assert f"Julia source {bare}, not that of this pydiffgeo, {session.source_directory()}" in said


def test_a_forked_process_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(session, "_forked", True)
    with pytest.raises(EngineNotAvailableError, match=r"forked process; start workers with .*get_context\('spawn'\)"):
        session.in_julia(lambda package: None)


def test_a_julia_that_did_not_start_is_not_started_again(monkeypatch):
    calls = []

    def fail() -> None:
        calls.append(1)
        raise EngineNotAvailableError("engine 'julia' could not be started: no memory")

    monkeypatch.setattr(session, "obstacle", lambda: None)
    monkeypatch.setattr(session, "_started", fail)
    monkeypatch.setattr(session, "_failure", None)
    session_start = session._start.__wrapped__
    for _ in range(2):
        with pytest.raises(EngineNotAvailableError, match=r"no memory \(then start Python anew\)"):
            session_start()
    assert calls == [1]


def test_a_project_without_the_packages_is_told(julia_engine, tmp_path, monkeypatch):
    julia = session.executable()
    (tmp_path / "Project.toml").touch()
    monkeypatch.setenv(session.EXE, str(julia))
    monkeypatch.setenv(session.PROJECT, str(tmp_path))
    # Not from the environment that Julia has by default.
    monkeypatch.setenv("JULIA_LOAD_PATH", "@:@stdlib")
    error = doctor._trial("julia")["error"]
    assert error.startswith(
        "engine 'julia' could not be started: PythonCall.jl did not start properly; this makes one: julia"
    )
    assert f'Pkg.develop(path="{session.source_directory()}")' in error


def test_another_version_of_the_julia_package_is_refused(julia_engine, tmp_path, monkeypatch):
    own = (session.source_directory() / "Project.toml").read_text()
    uuid = next(line for line in own.splitlines() if line.startswith("uuid"))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / f"{session.PACKAGE}.jl").write_text(f"__precompile__(false)\nmodule {session.PACKAGE} end\n")
    (tmp_path / "Project.toml").write_text(f'name = "{session.PACKAGE}"\n{uuid}\nversion = "0.0.9"\n')
    monkeypatch.setenv("JULIA_LOAD_PATH", os.pathsep.join([str(tmp_path), "@", "@v#.#", "@stdlib"]))
    error = doctor._trial("julia")["error"]
    assert (
        f"the package {session.PACKAGE} at {tmp_path} is of version 0.0.9, other than that of this pydiffgeo" in error
    )


def test_the_command_as_a_whole():
    """Whatever engines are here work, torch being imported before juliacall."""
    done = subprocess.run([sys.executable, "-m", "pydiffgeo", "doctor"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "  sundials     works: cvodes-bdf, gradient off by " in done.stdout
    if session.missing() is None:
        assert "  julia        works: Rodas5P, gradient off by " in done.stdout
        assert f"Julia source {session.source_directory()}\n" in done.stdout
