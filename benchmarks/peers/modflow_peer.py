"""MODFLOW 6 and forward differences: one run for each entry, and one more.

The program is in the wheel flopyarcade (`python -m pip install --no-deps flopyarcade`, 51 MB, GPL-3), of which nothing else is
used. Its inputs are written here, so that only what changes is written again; steps are backward Euler's, as many to a
period as one over the tolerance, all alike (steps that grow, as is usual, were further off). Where all runs take longer than a cap, a few
entries of each group are computed, and the time is that of the runs made times the number needed.
"""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from cases import AQUIFER, Case, Values
from clock import seconds

CHANGE = 1e-4  # of an entry, as a share of it
ENTRIES = 3  # of each group, where not all are computed
HEADER = np.dtype(
    [
        ("step", "<i4"),
        ("period", "<i4"),
        ("times", "<f8", 2),
        ("text", "S16"),
        ("columns", "<i4"),
        ("rows", "<i4"),
        ("layer", "<i4"),
    ]
)


@cache
def program() -> Path:
    """The binary, unpacked from the wheel."""
    spec = importlib.util.find_spec("flopyarcade")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(tempfile.mkdtemp(prefix="mf6_"))
    with zipfile.ZipFile(Path(spec.origin).parent / "simulators" / "simulators_linux.zip") as wheel:
        binary = Path(wheel.extract("linux/mf6", folder))
    binary.chmod(0o755)
    return binary


class Simulation:
    """A folder of inputs, in which runs follow one another."""

    def __init__(self, case: Case, steps: int) -> None:
        self.case, self.folder = case, Path(tempfile.mkdtemp(prefix="aquifer_"))
        side, periods = AQUIFER.side, case.intervals
        self.kept, self.spent, self.runs = dict[str, bytes](), 0.0, 0
        packages = [f"{kind}6 a.{kind}" for kind in ("dis", "npf", "ic", "sto", "ghb", "riv", "wel", "rch", "oc")]
        lengths = [f"{length:.17g} {steps} 1.0" for length in case.lengths]
        creek = [f"1 {i + 1} {j + 1} STAGE" for i, j in AQUIFER.river]
        constant = {k: v.item() for k, v in case.constant.items()}
        stage, outside = (case.weather[k] for k in ("river_stage", "general_head"))
        conductance = constant["general_conductance"], constant["river_conductance"]
        for name, text in {
            "mfsim.nam": _blocks(
                ("timing", ["tdis6 a.tdis"]),
                ("models", ["gwf6 a.nam a"]),
                ("exchanges", []),
                ("solutiongroup 1", ["ims6 a.ims a"]),
            ),
            "a.tdis": _blocks(("dimensions", [f"nper {periods}"]), ("perioddata", lengths)),
            "a.nam": _blocks(("packages", packages)),
            "a.ims": _blocks(
                ("nonlinear", ["outer_maximum 50", "outer_dvclose 1e-8"]),
                ("linear", ["inner_maximum 300", "inner_dvclose 1e-9", "inner_rclose 1e-6 strict"]),
            ),
            "a.dis": _blocks(
                ("dimensions", ["nlay 1", f"nrow {side}", f"ncol {side}"]),
                ("griddata", [f"{k}\nconstant {v:.17g}" for k, v in _geometry().items()]),
            ),
            "a.npf": _blocks(("griddata", ["icelltype\nconstant 0", "k\nopen/close k.txt"])),
            "a.ic": _blocks(("griddata", ["strt\nopen/close strt.txt"])),
            "a.sto": _blocks(
                ("griddata", ["iconvert\nconstant 0", f"ss\nconstant {constant['S_s']:.17g}"]),
                ("period 1", ["transient"]),
            ),
            "a.ghb": _periods(
                side, periods, lambda k: [f"1 {i + 1} 1 {outside[k]:.17g} {conductance[0]:.17g}" for i in range(side)]
            ),
            "a.riv": _periods(
                len(creek),
                periods,
                lambda k: [
                    f"{c.replace('STAGE', f'{stage[k]:.17g}')} {conductance[1]:.17g} {constant['river_bed']:.17g}"
                    for c in creek
                ],
            ),
            "a.oc": _blocks(("options", ["head fileout a.hds"]), ("period 1", ["save head last"])),
        }.items():
            (self.folder / name).write_text(text)

    @property
    def storage(self) -> float:
        """Storage coefficient."""
        return float(self.case.constant["S_s"].item() * AQUIFER.thickness)

    def write(self, y0: np.ndarray, p: np.ndarray, f: np.ndarray) -> None:
        """Inputs that differ from those of the last run."""
        system, side, storage = self.case.system, AQUIFER.side, self.storage
        start = y0[system.states["water"]] / storage - AQUIFER.thickness
        pumping, rain = (f[:, system.forcings[k]] for k in ("well_rate", "recharge_rate"))
        for name, content in {
            "k.txt": _numbers(p[system.parameters["K"]], side),
            "strt.txt": _numbers(start, side),
            "a.wel": _periods(
                len(AQUIFER.wells),
                len(f),
                lambda k: [f"1 {i + 1} {j + 1} {q:.17g}" for (i, j), q in zip(AQUIFER.wells, pumping[k], strict=True)],
            ),
            "a.rch": _blocks(
                ("options", ["readasarrays"]),
                *((f"period {k + 1}", [f"recharge\nconstant {row[0]:.17g}"]) for k, row in enumerate(rain)),
            ),
        }.items():
            if self.kept.get(name) != content.encode():
                self.kept[name] = content.encode()
                (self.folder / name).write_bytes(self.kept[name])

    def states(self, y0: np.ndarray, p: np.ndarray, f: np.ndarray) -> np.ndarray:
        """The water of every cell at the end of every period, `(periods, cells)`, in the order of the system."""
        self.write(y0, p, f)
        began = seconds()
        done = subprocess.run([program()], cwd=self.folder, capture_output=True, text=True)
        if done.returncode or "Normal termination" not in done.stdout:
            raise RuntimeError(f"MODFLOW: {done.stdout[-300:]}")
        self.spent, self.runs = self.spent + seconds() - began, self.runs + 1
        return self.read()

    def read(self) -> np.ndarray:
        """What `states` returns, of the last run."""
        system, side = self.case.system, AQUIFER.side
        record = np.dtype([("header", HEADER), ("head", "<f8", side * side)])
        head = np.fromfile(self.folder / "a.hds", record)["head"]
        found = np.zeros((self.case.intervals, system.n_states))
        found[:, system.states["water"]] = self.storage * (head + AQUIFER.thickness)
        return found


