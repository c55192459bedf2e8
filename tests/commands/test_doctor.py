"""`pydiffgeo doctor`: for every way in which an installation can be broken, what it says and returns."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import stat
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NoReturn

import juliapkg.install_julia
import pytest
from juliapkg.state import STATE, reset_state

from pydiffgeo.commands import doctor
from pydiffgeo.engines.julia import session
from pydiffgeo.errors import EngineNotAvailableError

# What a stand-in for Julia prints when it is asked for its library and programs.
PLACES = "printf '/lib/libjulia.so\\0/bin'"
FINE = {"solver": "any", "relative": 1e-6, "balance": 0.0, "seconds": 0.1}


def no_network(url: str) -> NoReturn:
    raise urllib.error.URLError("no network here")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with nothing but an empty `bin` on the PATH, and no setting of Julia; SUNDIALS counts as fine."""
    for name in [n for n in os.environ if n.startswith(("PYTHON_JULIA", "JULIA_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYTHON_JULIAPKG_PROJECT", str(tmp_path / "julia_env"))
    monkeypatch.setattr(doctor, "_trial", lambda name, first="": FINE | {"place": str(session.source_directory())})
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
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


# Where juliapkg tries to bring a Julia of its own.
DOWNLOADED = ("no julia", "old", "crash", "killed", "another program", "no program")
BROKEN = {
    "no julia": (
        no_julia,
        "no julia was found; run `pydiffgeo doctor --install`, which lets juliapkg download Julia where none is found",
    ),
    "old": (
        on_path(version_only("1.6.7")),
        "/bin/julia is Julia 1.6.7, and 1.10.3 or later is needed: `pydiffgeo doctor --install` lets",
    ),
    "crash": (
        on_path("echo lost: libopenlibm.so >&2; exit 127"),
        "/bin/julia crashes (exit status 127: lost: libopenlibm.so); install Julia anew (https://julialang.org",
    ),
    "killed": (on_path("kill -SEGV $$"), "/bin/julia crashes (signal 11: it says nothing); install Julia anew (https"),
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
    "offline": (
        lambda at: {"PYTHON_JULIAPKG_OFFLINE": "yes"},
        "no julia was found; PYTHON_JULIAPKG_OFFLINE=yes keeps `pydiffgeo doctor --install` from letting juliapkg download one",
    ),
    "not set up": (
        on_path(version_only("1.10.8")),
        "its packages are not set up; `pydiffgeo doctor --install` does that",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_julia_is_said(case, bare, monkeypatch, capsys):
    make, sentence = BROKEN[case]
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
    if case in DOWNLOADED:
        assert f"  juliapkg looks for a Julia to download to {bare / 'julia_env' / 'pyjuliapkg' / 'install'}" in said
        assert "could not be set up: <urlopen error no network here>. Without a network" in said
    elif case not in ("not set up", "unwritable"):
        assert sentence in said[said.index("FAILED") :]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_environment_is_said(bare, capsys):
    on_path(version_only("1.10.8"))(bare)
    (bare / "julia_env").mkdir(mode=0o500)
    assert doctor.examine() == 0
    assert "the folder of the Julia packages cannot be written ([Errno 13]" in capsys.readouterr().out


def test_install_lets_juliapkg_set_up_the_packages(bare, capsys):
    # What it runs is a stand-in for Julia, that prints the places of its library when asked for them.
    on_path(version_only("1.10.8", PLACES))(bare)
    assert doctor.examine(install=True) == 0
    said = capsys.readouterr().out
    assert "  packages     set up" in said
    assert said.endswith("engine='auto' takes: julia\n")
    project = (bare / "julia_env" / "Project.toml").read_text()
    assert session.PACKAGE in project
    assert "PythonCall" in project


def julia_archive(version: str) -> bytes:
    """What a download of Julia is like: a folder with a `bin`, its program a stand-in."""
    script = f"#!/bin/sh\n{version_only(version, PLACES)}\n".encode()
    about = tarfile.TarInfo(f"julia-{version}/bin/julia")
    about.size, about.mode = len(script), 0o755
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(about, io.BytesIO(script))
    return packed.getvalue()


@pytest.mark.skipif(platform.system() != "Linux", reason="the stand-in for a download is that of Linux")
@pytest.mark.parametrize("found", ["nothing", "one that is too old"])
def test_install_lets_juliapkg_bring_julia(found, bare, monkeypatch, capsys):
    """juliapkg is that of every day but for the network, where a list of versions and an archive are at hand."""
    if found != "nothing":
        on_path(version_only("1.6.7"))(bare)
    machine, archives = (
        platform.machine(),
        {f"https://at.test/{v}.tar.gz": julia_archive(v) for v in ("1.9.4", "1.10.10")},
    )
    files = [
        {
            **{"url": url, "version": url.split("/")[-1].removesuffix(".tar.gz"), "kind": "archive"},
            **{"triplet": f"{machine}-linux-gnu", "os": "linux", "arch": machine, "size": len(content)},
            **{"sha256": hashlib.sha256(content).hexdigest(), "extension": "tar.gz"},
        }
        for url, content in archives.items()
    ]
    versions = json.dumps({f["version"]: {"stable": True, "files": [f]} for f in files}).encode()
    monkeypatch.setattr(juliapkg.install_julia, "_all_julia_versions", None)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url: io.BytesIO(archives.get(url, versions)))
    assert session.own_julia() == bare / "julia_env" / "pyjuliapkg" / "install"
    assert doctor.examine(install=True) == 0
    said = capsys.readouterr().out
    assert "Downloading Julia from https://at.test/1.10.10.tar.gz" in said
    assert "  packages     set up" in said
    brought = bare / "julia_env" / "pyjuliapkg" / "install" / "bin" / "julia"
    assert session.executable() == str(brought)
    assert session.own_julia() is None
    assert doctor.examine() == 0
    assert f"  executable   {brought}\n" in capsys.readouterr().out


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
