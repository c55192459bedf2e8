"""Parts of self-contained HTML pages: everything is inside the file, and nothing in it can run or load."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

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
th { background: var(--head) } th.l, td.l { text-align: left; overflow-wrap: anywhere }
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


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, caption: str = "") -> str:
    """A table; cells are HTML, the first `left` columns are set to the left."""

    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}{kind(i)}>{c}</{tag}>' for i, c in enumerate(cells))}</tr>"

    def kind(column: int) -> str:
        return ' class="l"' if column < left else ""

    top = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{top}<thead>{row(head, 'th')}</thead><tbody>{''.join(row(r, 'td') for r in rows)}</tbody></table>"


def image(content: bytes, kind: str, text: str) -> str:
    """An image of the kind "image/png" or "image/svg+xml", inside the page; `text` says what it shows."""
    data = base64.b64encode(content).decode()
    return f'<p><img alt="{escape(text)}" src="data:{kind};base64,{data}"></p>'
