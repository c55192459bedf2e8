"""The site builds without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed: pip install 'pydiffgeo[docs]'")
pytest.importorskip("material", reason="mkdocs-material is not installed: pip install 'pydiffgeo[docs]'")
pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install 'pydiffgeo[docs]'")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_pages_are_there(site: Path) -> None:
    assert "Start here" in (site / "index.html").read_text()
    richards = (site / "models_declared" / "RichardsColumn" / "index.html").read_text()
    assert "saturated hydraulic conductivity" in richards
    assert "Carsel and Parrish 1988" in richards
    assert "pydiffgeo.models.richards.RichardsColumn" in (site / "reference" / "models" / "index.html").read_text()
    assert "Hillslope" in (site / "examples" / "own_model" / "index.html").read_text()
    assert (site / "benchmarks" / "peers" / "RESULTS" / "index.html").is_file()


def test_equations_are_drawn(site: Path) -> None:
    theory = (site / "theory" / "index.html").read_text()
    assert theory.count('display="block"') == (ROOT / "docs" / "theory.md").read_text().count("$$") / 2 > 5
    assert "arithmatex" not in theory


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    for page in site.rglob("*.html"):
        assert loaded.findall(page.read_text(encoding="utf-8")) == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet


def test_links_hold(site: Path) -> None:
    """Those of the pages as they are built, to pages, files and places on pages."""
    texts = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    places = {page: {*re.findall(r"\b(?:id|name)=[\"']?([^\s\"'>]+)", text)} for page, text in texts.items()}
    lost = set()
    for page, text in texts.items():
        if page.name == "404.html":  # its links are from the root of a host
            continue
        for link in re.findall(r"<(?:a|img)\b[^>]*?\b(?:href|src)=[\"']?([^\s\"'>]+)", text):
            address, _, place = unquote(html.unescape(link)).partition("#")
            if re.match(r"[a-z]+:", address):
                continue
            target = (page.parent / address).resolve() if address else page
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (place and target in places and place not in places[target]):
                lost.add(f"{page.relative_to(site)}: {link}")
    assert len(texts) > 100
    assert lost == set()