def prepare(case: Case, rtol: float, cap: float = 60.0) -> Callable[[], tuple[float, Values]]:
    """The call's `note` says what was extrapolated, and its `seconds` replace those measured."""
    simulation, numbers = Simulation(case, round(1 / rtol)), case.numbers()
    cap = max(cap / 4, 12.0)

    def loss(*given: np.ndarray) -> float:
        return float(case.loss(simulation.states(*given), np.zeros((case.intervals, 0))))

    def gradient() -> tuple[float, Values]:
        base = loss(*numbers)
        system, once = case.system, simulation.spent / simulation.runs
        places = (
            {k: (1, np.arange(system.n_parameters)[system.parameters[k]]) for k in case.parameters}
            | {f"initial {k}": (0, np.asarray(system.states[k])) for k in case.initial}
            | {k: (2, np.asarray(system.forcings[k])) for k in case.forcing}
        )
        sizes = {k: case.intervals if group == 2 else at.size for k, (group, at) in places.items()}
        all_runs = sum(sizes.values())
        whole = all_runs * once < cap
        values: Values = {}
        for name, (group, at) in places.items():
            found = np.full(sizes[name], np.nan)
            some = np.arange(len(found)) if whole else np.linspace(0, len(found) - 1, ENTRIES + 2)[1:-1].astype(int)
            for k in some:
                changed = [v.copy() for v in numbers]
                # A forcing of an interval has one value for all places.
                index = (k, at) if group == 2 else (int(at[k]),)
                old = float(np.ravel(changed[group][index])[0])
                change = CHANGE * max(abs(old), 1e-3)
                changed[group][index] += change
                found[k] = (loss(*changed) - base) / change
            values[name] = found
        once = simulation.spent / simulation.runs
        gradient.seconds = once * (all_runs + 1)  # type: ignore[attr-defined]
        if not whole:
            gradient.note = f"one run takes {once:.2f} s; times {all_runs + 1}, extrapolated"  # type: ignore[attr-defined]
        return base, values

    def forward() -> np.ndarray:
        return simulation.states(*numbers)

    gradient.forward = forward  # type: ignore[attr-defined]
    gradient.steps = case.intervals * round(1 / rtol)  # type: ignore[attr-defined]
    return gradient


def _geometry() -> dict[str, float]:
    return {"delr": AQUIFER.spacing, "delc": AQUIFER.spacing, "top": 0.0, "botm": -AQUIFER.thickness}


def _blocks(*blocks: tuple[str, list[str]]) -> str:
    return "\n".join(f"begin {name}\n" + "\n".join(rows) + f"\nend {name}" for name, rows in blocks) + "\n"


def _periods(places: int, periods: int, rows: Callable[[int], list[str]]) -> str:
    return _blocks(("dimensions", [f"maxbound {places}"]), *((f"period {k + 1}", rows(k)) for k in range(periods)))


def _numbers(values: np.ndarray, columns: int) -> str:
    return "\n".join(" ".join(f"{v:.17g}" for v in row) for row in values.reshape(-1, columns)) + "\n"
