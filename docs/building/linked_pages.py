"""What pages link to outside of docs/ becomes a page too: documents as they are, scripts and configurations as code."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import reference

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs/"
CODE = {".py": "python", ".toml": "toml", ".csv": "text", ".jl": "julia", ".md": "markdown"}
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)
# Pages of the checkout that the site has in any case.
DOCUMENTS = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
# Source of which the site has a page that is made: of a package, and of all models.
MADE = {"pydiffgeo/models/ready.py": "models_declared/index.md"} | {
    reference.source(module): reference.uri(module) for module in (*reference.PACKAGES, *reference.MODULES)
}


def uri(source: str) -> str:
    """Where a file or folder of the checkout is on the site."""
    if known := DOCUMENTS.get(source) or MADE.get(source):
        return known
    if source.startswith(DOCS):
        return source.removeprefix(DOCS)
    path = ROOT / source
    if path.is_dir():
        return f"{source}/index.md"
    if path.suffix == ".py":
        return str(PurePosixPath(source).with_suffix(".md"))
    return source.replace(".", "_") + ".md" if path.suffix in CODE and path.suffix != ".md" else source


def links(text: str, source: str) -> Iterator[str]:
    """Files and folders of the checkout that a document in `source` links to."""
    for k, part in enumerate(FENCE.split(text)):
        if k % 2 == 0:
            for match in LINK.finditer(part):
                yield resolved(match[1], source)


def resolved(link: str, source: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(source), link)).replace(os.sep, "/")


def rewritten(text: str, source: str) -> str:
    """A document of the checkout with its links as they are on the site."""
    own = os.path.dirname(uri(source)) or "."

    def to_page(match: re.Match[str]) -> str:
        target = resolved(match[1], source)
        if not (ROOT / target).exists():
            return match[0]
        return f"]({os.path.relpath(uri(target), own).replace(os.sep, '/')}{match[2] or ''})"

    return "".join(part if k % 2 else LINK.sub(to_page, part) for k, part in enumerate(FENCE.split(text)))


def page(source: str) -> str:
    """The page of a document, script, configuration or folder of the checkout, before its links are rewritten."""
    path = ROOT / source
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in CODE and p.suffix != ".csv")
        shown = [f"## {p.name}\n\n{code(p)}" for p in files]
        return "\n\n".join([f"# {source}", *shown]) + "\n"
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return f"# {path.name}\n\n{summary(path)}\n\n{code(path)}\n"


def code(path: Path) -> str:
    return f"````{CODE[path.suffix]}\n{path.read_text(encoding='utf-8').rstrip()}\n````"


def summary(path: Path) -> str:
    """What a script says first of itself."""
    if path.suffix != ".py":
        return f"`{path.relative_to(ROOT).as_posix()}` of the checkout."
    text = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
    return " ".join(text.split())


def examples() -> list[str]:
    """All examples: scripts, and folders of several."""
    return sorted(
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "examples").iterdir()
        if p.suffix == ".py" or (p.is_dir() and p.name != "__pycache__")
    )


def examples_page() -> str:
    """The list of the examples, with what each says first of itself."""
    rows = ["# Examples\n", "Scripts of the checkout: `python examples/NAME.py`.\n"]
    rows += ["| script | what it shows |", "| --- | --- |"]
    for source in examples():
        path = ROOT / source
        text = summary(path).replace("|", "\\|") if path.is_file() else "a folder of several"
        rows.append(f"| [{path.name}]({os.path.relpath(uri(source), 'examples')}) | {text} |")
    return "\n".join(rows) + "\n"


def all_linked(start: dict[str, str]) -> tuple[dict[str, str], set[str]]:
    """All that documents link to, and what that links to.

    Args:
        start: path in the checkout -> text of the documents to begin with.

    Returns:
        path in the checkout -> text of pages, without those of `start`; and paths of other files, such as pictures.
    """
    pages: dict[str, str] = {}
    files: set[str] = set()
    todo = list(start.items())
    while todo:
        source, text = todo.pop()
        for target in links(text, source):
            known = target in start or target in pages or target in MADE or target.startswith(DOCS)
            if known or not (ROOT / target).exists():
                continue
            if (ROOT / target).is_file() and (ROOT / target).suffix not in CODE:
                files.add(target)
                continue
            pages[target] = page(target)
            if target.endswith(".md"):
                todo.append((target, pages[target]))
    return pages, files
