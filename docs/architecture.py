"""Draws `architecture.svg` from the code: packages in layers, and which imports which. `python docs/architecture.py`

An arrow is an import. Those that follow from others are left out (the transitive reduction), or nothing could be seen.
"""

from __future__ import annotations

import ast
import html
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1] / "pydiffgeo"
# A module may import from its own layer and those before it. What is read first lies at the bottom of the picture.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "arrays", "checks", "copies", "days", "fingerprint", "html", "looking", "scheduling", "toml_table"),
    ("model",),
    ("engines",),
    ("processes",),
    ("models",),
    ("hessian", "inputs", "jacobian", "solution", "solve", "stability", "steady", "tensors", "tolerances", "check"),
    ("losses", "observe", "transforms", "groundwater", "bridge", "__init__"),
    ("io", "plots", "baselines", "testbeds"),
    ("calibration", "nn", "series", "simulation", "manage", "discover", "closures", "assimilate"),
    ("identify",),
    ("hydrology",),
    ("report", "verification"),
    ("commands", "__main__"),
)
# The four parts of the package, by its layers.
PARTS = (
    ("core", "what a model is, and its solution", {"model", "engines", "solve", "check", "bridge"}),
    ("library", "processes and ready models", {"processes", "models", "groundwater"}),
    (
        "tools",
        "for any model",
        {
            "losses",
            "observe",
            "transforms",
            "io",
            "plots",
            "baselines",
            "calibration",
            "nn",
            "series",
            "simulation",
            "manage",
            "discover",
            "closures",
            "assimilate",
            "testbeds",
            "identify",
        },
    ),
    ("hydrology", "basins and their daily runoff", {"hydrology"}),
    ("front", "what people read and type", {"report", "verification", "commands"}),
)
COLOURS = {"core": "#dbe7f3", "library": "#e2efda", "tools": "#fdf1d6", "hydrology": "#f6dcd6", "front": "#e9e3f1"}
# The verbs on a model are one box; what all modules use, errors and types, is none.
TOGETHER = dict.fromkeys(
    ("inputs", "jacobian", "solution", "stability", "steady", "tensors", "tolerances"), "solve"
) | {"hessian": "check"}
NOT_DRAWN = {*LAYERS[0], "__init__", "__main__"}
# Where boxes stand: rows from the ground up, and places from left to right.
ROWS: tuple[dict[str, float], ...] = (
    {"model": 0.5},
    {"engines": 0.6},
    {"processes": 0.2, "losses": 0.4, "solve": 0.6, "transforms": 0.8},
    {"models": 0.2, "testbeds": 0.9},
    {"plots": 0.1, "groundwater": 0.25, "observe": 0.4, "check": 0.56, "bridge": 0.72, "io": 0.88},
    {
        "manage": 0.07,
        "simulation": 0.21,
        "discover": 0.35,
        "assimilate": 0.49,
        "baselines": 0.63,
        "calibration": 0.77,
        "nn": 0.92,
    },
    {"closures": 0.15, "identify": 0.5, "series": 0.85},
    {"hydrology": 0.5},
    {"verification": 0.2, "report": 0.5},
    {"commands": 0.35},
)
WIDTH, HEIGHT, BOX, TALL, MARGIN = 1000, 96, 130, 46, 20


def module_name(path: Path) -> str:
    """Dotted name below the package: `engines.ir.tracing`, `models`, `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(name: str) -> set[str]:
    """What a module imports anywhere in its text: dotted names, those of pydiffgeo relative to it with a dot ahead."""
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    package = [] if name == "__init__" else package
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *((node.module or "").split(".") if node.module else [])]
            # `from . import x` imports the module x where there is one, else a name of the package.
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                names.add("." + (whole if whole in MODULES else ".".join(base) or "__init__"))
    own = {n for n in names if n.split(".")[0] == "pydiffgeo"}
    return names - own | {"." + (n.removeprefix("pydiffgeo").lstrip(".") or "__init__") for n in own}


def inside(name: str) -> set[str]:
    """The modules of pydiffgeo that a module imports."""
    return {i[1:] for i in imports(name) if i.startswith(".")}


def layer(name: str) -> int:
    """The number of the layer of a module; raises `StopIteration` where it has none."""
    return next(i for i, names in enumerate(LAYERS) if name.split(".")[0] in names)


def box(name: str) -> str:
    """The box that a module is drawn in."""
    top = name.split(".")[0]
    return TOGETHER.get(top, top)


def arrows() -> set[tuple[str, str]]:
    """Imports between boxes, without those that follow from others."""
    below: dict[str, set[str]] = {}
    for name in MODULES:
        if box(name) not in NOT_DRAWN:
            below.setdefault(box(name), set()).update(map(box, inside(name)))
    below = {name: others - NOT_DRAWN - {name} for name, others in below.items()}
    reached: dict[str, set[str]] = {}
    for name in TopologicalSorter(below).static_order():
        reached[name] = set().union(*({other} | reached[other] for other in below[name]))
    return {
        (name, other)
        for name, others in below.items()
        for other in others
        if not any(other in reached[between] for between in others)
    }


def drawing() -> str:
    """The picture as SVG."""
    places = {
        name: (WIDTH * place - BOX / 2, MARGIN + HEIGHT * (len(ROWS) - 1 - number))
        for number, row in enumerate(ROWS)
        for name, place in row.items()
    }
    part = {name: key for key, _, names in PARTS for name in names}
    bottom = MARGIN + HEIGHT * len(ROWS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 60}" font-family="sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{bottom + 60}" fill="white"/>',
    ]
    for name, other in sorted(arrows()):
        (x, y), (left, top) = places[name], places[other]
        start, end = (x + BOX / 2, y + TALL), (left + BOX / 2, top)
        lines.append(
            f'<path d="M{start[0]:.0f} {start[1]:.0f}C{start[0]:.0f} {start[1] + 40:.0f} {end[0]:.0f} {end[1] - 40:.0f} '
            f'{end[0]:.0f} {end[1]:.0f}" fill="none" stroke="#999" marker-end="url(#tip)"/>'
        )
    for name, (x, y) in places.items():
        inner = [m.split(".")[1] for m in MODULES if m.startswith(f"{name}.") and m.count(".") == 1]
        count = sum(m == name or m.startswith(f"{name}.") for m in MODULES)
        tip = html.escape(", ".join(inner) or name)
        label = f"{name}/" if inner else name
        lines.append(
            f'<g><title>{tip}</title><rect x="{x:.0f}" y="{y:.0f}" width="{BOX}" height="{TALL}" rx="6" '
            f'fill="{COLOURS[part[name]]}" stroke="#888"/><text x="{x + BOX / 2:.0f}" y="{y + 20:.0f}" font-size="15" '
            f'text-anchor="middle">{label}</text><text x="{x + BOX / 2:.0f}" y="{y + 37:.0f}" font-size="11" fill="#555" '
            f'text-anchor="middle">{count} module{"s" * (count > 1)}</text></g>'
        )
    for number, (key, text, _) in enumerate(PARTS):
        x = MARGIN + number * (WIDTH - 2 * MARGIN) / len(PARTS)
        lines.append(
            f'<rect x="{x:.0f}" y="{bottom + 8}" width="14" height="14" fill="{COLOURS[key]}" stroke="#888"/>'
            f'<text x="{x + 20:.0f}" y="{bottom + 20}" font-size="13">{key}</text>'
            f'<text x="{x:.0f}" y="{bottom + 40}" font-size="11" fill="#555">{text}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    target = Path(__file__).with_suffix(".svg")
    target.write_text(drawing(), encoding="utf-8")
    print(f"wrote {target}")
