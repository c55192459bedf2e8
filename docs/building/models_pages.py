"""Pages of the ready models, from their declarations: what each is, its names with units and ranges, and where these come from."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

from pydiffgeo.model import Model, Parameter
from pydiffgeo.models.ready import READY, Ready
from pydiffgeo.simulation import template

FOLDER = "models_declared"


def pages() -> dict[str, str]:
    """Page -> Markdown of the table of all models, and of each."""
    return {f"{FOLDER}/index.md": index()} | {f"{FOLDER}/{name}.md": page(ready) for name, ready in READY.items()}


def index() -> str:
    rows = [(f"[{name}]({name}.md)", cell(ready.text), cell(ready.model().reference)) for name, ready in READY.items()]
    said = (
        "Made from the declarations of the ready models, each with the arguments of its example. Other arguments have other names:\n"
        "`print(model.describe())` lists those of a model at hand. Choices and guides: [ready models](../models.md).\n"
    )
    return "\n".join(["# Ready models, as declared\n", said, table(("model", "what it is", "equations from"), rows)])


def page(ready: Ready) -> str:
    """What a model is, its names, and a configuration to start from."""
    model = ready.model()
    parts = [
        f"# {ready.name}\n",
        f"{ready.text}\n",
        f"Equations: {model.reference}.\n" if model.reference else "",
        f"`dg.models.{ready.name}`: [reference](../reference/models.md#{where(ready)}). Time in {model.time_unit};\n"
        f"here {model.graph.cells} {'cell' if model.graph.cells == 1 else 'cells'}.\n",
        *names_of(model),
        "## From a file\n",
        f"`pydiffgeo init {ready.name}` writes this configuration, and `pydiffgeo run` solves it as it is:\n",
        f"```toml\n{template(ready.name, code=False, folder=Path.cwd()).rstrip()}\n```\n",
    ]
    return "\n".join(p for p in parts if p)


def where(ready: Ready) -> str:
    """The anchor of what makes it in the reference."""
    made = inspect.unwrap(ready.make)
    return f"{made.__module__}.{made.__qualname__}"


def names_of(model: Model) -> Iterable[str]:
    """Tables of states, parameters, forcings, fluxes and outputs."""
    states = [(f"`{s.name}`", s.unit, cell(s.description), number(s.default)) for s in model.all_states]
    yield "## States\n\n" + table(("name", "unit", "what it is", "at the start"), states)
    if model.initial_names:
        yield f"At the start {', '.join(f'`{n}`' for n in model.initial_names)} may be given instead.\n"
    if model.parameters:
        yield "## Parameters\n\n" + table(
            ("name", "unit", "what it is", "default", "bounds", "usual range", "from"), map(row, model.parameters)
        )
    if model.constraints:
        yield f"Everywhere {'; '.join(f'`{c.text}`' for c in model.constraints)}.\n"
    if model.forcings:
        rows = [(f"`{f.name}`", f.unit, cell(f.description), number(f.default)) for f in model.forcings]
        yield "## Forcings\n\n" + table(("name", "unit", "what it is", "default"), rows)
    if model.fluxes:
        signs = {1: "comes in", -1: "goes out", 0: ""}
        rows = [(f"`{f.name}`", f.unit, cell(f.description), signs[f.balance]) for f in model.fluxes]
        yield "## Integrated fluxes\n\n" + table(("name", "unit", "what it is", "in the balance"), rows)
    if model.outputs:
        rows = [(f"`{o.name}`", o.unit, cell(o.description)) for o in model.outputs]
        yield "## Outputs\n\n" + table(("name", "unit", "what it is"), rows)


def row(p: Parameter) -> tuple[str, ...]:
    usual = "" if p.typical is None else f"{p.typical[0]:g} to {p.typical[1]:g}{', log' if p.log else ''}"
    return f"`{p.name}`", p.unit, cell(p.description), number(p.default), p.interval, usual, cell(p.source)


def number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
