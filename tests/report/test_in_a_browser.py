"""Reports as a browser shows them: nothing is asked of the network, nothing is complained of, nothing is wider than the page."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from places import KINDS
from reports import made_up

import pydiffgeo as dg

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
QUIET = "--disable-background-networking --disable-component-update --no-first-run --disable-sync --disable-extensions"
# Hosts that the browser itself asks for updates, the time and dictionaries.
OWN = (".google.com", ".googleapis.com", ".gvt1.com")

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser on the PATH: {', '.join(BROWSERS)}")


def browse(page: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *QUIET.split(), f"--user-data-dir={folder}"]
    return subprocess.run(
        [*command, "--enable-logging=stderr", *arguments, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, data = tmp_path_factory.mktemp("page"), made_up(seeds=2)
    data = data.assign_coords(basin=["a river of a very long name at its gauge", *data["basin"].values[1:]])
    for baseline in ("one", "another", "a third one"):
        data[f"score_of_{baseline.replace(' ', '_')}"] = data["nse"]
    path = dg.io.write_dataset(folder / "result.nc", data)
    return dg.report.write_report(path)


@pytest.fixture(scope="module")
def of_all_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of a column, an aquifer and a river, one below the other on one page."""
    folder, bodies = tmp_path_factory.mktemp("kinds"), []
    for name, make in KINDS.items():
        text = dg.report.write_report(dg.io.write_dataset(folder / f"{name}.nc", make())).read_text(encoding="utf-8")
        head, body = text.split("<body>")
        bodies.append(body.split("</body>")[0])
    page = folder / "all.html"
    page.write_text(f"{head}<body>{''.join(bodies)}</body></html>", encoding="utf-8")
    return page


def asked_for(page: Path, folder: Path) -> tuple[set[str], str]:
    """Hosts that were asked for something, but for what the browser wants for itself, and what it said."""
    log = folder / "net.json"
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND"
    done = browse(page, folder / "profile", nowhere, f"--log-net-log={log}", f"--screenshot={folder / 'page.png'}")
    hosts = {*re.findall(r'"url":\s*"(?:http|ws)s?://([^/"]*)', log.read_text(encoding="utf-8", errors="replace"))}
    return {host for host in hosts if not host.endswith(OWN)}, done.stderr


@pytest.mark.parametrize("kind", ["page", "of_all_kinds"])
def test_no_request_leaves_and_the_console_stays_empty(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    asked, said = asked_for(request.getfixturevalue(kind), tmp_path)
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert "CONSOLE" not in said
    assert asked == set()


def test_a_request_and_an_error_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<img src="http://pictures.invalid/1.png"><script>nothing.there()</script>', encoding="utf-8")
    asked, said = asked_for(page, tmp_path)
    assert asked == {"pictures.invalid"}
    assert "CONSOLE" in said


@pytest.mark.parametrize("width", [1200, 500])
@pytest.mark.parametrize("kind", ["page", "of_all_kinds"])
def test_nothing_is_wider_than_the_page(kind: str, width: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    page: Path = request.getfixturevalue(kind)
    # The page itself lets no script run: a copy without its policy says how wide it is.
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    ask = "const d = document.documentElement; d.dataset.width = d.scrollWidth + ' of ' + d.clientWidth"
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", f"<script>{ask}</script></body>"), encoding="utf-8")
    shown = browse(copy, tmp_path / "profile", f"--window-size={width},2000", "--dump-dom").stdout
    wide, there = map(int, re.search(r'data-width="(\d+) of (\d+)"', shown).groups())
    assert there > 400
    assert wide <= there


def test_names_of_sites_break_at_words_only(page: Path, tmp_path: Path) -> None:
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    ask = """
    const cells = [...document.querySelectorAll("table.data td:first-child")].filter(c => c.textContent.startsWith("a river"));
    const word = c => { const r = document.createRange(); r.setStart(c.firstChild, 2); r.setEnd(c.firstChild, 7); return r };
    document.documentElement.dataset.lines = Math.max(...cells.map(c => word(c).getClientRects().length)) + " in " + cells.length
    """
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", f"<script>{ask}</script></body>"), encoding="utf-8")
    shown = browse(copy, tmp_path / "profile", "--window-size=1000,2000", "--dump-dom").stdout
    lines, cells = map(int, re.search(r'data-lines="(\d+) in (\d+)"', shown).groups())
    assert (lines, cells > 3) == (1, True)
