"""The Python that pages show."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def blocks(page: str) -> list[str]:
    """Blocks of Python of a page of docs/, in their order."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def run(page: str, **space: object) -> dict:
    """What the names of a page stand for after all its blocks, one after the other; `space` has what it takes for given."""
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"{page}, block {number}", "exec"), space)
    return space
