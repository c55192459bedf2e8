"""`pydiffgeo models` and `pydiffgeo init`: what there is, and a file to start from."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from ..hydrology.learn.training_template import training_template
from ..io import write_whole
from ..models.ready import READY
from ..simulation import template

# Names in a cell of the table.
SHOWN = 3
# What a configuration names and does not bring.
NEEDED = {
    "run": "",
    "calibrate": "observations in observed.csv, or another file, and ",
    "train": "basins in basins.csv, or from elsewhere, and ",
}


def list_models() -> str:
    """The ready models in a table: name, what it is, states and forcings."""
    rows = [("model", "what it is", "states", "forcings")]
    for name, ready in READY.items():
        model = ready.model()
        states = [f"{s.name} ({s.unit})" for s in model.all_states]
        rows.append((name, ready.text, _listed(states), _listed([f.name for f in model.forcings])))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _listed(names: list[str]) -> str:
    """Names one after the other; of more than `SHOWN` the first ones, and how many there are."""
    more = f", ... ({len(names)})" if len(names) > SHOWN else ""
    return ", ".join(names[: SHOWN - 1] if more else names) + more


def write_template(model: str, file: str | None, *, code: bool, action: str = "run") -> None:
    """Writes a configuration of a model to a file, or to the console; `action`: "run", "calibrate" or "train", what it is for.

    Raises:
        DataError: there is no such model, or the file is there already.
    """
    if action == "train":
        text = training_template(model, code=code, folder=Path.cwd())
    else:
        text = template(model, code=code, folder=Path.cwd(), calibrate=action == "calibrate")
    if file is None:
        print(text, end="")
        return
    target = Path(file)
    if target.exists():
        raise DataError(f"{target}: is there already; it is not written over")
    if not target.parent.is_dir():
        raise DataError(f"{target}: there is no folder {target.parent}")
    write_whole(target, lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))
    leave = " --run-code" if ":" in model else ""
    data = NEEDED[action]
    print(f"wrote {target}; next: {data}pydiffgeo {action} {target}{leave}")
