"""What MkDocs calls: it adds the pages that are made, rewrites links that lead out of docs/, and draws equations."""

from __future__ import annotations

import re

import linked_pages
import models_pages
import reference
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
# Page -> its file in the checkout, of those that are not in docs/.
SOURCES: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages that are made into the navigation, where it names their folder."""
    scripts = [linked_pages.uri(source) for source in linked_pages.examples()]
    folders = {
        models_pages.FOLDER: [f"{models_pages.FOLDER}/index.md", *sorted(models())],
        "examples": ["examples/index.md", *scripts],
        "reference": [reference.uri(m) for m in (*reference.PACKAGES, *reference.MODULES)],
    }
    config.nav = [
        {title: folders.get(target, target) if isinstance(target, str) else target}
        for entry in config.nav or []
        for title, target in entry.items()
    ]
    return config


def models() -> list[str]:
    return [f"{models_pages.FOLDER}/{name}.md" for name in models_pages.READY]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made."""
    made = {**models_pages.pages(), **reference.pages(), "examples/index.md": linked_pages.examples_page()}
    own = {f"docs/{f.src_uri}": f.content_string for f in files if f.is_documentation_page()}
    documents = {source: linked_pages.page(source) for source in linked_pages.DOCUMENTS}
    scripts = {source: linked_pages.page(source) for source in linked_pages.examples()}
    linked, others = linked_pages.all_linked({**own, **documents, **scripts})
    for source, text in {**documents, **scripts, **linked}.items():
        SOURCES[linked_pages.uri(source)] = source
        made[linked_pages.uri(source)] = text
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    for source in others:
        files.append(File.generated(config, source, abs_src_path=str(linked_pages.ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites links that lead to files of the checkout."""
    uri = page.file.src_uri
    if page.file.generated_by and uri not in SOURCES:
        return markdown
    return linked_pages.rewritten(markdown, SOURCES.get(uri, f"docs/{uri}"))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns equations into MathML, which browsers draw without a script."""

    def drawn(match: re.Match[str]) -> str:
        plain = match[3].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        if match[2] == "(":
            return convert(plain)
        return f'<div class="wide">{convert(plain, display="block")}</div>'

    return EQUATION.sub(drawn, html)
