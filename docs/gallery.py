"""Runs the tutorials, and keeps the pictures that they draw: `python docs/gallery.py [NAME ...]`, some seconds each.

The pictures are those of `docs/gallery`, a few ten kilobytes each, which the site shows. Without Julia, so that they are the same
for everyone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).parent
TUTORIALS = tuple(sorted(page.stem for page in (DOCS / "tutorials").glob("*.md") if page.stem != "index"))


def blocks(page: Path) -> list[str]:
    """The Python of a page."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def run(name: str, folder: Path) -> dict[str, object]:
    """Runs a tutorial in a folder, where it may write files; returns what its names stand for in the end."""
    space: dict[str, object] = {"__name__": f"tutorial_{name}"}
    before = Path.cwd()
    os.chdir(folder)
    try:
        for block in blocks(DOCS / "tutorials" / f"{name}.md"):
            exec(compile(block, f"{name}.md", "exec"), space)
    finally:
        os.chdir(before)
    return space


def main(names: list[str]) -> None:
    from pydiffgeo.engines import registry

    registry.julia_missing = lambda: "the pictures are made without it"
    (DOCS / "gallery").mkdir(exist_ok=True)
    for name in names or TUTORIALS:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            run(name, Path(folder))
            picture = Path(folder) / f"{name}.png"
            shutil.copy(picture, DOCS / "gallery" / picture.name)
            print(f"{name}: {time.perf_counter() - began:.0f} s, {picture.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
