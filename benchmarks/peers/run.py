"""The comparison with other libraries: gradients of the same four problems, error against seconds.

    python -m pip install -e '.[benchmark]'
    python benchmarks/peers/run.py

Every peer is optional; those not installed are listed as such. MODFLOW 6 is for `--case aquifer`, which is not part of a
full run: `python -m pip install --no-deps flopyarcade` has the program; `mf6adj_peer.py` says what its adjoint needs. Results are written as they come to
results.json, at the end also to results.md and work_precision.png; `--resume` goes on from results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from peers import PEERS, TIGHT  # noqa: E402
from report import environment, write  # noqa: E402

CASE_NAMES = ("richards", "storms", "basin", "robertson")
ALL_CASES = (*CASE_NAMES, "clay", "aquifer")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JULIA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
CLOCK = {"PEERS_PROCESSOR_TIME": "1"}
START_CAP, COLD_CAP, REFERENCE_CAP = 300.0, 240.0, 200.0
REPEAT_SLACK = 60.0  # seconds for the repeats after the first gradient
Record = dict[str, Any]


class Worker:
    """A measuring process and its events."""

    def __init__(self, arguments: list[str], processor: bool) -> None:
        # CasADi compiles in the current folder, and leaves its files there when it is stopped.
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "measure.py"), *arguments],
            env=os.environ | ONE_THREAD | (CLOCK if processor else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder.name,
        )
        self.events: queue.Queue[Record | None] = queue.Queue()
        self.errors: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._drain, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                self.events.put(json.loads(line[1:]))
        self.events.put(None)

    def _drain(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors = [*self.errors[-20:], line.strip()]

    def next(self, seconds: float) -> Record | None:
        """The next event; None at the end; raises `queue.Empty` after `seconds`."""
        return self.events.get(timeout=seconds)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def run(case: str, peer: str, tolerances: list[float], options: argparse.Namespace, more: list[str], cap: float) -> Any:
    """Yields one record per tolerance, whatever happens."""
    worker = Worker(
        [case, peer, *map(str, tolerances), "--cap", str(cap), "--data", str(options.data), *more], options.processor
    )
    rtol, phase, limit, left = tolerances[0], "start", START_CAP, list(tolerances)
    base = {"case": case, "peer": peer}
    try:
        while True:
            try:
                event = worker.next(limit)
            except queue.Empty:
                what = {"start": "start", "cold": "compilation", "first": "gradient", "repeat": "gradient"}[phase]
                yield base | {"rtol": rtol, "status": "cap", "note": f"no {what} within {limit:.0f} s"}
                break
            if event is None:
                if left:
                    code = worker.process.wait()
                    told = next((e for e in reversed(worker.errors) if e), "")
                    yield base | {"rtol": rtol, "status": "crashed", "note": f"exit status {code}; {told[:160]}"}
                break
            kind = event.pop("event")
            if kind == "ready":
                title = event["title"]
                base |= {"title": title}
            elif kind == "start":
                rtol, phase, limit = event["rtol"], "cold", COLD_CAP
            elif kind == "prepared":
                phase, limit = "first", cap
            elif kind == "first":
                phase, limit = "repeat", cap + REPEAT_SLACK
            elif kind in ("result", "failed"):
                left.remove(event["rtol"])
                if kind == "result":
                    yield base | event | {"status": judge(event)}
                elif event["error"].startswith("TooSlowError"):
                    yield base | {"rtol": rtol, "status": "cap", "note": event["error"].removeprefix("TooSlowError: ")}
                    break
                else:
                    yield base | {"rtol": rtol, "status": "failed", "note": event["error"]}
                phase, limit = "cold", COLD_CAP
    finally:
        worker.stop()


def judge(result: Record) -> str:
    error = result.get("error")
    if error is None:
        return "cap" if "extrapolated" in result["note"] else "ok"
    return "ok" if np.isfinite(error) and error < 0.3 else "wrong"


def reference(case: str, options: argparse.Namespace) -> Record:
    """Gradient at tight tolerances by both engines; that of Julia counts where both are there."""
    found: dict[str, dict[str, np.ndarray]] = {}
    target = options.output / f"reference_{case}.npz"
    note: Record = {"case": case, "tolerances": {}, "notes": []}
    for engine, rtol in zip(("julia", "sundials"), TIGHT[case], strict=True):
        if PEERS[engine].missing:
            continue
        file = options.output / f"reference_{case}_{engine}.npz"
        if not (options.resume and file.exists()):
            more = ["--save", str(file), "--repeats", "0"]
            for record in run(case, engine, [rtol], options, more, REFERENCE_CAP):
                if record["status"] != "ok":
                    note["notes"].append(f"{engine} at {rtol:g}: {record['note']}")
                    file.unlink(missing_ok=True)
        if file.exists():
            found[engine] = dict(np.load(file))
            note["tolerances"][engine] = rtol
    if not found:
        return note
    first, *others = found.values()
    np.savez(target, **first)
    for other in others:
        errors = {
            k: float(np.abs(first[k] - other[k]).max() / np.abs(first[k]).max())
            for k in first
            if k not in ("loss", "states")
        }
        note["disagreement"] = max(errors.values())
    return note


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=ALL_CASES, help="which cases; the first four")
    parser.add_argument("--peer", nargs="+", choices=[*PEERS], help="which peers; all of them")
    parser.add_argument("--quick", action="store_true", help="two cases, main peers, two tolerances, a short cap")
    parser.add_argument("--cap", type=float, help="seconds that a gradient may take; 120, or 20 with --quick")
    parser.add_argument(
        "--data", type=Path, default=HERE.parents[2] / "shared" / "data", help="folder of camels_us_60.nc"
    )
    parser.add_argument("--output", type=Path, default=Path("peer_results"))
    parser.add_argument("--resume", action="store_true", help="keep what results.json in the output folder has")
    parser.add_argument(
        "--processor", action="store_true", help="count processor time, where others use the machine too"
    )
    options = parser.parse_args()
    options.output, options.data = options.output.resolve(), options.data.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    cap = options.cap or (20.0 if options.quick else 120.0)
    cases = options.case or (["richards", "robertson"] if options.quick else [*CASE_NAMES])
    peers = options.peer or [k for k, p in PEERS.items() if p.quick or not options.quick]
    file, began = options.output / "results.json", time.time()
    results: Record = {"environment": environment(), "references": {}, "records": [], "seconds": 0.0}
    if options.resume and file.exists():
        old = json.loads(file.read_text())
        results |= {k: old[k] for k in ("references", "records", "seconds")}
    spent = results["seconds"]
    for case in cases:
        if case not in results["references"] or not (options.output / f"reference_{case}.npz").exists():
            results["references"][case] = reference(case, options)
            print(f"{case:10} reference {results['references'][case]}", flush=True)
        known = options.output / f"reference_{case}.npz"
        for peer in peers:
            if not PEERS[peer].takes(case):
                continue
            done = {r["rtol"] for r in results["records"] if (r["case"], r["peer"]) == (case, peer)}
            if missing := PEERS[peer].missing:
                new: Any = [
                    {"case": case, "peer": peer, "rtol": 0.0, "status": "not installed", "note": ", ".join(missing)}
                ]
                new = [] if done else new
            else:
                wanted = [r for r in PEERS[peer].at(case, options.quick) if r not in done]
                stopped = any(
                    r["status"] in ("cap", "crashed")
                    for r in results["records"]
                    if (r["case"], r["peer"]) == (case, peer)
                )
                more = ["--reference", str(known)] if known.exists() else []
                more += ["--repeats", "1"] if options.quick else []
                new = run(case, peer, wanted, options, more, cap) if wanted and not stopped else []
            for record in new:
                record["cap"] = cap
                results["records"].append(record)
                results["seconds"] = spent + time.time() - began
                file.write_text(json.dumps(results, indent=1))
                print(_line(record), flush=True)
    results["seconds"] = spent + time.time() - began
    # A case that was added by resuming goes to its place.
    results["records"].sort(key=lambda r: ALL_CASES.index(r["case"]))
    file.write_text(json.dumps(results, indent=1))
    write(results, options.output)
    print(f"\n{(options.output / 'results.md').read_text()}")


def _line(r: Record) -> str:
    head = f"{r['case']:10} {PEERS[r['peer']].label:44} {r['rtol']:7.0e} {r['status']:8}"
    if "seconds" not in r:
        return f"{head} {r['note']}"
    error = f"{r['error']:8.1e} ({r['group']})" if "error" in r else "no gradient"
    return f"{head} {error:28} {r['seconds']:9.3f} s, cold {r['cold']:.1f} s, {r['memory']:.0f} MiB {r['note']}"


if __name__ == "__main__":
    main()
