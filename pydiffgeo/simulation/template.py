"""An annotated configuration of any model, to start from: `pydiffgeo init MODEL`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ..model import ForcingVariable, Model, Parameter, State
from ..models.ready import READY, Ready
from .calibration_template import calibration
from .making import maker


def template(name: str, *, code: bool = False, folder: Path | None = None, calibrate: bool = False) -> str:
    """A configuration of the model of that name, which can be run as it is.

    Args:
        code: whether a name such as "my_package:MyModel" may be imported, which runs its code; `folder`: from where.
        calibrate: with the tables of a calibration, for which there must be observations.

    Raises:
        DataError: there is no such model.
    """
    make = maker(name, code=code, where="the model", folder=folder)
    ready = READY[name] if name in READY else Ready(make, build=make)  # type: ignore[arg-type]
    model, given = ready.model(), ready.arguments
    choices = given.splitlines() if isinstance(given, str) else ["[arguments]", *_arguments(make, given)]
    unit = model.time_unit
    lines = [
        f"# {_text(ready, model)}",
        "#",
        f"#     pydiffgeo {'calibrate' if calibrate else 'run'} {model.name.lower()}.toml",
        "#",
        "# What is commented out shows the default, unless it says otherwise. Paths are relative to this file.",
        *([] if name in READY else ["# The model is code: running this file takes --run-code."]),
        "",
        f"model = {json.dumps(name)}",
        *(["", *choices] if len(choices) > 1 else []),
        "",
        '[parameters]                        # a number, a list of one for each cell, or { file = "K.nc", variable = "K" }',
        *(_parameter(p, ready.parameters) for p in model.parameters),
        "",
        "[initial]",
        "# steady = true                     # begin at the steady state of the first forcing, searched from these values on; or of the",
        '#                                   # "mean", or of a table: { NAME = 0.001 }; as the values are by default',
        *_initial(model, ready.initial),
        "",
        "[forcing]",
        *_forcing(model, ready.forcing),
        "",
        "[times]",
        f"# start = 0.0                       # {unit}; or a date, such as 2000-10-01, from which times count",
        f"end = 10.0                          # {unit}, or a date; without it, as long as the file of forcings",
        f"step = 1.0                          # {unit} between outputs; without it, the times of the file",
        "",
        "[solve]",
        '# engine = "auto"                   # "julia", "sundials", or Julia where it is ready, else SUNDIALS',
        "# rtol = 1e-6",
        "# atol = 1e-8",
        "",
        "[output]",
        f'file = "{model.name.lower()}.nc"',
        *(calibration(model) if calibrate else []),
    ]
    return "\n".join(lines) + "\n"


def _text(ready: Ready, model: Model) -> str:
    said = ready.text or model.name
    return f"{said} Source: {model.reference}." if model.reference else said


def _line(setting: str, comment: str) -> str:
    return f"{setting:<36}# {comment}" if comment else setting


def _arguments(make: Callable[..., object], given: Mapping[str, object]) -> list[str]:
    """The arguments of a function that TOML can write; those of the example are set."""
    lines = []
    for name, p in inspect.signature(make).parameters.items():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        value = given.get(name, p.default)
        known = isinstance(value, (bool, int, float, str))
        kind = p.annotation if isinstance(p.annotation, str) else getattr(p.annotation, "__name__", "")
        what = "" if kind == p.empty.__name__ else kind.replace("Literal", "one of ")
        if name in given:
            lines.append(_line(f"{name} = {json.dumps(value)}", what))
        elif known:
            lines.append(_line(f"# {name} = {json.dumps(value)}", what))
        else:
            lines.append(_line(f"# {name} =", f"{what}; left out by default" if value is None else what))
    return lines


def _parameter(p: Parameter, example: Mapping[str, float]) -> str:
    usual = f"; usually {p.typical[0]:g} to {p.typical[1]:g}" if p.typical else ""
    text = f"{p.unit}, {p.description}; in {p.interval}{usual}"
    if p.name in example:
        return _line(f"{p.name} = {example[p.name]:g}", text)
    if p.default is None:
        low, high = p.typical or (1.0, 1.0)
        value = (low * high) ** 0.5 if p.log and low > 0 else (low + high) / 2
        return _line(f"{p.name} = {value:g}", f"{text}; no default")
    return _line(f"# {p.name} = {p.default:g}", text)


def _initial(model: Model, example: Mapping[str, float]) -> Iterable[str]:
    for s in model.all_states:
        yield _start(s, example, bool(model.initial_names))
    for name in model.initial_names:
        shown = f"{name} = {example[name]:g}" if name in example else f"# {name} ="
        yield _line(shown, "in place of the states that follow from it")


def _start(s: State, example: Mapping[str, float], others: bool) -> str:
    text = f"{s.unit}, {s.description}"
    if s.name in example:
        return _line(f"{s.name} = {example[s.name]:g}", text)
    if s.default is not None:
        return _line(f"# {s.name} = {s.default:g}", text)
    if others and example:
        return _line(f"# {s.name} =", f"{text}; or what it follows from, below")
    value = max(s.low, 0.0) if s.low > float("-inf") else 0.0
    return _line(f"{s.name} = {value:g}", f"{text}; no default")


def _forcing(model: Model, example: Mapping[str, float]) -> Iterable[str]:
    if not model.forcings:
        yield "# This model has none."
        return
    yield '# file = "weather.csv"              # or NetCDF or Zarr by the CF conventions, at any time step; none by default'
    yield '# time = "time"                     # what the file calls its times: dates, or of CSV numbers as well'
    yield '# between = "constant"              # each value holds to the next time; or "linear" between them'
    yield '# units = { }                       # such as { rain = "mm h-1" }, where the file states none'
    yield '# A file of its own: rain = { file = "rain.nc", variable = "rr" }, with time, units and between where they differ.'
    each = any(f.on != "model" for f in model.forcings)
    places = ", or a list of them for each place" if each else ""
    yield f"# Each forcing is a number, or what the file calls it{places}:"
    for f in model.forcings:
        yield _number(f, example)


def _number(f: ForcingVariable, example: Mapping[str, float]) -> str:
    text = f"{f.unit}, {f.description}"
    if f.name not in example and f.default is not None:
        return _line(f"# {f.name} = {f.default:g}", text)
    low = f.low if f.low > float("-inf") else 0.0
    return _line(f"{f.name} = {example.get(f.name, max(low, 0.0)):g}", text)
