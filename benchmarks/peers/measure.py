"""One peer on one case, in a process of its own. Writes events to standard output, one JSON object a line.

ready (memory after imports), prepared (cold seconds), first (seconds of the first gradient), result.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import CASES, Case, Values
from clock import seconds
from peers import MORE, PEERS

REPEATS, ENOUGH = 4, 8.0  # gradients after the first, and the seconds after which fewer will do


def emit(event: str, **values: Any) -> None:
    print("@" + json.dumps({"event": event, **values}), flush=True)


def memory() -> float:
    """Largest resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(gradient: Values, reference: Values) -> tuple[float, str]:
    """The worst error of a group relative to its largest entry, and the group; NaN counts as infinite."""
    errors = {}
    for name, value in gradient.items():
        scale = np.abs(reference[name]).max()
        errors[name] = float(np.abs(value - reference[name]).max() / scale)
    worst = max(errors, key=lambda k: errors[k] if np.isfinite(errors[k]) else np.inf)
    return errors[worst], worst


def computed(gradient: Values, reference: Values) -> tuple[Values, Values]:
    """Only the entries that are there, of the gradient and of the reference (whose largest stays as scale)."""
    kept = {k: np.where(np.isnan(v), reference[k], v) for k, v in gradient.items()}
    return kept, reference


def alone(solve: Callable[[], np.ndarray], reference: np.ndarray | None, factor: float, keep: Values) -> dict[str, Any]:
    """Seconds of a solve without a gradient, the least of three, and the error of its states, which are kept."""
    times = []
    for _ in range(3):
        start = seconds()
        states = solve()
        times.append(seconds() - start)
    if reference is None:
        keep["states"] = states
        return {"forward": min(times)}
    return {"forward": min(times), "forward_error": float(np.abs(states - reference).max() * factor)}


def measure(case: Case, peer: str, rtol: float, repeats: int, cap: float, reference: Values | None, base: float) -> Any:
    """One record, and the gradient; the loss is compared with that of the reference too."""
    chosen = PEERS[peer]
    module = importlib.import_module(chosen.module)
    more = MORE.get((chosen.module, case.name), {}) | ({"cap": cap} if chosen.capped else {})
    began = seconds()
    call = module.prepare(case, rtol, **chosen.settings, **more)
    cold = seconds() - began
    emit("prepared", cold=cold)
    began = seconds()
    loss, gradient = call()
    first = seconds() - began
    emit("first", seconds=first)
    given = getattr(call, "seconds", None)
    times = [first] if first > ENOUGH or repeats == 0 else []
    began = seconds()
    while given is None and len(times) < repeats and (not times or seconds() - began < ENOUGH) and first <= ENOUGH:
        start = seconds()
        loss, gradient = call()
        times.append(seconds() - start)
    # What the call found out by itself counts, such as the time of runs that were not made.
    given = getattr(call, "seconds", None)
    spent = given if given is not None else min(times)
    result = {"loss": loss, "seconds": spent, "first": first, "cold": cold, "repeats": len(times)}
    result |= {"memory": memory() - base, "note": getattr(call, "note", ""), "steps": getattr(call, "steps", None)}
    if case.forward is not None:
        result |= alone(call.forward, None if reference is None else reference.get("states"), case.forward, gradient)
    if reference is not None and "loss" in reference:
        result["loss_error"] = float(abs(loss / reference["loss"] - 1))
    if reference is not None and gradient:
        if given is not None:
            gradient, reference = computed(gradient, reference)
        result["error"], result["group"] = compare(gradient, reference)
    return result, gradient


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case")
    parser.add_argument("peer")
    parser.add_argument("tolerances", nargs="+", type=float)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--cap", type=float, default=120.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    case = CASES[options.case](options.data)
    began = time.perf_counter()
    importlib.import_module(PEERS[options.peer].module)
    if options.peer == "julia":
        from pydiffgeo.engines.julia import session

        session.in_julia(lambda package: None)
    reference = dict(np.load(options.reference)) if options.reference else None
    base = memory()
    emit("ready", title=case.title, start=time.perf_counter() - began, base=base)
    for rtol in options.tolerances:
        emit("start", rtol=rtol)
        try:
            result, gradient = measure(case, options.peer, rtol, options.repeats, options.cap, reference, base)
        except Exception as error:  # whatever a peer raises is its result
            emit("failed", rtol=rtol, error=f"{type(error).__name__}: {_sentence(error)}")
            if type(error).__name__ == "TooSlowError":
                break
            continue
        if options.save:
            np.savez(options.save, loss=result["loss"], **gradient)
        emit("result", rtol=rtol, **result)


def _sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next(
        (line for line in lines if "returned" in line or "non-finite" in line or "CV_" in line),
        lines[0] if lines else "",
    )
    return told[:200]


if __name__ == "__main__":
    sys.exit(main())
