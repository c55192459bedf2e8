"""Which mistakes in the formulas the tests notice: makes some 230 small ones, one at a time, and runs the tests of each.

    python benchmarks/mutation.py --jobs 2 --report benchmarks/MUTATION.md
    python benchmarks/mutation.py --only "root uptake"

Maintained mutation testers run all tests on all mutants, or need the coverage of each test first; with tests that solve
stiff systems that takes days. Here each file of formulas has a list of the test files that are about it (`TARGETS`), a
fixed number of mutants is drawn in each function, and mistakes that went unnoticed once are in a table (`NAMED`). A test
run that ends without a failure is a survivor; one that passes its time limit counts as caught. Mutants are made in
copies of the package in temporary folders, and solved by the embedded engine alone. Needs what the tests need.
"""

from __future__ import annotations

import argparse
import compileall
import json
import multiprocessing
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants import Mutant, chosen, named
from mutation_targets import DRAWN_AS, NAMED, REASONS, TARGETS

ROOT = Path(__file__).resolve().parents[1]
SEED = 1
WANTED = 0.95
# Seconds, and how often the time that the tests take without a mutant, before a run counts as caught.
LEAST, TIMES = 60.0, 5.0
TOO_LONG = "time-out"
RUNNING: set[Any] = set()
STOPPED = threading.Event()
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "casadi", "xarray", "matplotlib", "hypothesis", "pytest"])


@dataclass(frozen=True)
class Outcome:
    """`by` is the test that failed, or why the run ended; None for a survivor."""

    mutant: Mutant
    by: str | None


def mutants(only: str = "") -> list[Mutant]:
    """All of them, or those whose file and name match a regular expression; named ones first.

    Raises:
        ValueError: the tables do not fit the code any more; says where.
    """
    sources = {file: (ROOT / "pydiffgeo" / file).read_text() for file in TARGETS}
    found = [named(name, file, sources[file], old, new) for name, file, old, new in NAMED]
    for file, target in TARGETS.items():
        for scope, count in target.scopes.items():
            found += chosen(file, sources[file], scope, count, f"{SEED} {DRAWN_AS.get(file, file)}")
    return [m for m in found if re.search(only, f"{m.file}: {m.name}", re.IGNORECASE)]


def tests_of(mutant: Mutant) -> list[str]:
    return [f"tests/{name}" for name in TARGETS[mutant.file].tests]


class Workspace:
    """A copy of package and tests in a temporary folder, in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        skip = shutil.ignore_patterns("__pycache__", ".*")
        for name in ("pydiffgeo", "tests", "benchmarks", "docs", "examples", "julia"):
            shutil.copytree(ROOT / name, folder / name, ignore=skip)
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff"):
            shutil.copy(ROOT / name, folder / name)
        compileall.compile_dir(folder / "pydiffgeo", quiet=1)
        compileall.compile_dir(folder / "tests", quiet=1)

    def run(self, tests: Sequence[str], limit: float, mutant: Mutant | None = None) -> tuple[str | None, float]:
        """Why the tests fail, or None, and the seconds they took."""
        path = self.folder / "pydiffgeo" / mutant.file if mutant else None
        before = path.read_text() if path else ""
        try:
            if path and mutant:
                path.write_text(mutant.text)
                # Compiled files are told apart by the second they were made in.
                for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                    compiled.unlink()
            return self._pytest(tests, limit)
        finally:
            if path:
                path.write_text(before)

    def _pytest(self, tests: Sequence[str], limit: float) -> tuple[str | None, float]:
        said, started = self.folder / "said", time.monotonic()
        process = CONTEXT.Process(target=_pytest, args=(str(self.folder), str(said), [*tests]))
        process.start()
        RUNNING.add(process)
        process.join(limit)
        RUNNING.discard(process)
        if STOPPED.is_set():
            raise RuntimeError("stopped")
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            return TOO_LONG, time.monotonic() - started
        seconds, output = time.monotonic() - started, said.read_text(errors="replace")
        if process.exitcode == 0:
            return None, seconds
        if process.exitcode in (3, 4, 5):
            raise RuntimeError(f"pytest could not run {' '.join(tests)}:\n{output[-3000:]}")
        failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", output, re.MULTILINE)
        return (failed[1] if failed else f"exit status {process.exitcode}"), seconds


def _pytest(folder: str, said: str, tests: list[str]) -> None:
    """Runs tests in a copy of the package, in a process of their own that has loaded what is heavy, but not the package."""
    os.setsid()
    os.chdir(folder)
    file = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(file, stream)
    path = [p for p in os.get_exec_path() if not (Path(p) / "julia").exists()]
    os.environ |= {"PATH": os.pathsep.join(path), "PYTHONPATH": folder, "TMPDIR": folder}
    # Plugins that happen to be installed take longer to load than most tests take to fail.
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.dont_write_bytecode = True
    sys.path[:] = [folder, *(p for p in sys.path if Path(p).resolve() != ROOT)]
    import pytest

    # In the order of the files, which begin with the nearest and fastest.
    sys.exit(int(pytest.main(["-x", "-q", "-k", "not julia", "-p", "no:cacheprovider", *tests])))


def outcomes_of(wanted: Sequence[Mutant], jobs: int, kept: Path | None) -> list[Outcome]:
    """The outcome of each mutant, in their order. What `kept` says was caught in earlier runs is not tested again.

    Raises:
        SystemExit: a test fails without any mutant.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        spaces: queue.Queue[Workspace] = queue.Queue()
        for job in range(jobs):
            spaces.put(Workspace(Path(folder) / str(job)))
        usual: dict[str, float] = {}
        lines = kept.read_text().splitlines() if kept and kept.exists() else []
        known = {name: by for name, by in map(json.loads, lines) if by is not None}
        left = [m for m in wanted if m.name not in known]

        def run(tests: Sequence[str], limit: float, mutant: Mutant | None = None) -> tuple[str | None, float]:
            space = spaces.get()
            try:
                return space.run(tests, limit, mutant)
            finally:
                spaces.put(space)

        def before(test: str) -> str | None:
            why, usual[test] = run([test], 600.0)
            print(f"{test}: {usual[test]:.0f} s without a mutant", flush=True)
            return why and f"{test} fails without any mutant: {why}"

        def one(mutant: Mutant) -> Outcome:
            tests = tests_of(mutant)
            limit = LEAST + TIMES * sum(usual[t] for t in tests)
            by, seconds = run(tests, limit, mutant)
            if by == TOO_LONG:  # the machine may have been busy
                by, seconds = run(tests, 2 * limit, mutant)
            outcome = "SURVIVED" if by is None else "caught"
            print(f"{outcome}, {seconds:.0f} s: {mutant.name} [{by}]", flush=True)
            if kept:
                with open(kept, "a") as file:
                    file.write(json.dumps([mutant.name, by]) + "\n")
            return Outcome(mutant, by)

        if wrong := [why for why in pool.map(before, dict.fromkeys(t for m in left for t in tests_of(m))) if why]:
            raise SystemExit("\n".join(wrong))
        found = {outcome.mutant.name: outcome for outcome in pool.map(one, left)}
        return [found.get(m.name) or Outcome(m, known[m.name]) for m in wanted]


