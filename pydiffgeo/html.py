"""Parts of self-contained HTML pages: everything is inside the file, and nothing in it can run or load."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape, unescape

import numpy as np

# Scripts and addresses are refused by the browser too, should any text slip through as markup.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --text: #222; --back: #fff; --line: #ddd; --head: #f3f5f7; --note: #555; --link: #1f6f8b }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --back: #16191c; --line: #3a4046; --head: #23282d; --note: #a5adb5; --link: #6fb7d1 }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2em auto; padding: 0 1.2em }
table { border-collapse: collapse; font-size: 13px; margin: .6em 0 1.2em } caption { text-align: left; padding: .3em 0 }
th, td { padding: .22em .7em; border-bottom: 1px solid var(--line); text-align: right; font-variant-numeric: tabular-nums }
th { background: var(--head); vertical-align: bottom } th.l, td.l { text-align: left; overflow-wrap: break-word }
table.prose td { overflow-wrap: anywhere } table.prose td:first-child { overflow-wrap: normal }
@media (max-width: 640px) {
  table.data, .data tbody, .data tr, .data td, .data caption { display: block } .data thead { display: none }
  .data tr { border-bottom: 2px solid var(--line); padding: .3em 0 } .data td { border: 0; padding: .1em 0 }
  .data td.l { overflow-wrap: anywhere } .data td:first-child { font-weight: 600; text-align: left }
  .data td::before { content: attr(data-of); float: left; color: var(--note); font-weight: 400; margin-right: 1em }
  .data td::after { content: ""; display: block; clear: both }
}
h2 { margin-top: 2.2em; border-top: 2px solid var(--link); padding-top: .5em } a { color: var(--link) }
img { max-width: 100%; background: #fff } .note { color: var(--note) }
@media print {
  :root { --text: #000; --back: #fff; --line: #ccc; --head: #f3f5f7; --note: #444; --link: #1f6f8b }
  body { max-width: none; margin: 0; font-size: 11px } table { font-size: 9.5px } thead { display: table-header-group }
  img, tr, figure { break-inside: avoid } h2, h3, caption { break-after: avoid }
}
"""


def page(title: str, body: str, style: str = "") -> str:
    """A whole page; `title` is text, `body` HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body>\n{body}\n</body></html>\n"
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, caption: str = "", most: int | None = None
) -> str:
    """A table; cells are HTML, the first `left` columns are set to the left.

    On a narrow screen each row becomes a list of what is in it, so that nothing is as wide as many columns.

    Args:
        most: columns of a table; with more of them there are several, which all begin with the first.
    """
    if most is not None and len(head) > most:
        parts, count = [], -(-(len(head) - 1) // (most - 1))
        # As many columns in each as can be.
        for part in np.array_split(np.arange(1, len(head)), count):
            chosen = [0, *part.tolist()]
            parts.append(table([head[i] for i in chosen], [[r[i] for i in chosen] for r in rows], left, caption))
            caption = ""
        return "".join(parts)

    def row(cells: Sequence[str]) -> str:
        names = (f' data-of="{escape(_plain(name))}"' if i else "" for i, name in enumerate(head))
        return f"<tr>{''.join(f'<td{kind(i)}{of}>{c}</td>' for i, (c, of) in enumerate(zip(cells, names, strict=True)))}</tr>"

    def kind(column: int) -> str:
        return ' class="l"' if column < left else ""

    top = f"<caption>{caption}</caption>" if caption else ""
    heads = "".join(f"<th{kind(i)}>{cell}</th>" for i, cell in enumerate(head))
    return f'<table class="data">{top}<thead><tr>{heads}</tr></thead><tbody>{"".join(row(r) for r in rows)}</tbody></table>'


def prose(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, which break where they must; cells are HTML."""
    lines = ("".join(f'<td class="l">{cell}</td>' for cell in row) for row in rows)
    heads = "".join(f'<th class="l">{cell}</th>' for cell in head)
    return f'<table class="prose"><thead><tr>{heads}</tr></thead><tbody>{"".join(f"<tr>{r}</tr>" for r in lines)}</tbody></table>'


def _plain(cell: str) -> str:
    """The text of a cell, which is HTML."""
    return unescape(re.sub(r"<[^>]*>", "", cell))


def image(content: bytes, kind: str, text: str) -> str:
    """An image of the kind "image/png" or "image/svg+xml", inside the page; `text` says what it shows."""
    data = base64.b64encode(content).decode()
    return f'<p><img alt="{escape(text)}" src="data:{kind};base64,{data}"></p>'
