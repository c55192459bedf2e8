"""No page of the site without an example that is run, but for those that are records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import DOCS, ROOT, blocks

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

# What is neither told nor explained, but kept: what was done, and what was measured, by the commands that these pages name.
RECORDS = re.compile(r"(changelog|contributing|benchmarks/.*)\.md")
# Pages that are made of what tests run: configurations of ready models, and scripts. The reference is made of declarations.
MADE = {"models_declared": "tests/simulation/test_run.py", "examples": "tests/test_examples.py", "reference": None}


def targets(navigation: object) -> Iterator[str]:
    """Pages and folders that a navigation names."""
    if isinstance(navigation, str):
        yield navigation
    elif isinstance(navigation, list):
        for entry in navigation:
            yield from targets(entry)
    elif isinstance(navigation, dict):
        yield from targets([*navigation.values()])


def said_by_tests() -> str:
    """The text of all tests, but for this one."""
    files = [p for p in (ROOT / "tests").rglob("test_*.py") if p != Path(__file__)]
    return "\n".join(p.read_text(encoding="utf-8") for p in files)


NAVIGATION = [*targets(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])]
PAGES = [t for t in NAVIGATION if (DOCS / t).is_file()]


def test_all_pages_are_known() -> None:
    assert {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")} == {*PAGES}
    others = [t for t in NAVIGATION if t not in PAGES and t not in MADE and not RECORDS.fullmatch(t)]
    assert others == ["readme.md"]  # README.md, whose code tests/test_examples.py runs


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_an_example_that_is_run(page: str) -> None:
    assert blocks(page)
    if page.startswith("tutorials/") and page != "tutorials/index.md":
        return  # docs/gallery.py runs all of these, and a test what it does
    assert re.search(rf'\b(run|blocks)\(\s*"{page}"', said_by_tests())


def test_every_example_is_run() -> None:
    said = said_by_tests()
    shown = [p for p in (ROOT / "examples").iterdir() if p.suffix in {".py", ".toml"} or p.is_dir()]
    assert [p.name for p in shown if p.name != "__pycache__" and f'"{p.name}"' not in said] == []