def report(outcomes: Sequence[Outcome]) -> str:
    """The outcomes in Markdown."""
    caught = sum(o.by is not None for o in outcomes)
    lines = [
        "# Which mistakes the tests notice",
        "",
        f"Of {len(outcomes)} mutants the tests catch {caught}: {100 * caught / len(outcomes):.1f} %. Each was made in the "
        "formulas by itself, and tested with the files that are about it, in a bare checkout and with the embedded "
        "engine; a run beyond its time limit counts as caught. Made by `python benchmarks/mutation.py --report "
        "benchmarks/MUTATION.md`.",
        "",
        "| file | mutants | caught | tests |",
        "|---|---|---|---|",
    ]
    for file in dict.fromkeys(o.mutant.file for o in outcomes):
        own = [o for o in outcomes if o.mutant.file == file]
        tests = ", ".join(f"`{t}`" for t in dict.fromkeys(t.split("::")[0] for t in TARGETS[file].tests))
        lines.append(f"| `{file}` | {len(own)} | {sum(o.by is not None for o in own)} | {tests} |")
    lines += ["", "## Survivors", ""]
    survivors = [o.mutant for o in outcomes if o.by is None]
    for mutant in survivors:
        old, new = mutant.change
        why = REASONS.get(mutant.name, "no test notices")
        lines += [f"- {_plain(mutant.name)}: {why}.", "", "  ```diff", f"  - {old}", f"  + {new}", "  ```"]
    lines += [
        "" if survivors else "None.",
        "",
        "## Named mutants",
        "",
        "| mutant | file | caught by |",
        "|---|---|---|",
    ]
    table = {name for name, *_ in NAMED}
    for o in outcomes:
        if o.mutant.name in table:
            lines.append(f"| {o.mutant.name} | `{o.mutant.file}` | {f'`{_plain(o.by)}`' if o.by else '**nothing**'} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _plain(text: str) -> str:
    """Text that a table of Markdown can hold."""
    return text.replace("|", "\\|")


def _stop(*_: object) -> None:
    """Ends the tests that run, so that none goes on by itself, and lets folders be removed; no outcome is taken from them."""
    STOPPED.set()
    for process in [*RUNNING]:
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
    sys.exit(130)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutants whose file and name match this regular expression")
    parser.add_argument("--jobs", type=int, default=1, help="how many are tested at a time")
    parser.add_argument("--report", type=Path, help="file to write in Markdown")
    parser.add_argument(
        "--kept", type=Path, help="file of outcomes, to go on from: what was caught is not tested again"
    )
    parser.add_argument("--list", action="store_true", help="list mutants, and run nothing")
    options = parser.parse_args()
    wanted = mutants(options.only)
    if options.list or not wanted:
        print(*(m.name for m in wanted), f"{len(wanted)} mutants", sep="\n")
        return 0 if wanted else 1
    os.environ["OMP_NUM_THREADS"] = "1"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    outcomes = outcomes_of(wanted, options.jobs, options.kept)
    if options.report:
        options.report.write_text(report(outcomes))
    share = sum(o.by is not None for o in outcomes) / len(outcomes)
    print(f"{100 * share:.1f} % of {len(outcomes)} mutants are caught")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
