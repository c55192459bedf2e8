"""Puts the page together and writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from ..errors import DataError
from ..html import page, prose
from ..io import read_dataset, write_whole
from .content import Content, text_of
from .fitting import balance, losses, parameters
from .instruments import observations
from .maps import maps
from .river_figures import rivers
from .score_tables import score_section, summary
from .series_figures import profiles, series
from .simulated import balance_pictures, profiles_at_times, series_of_all
from .what_data_tell import told

STYLE = """
body { max-width: 1000px } nav { margin: 1em 0 } nav a { margin-right: 1.2em }
pre { background: var(--head); padding: .8em; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12.5px }
.summary { font-size: 1.1em } figure { margin: 1em 0 } figcaption { color: var(--note); font-size: 13.5px }
@media print { nav { display: none } }
"""
# First in the table of provenance, in this order.
_SOLVED = ("engine", "engine_why", "solver", "rtol", "atol")
FIRST = ("history", "date_created", "source", "data_source", *_SOLVED, "loss", "seed")
OWN = ("configuration", "title", "Conventions")


def write_report(result: str | Path, output: str | Path | None = None, *, sites: Sequence[str] = ()) -> Path:
    """Writes a result as one self-contained HTML file: figures, tables, provenance and configuration.

    Every part is left out whose data are not in the file: pairs of `X_observed` and `X_simulated`, scores and baselines
    by period, places, parameters, losses, profiles over depth, maps of a grid, the long profile of a river, balances.

    Args:
        result: NetCDF, as `calibrate` or `io.write_dataset` wrote it.
        output: of the page; beside the result, with the ending .html, where not given.
        sites: whose series are shown besides those of the best, the median and the worst one.

    Returns:
        The path of the page.

    Raises:
        DataError: the result cannot be read or holds nothing that can be shown, a site is not in it, or the page
            cannot be written.
        MissingPackageError: matplotlib or a library for NetCDF is not installed.
    """
    result = Path(result)
    output = result.with_suffix(".html") if output is None else Path(output)
    if not result.exists():
        raise DataError(f"{result}: there is no such file")
    if output.resolve() == result.resolve():
        raise DataError(f"{output}: the report would replace the result")
    try:
        data = read_dataset(result)
    except DataError:
        raise
    # Attributes that cannot be decoded end in errors of many kinds.
    except Exception as error:
        raise DataError(f"{result}: cannot be read as a result ({error})") from error
    text = render(Content(str(result), data), sites)
    return write_whole(output, lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


def render(content: Content, sites: Sequence[str] = ()) -> str:
    """The whole page.

    Raises:
        DataError: there is nothing to show, or a site is not there.
    """
    # What lies along a dimension without entries is as good as absent.
    content = Content(content.file, content.data.drop_dims([d for d, n in content.data.sizes.items() if n == 0]))
    asked = [content.place(str(site)) for site in sites]
    parts: dict[str, Callable[[], str]] = {
        "Scores": lambda: score_section(content),
        "Series": lambda: series(content, asked),
        "Observations": lambda: observations(content),
        "Maps": lambda: maps(content),
        "River": lambda: rivers(content),
        "Profiles": lambda: "\n".join(filter(None, (profiles(content, asked), profiles_at_times(content)))),
        "Simulated": lambda: series_of_all(content),
        "Parameters": lambda: parameters(content),
        "What the data tell": lambda: told(content, asked),
        "Losses": lambda: losses(content),
        "Water balance": lambda: "\n".join(filter(None, (balance_pictures(content), balance(content)))),
    }
    sections = {heading: text for heading, make in parts.items() if (text := make())}
    if not sections:
        raise DataError(
            f"{content.file}: holds nothing to report: no pair X_observed and X_simulated, no scores by period, "
            f"parameters, losses or profiles; it has {sorted(map(str, content.data.data_vars))[:12]}"
        )
    attributes = content.data.attrs
    sections["Provenance"] = _provenance(content)
    if "configuration" in attributes:
        sections["Configuration"] = f"<pre>{escape(text_of(attributes['configuration']))}</pre>"
    title = text_of(attributes.get("title", Path(content.file).stem))
    marks = {heading: heading.lower().replace(" ", "-") for heading in sections}
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="summary">{summary(content)}</p>',
        "<nav>" + "".join(f'<a href="#{mark}">{heading}</a>' for heading, mark in marks.items()) + "</nav>",
        *(f'<section><h2 id="{marks[heading]}">{heading}</h2>\n{text}</section>' for heading, text in sections.items()),
    ]
    return page(title, "\n".join(body), STYLE)


def _provenance(content: Content) -> str:
    attributes = {str(k): text_of(v) for k, v in content.data.attrs.items()}
    names = [*(n for n in FIRST if n in attributes), *(n for n in attributes if n not in (*FIRST, *OWN))]
    rows = [["file", escape(Path(content.file).name)]]
    rows += [[escape(n.replace("_", " ")), escape(attributes[n])] for n in names]
    return prose(("what", "value"), rows)
