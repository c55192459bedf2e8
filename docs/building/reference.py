"""Pages of the API reference: one for each package, of the names in its `__all__`, read from the source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "pydiffgeo"
# What people call; the others are how it is done.
PACKAGES = (
    PACKAGE,
    *(
        f"{PACKAGE}.{name}"
        for name in (
            "model",
            "models",
            "groundwater",
            "processes",
            "hydrology",
            "observe",
            "losses",
            "calibration",
            "nn",
            "series",
            "identify",
            "io",
            "simulation",
            "baselines",
            "discover",
            "closures",
            "assimilate",
            "manage",
            "testbeds",
            "check",
            "plots",
            "report",
        )
    ),
)
# Modules without an `__all__`, of which all is public that has no underscore.
MODULES = (f"{PACKAGE}.errors", f"{PACKAGE}.bridge", f"{PACKAGE}.transforms")


@dataclass(frozen=True)
class Public:
    """A public name: where it is defined, and what is said of it there.

    Attributes:
        path: the dotted name where it is defined.
        text: its docstring, or the string below a value; empty where there is none.
        is_module: whether it is a module.
    """

    name: str
    path: str
    text: str
    is_module: bool = False

    @property
    def summary(self) -> str:
        """The first sentence or line."""
        return self.text.strip().partition("\n")[0]


def file_of(module: str) -> Path | None:
    """Where a module or package is; None where there is none of this name."""
    path = ROOT.joinpath(*module.split("."))
    return next((p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()), None)


@cache
def tree(module: str) -> ast.Module:
    file = file_of(module)
    if file is None:
        raise LookupError(f"there is no module {module}")
    return ast.parse(file.read_text(encoding="utf-8"))


def names(module: str) -> list[str]:
    """What `__all__` of a module lists."""
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return []


def public(module: str, name: str) -> Public:
    """A name of a module, followed to where it is defined.

    Raises:
        LookupError: it is not defined.
    """
    body = [*statements(tree(module).body)]
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return Public(name, f"{module}.{name}", ast.get_docstring(node) or "")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            below = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and after.value.value
            return Public(name, f"{module}.{name}", below if isinstance(below, str) else "")
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return imported(package_of(module, node.level), node.module, alias.name)
    raise LookupError(f"{module} has no {name}")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a module, within a `try` as well."""
    for node in body:
        if isinstance(node, ast.Try):
            yield from statements(node.body)
        else:
            yield node


def said(module: str) -> str:
    """The docstring of a module, with lines of code as such."""
    paragraphs = (ast.get_docstring(tree(module)) or "").split("\n\n")
    return "\n\n".join(f"```python\n{p}\n```" if is_code(p) else p for p in paragraphs) + "\n"


def is_code(paragraph: str) -> bool:
    """Whether a paragraph is calls and assignments."""
    try:
        body = ast.parse(paragraph).body
    except SyntaxError:
        return False
    return all(isinstance(n, ast.Assign) or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)) for n in body)


def imported(package: str, module: str | None, name: str) -> Public:
    """What `from package.module import name` brings: a name of a module, or a module."""
    source = f"{package}.{module}" if module else package
    inner = f"{source}.{name}"
    # A package may have a function of the name of the module that it is in: that of the module is meant where it is one.
    if file_of(inner) and (module is None or name not in names(source)):
        return Public(name, inner, ast.get_docstring(tree(inner)) or "", is_module=True)
    return public(source, name)


def package_of(module: str, level: int) -> str:
    file = file_of(module)
    parts = module.split(".")
    up = level - 1 if file is not None and file.name == "__init__.py" else level
    return ".".join(parts[: len(parts) - up])


def everything() -> Iterator[tuple[str, Public]]:
    """Package and name of all public names, of every module with an `__all__`."""
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        path = file.relative_to(ROOT).with_suffix("")
        module = ".".join(path.parent.parts if path.name == "__init__" else path.parts)
        for name in names(module):
            yield module, public(module, name)


def uri(module: str) -> str:
    """The page of a package or module."""
    return f"reference/{'index' if module == PACKAGE else module.removeprefix(f'{PACKAGE}.')}.md"


def source(module: str) -> str:
    """The file of a package or module, as a path in the checkout."""
    file = file_of(module)
    assert file is not None, module
    return file.relative_to(ROOT).as_posix()


def called(module: str) -> str:
    """As people write it."""
    return "dg" + module.removeprefix(PACKAGE)


def pages() -> dict[str, str]:
    """Page -> Markdown of the whole reference."""
    shown: dict[str, str] = {}
    found = {uri(module): page(module, shown) for module in PACKAGES}
    return found | {uri(module): "\n".join(module_blocks(module, 1, shown)) for module in MODULES}


def page(module: str, shown: dict[str, str]) -> str:
    """The page of a package: what it is for, and each of its names.

    Args:
        shown: path -> the page that it is on, of names that earlier pages have; what this page has is added.
    """
    parts = [f"# {called(module)}\n"]
    if module == PACKAGE:
        parts.append("`import pydiffgeo as dg`. Packages and modules:\n")
        others = [m for m in (*PACKAGES, *MODULES) if m != PACKAGE]
        rows = [
            f"| [{called(m)}]({uri(m).removeprefix('reference/')}) | {cell(ast.get_docstring(tree(m)) or '')} |"
            for m in others
        ]
        parts += ["| package | what it is for |\n| --- | --- |\n" + "\n".join(rows) + "\n"]
    else:
        parts.append(said(module))
    for found in (public(module, name) for name in names(module)):
        if not found.is_module:
            parts.append(block(found.path, 2, shown, uri(module)))
    for inner in modules_of(module):
        parts += module_blocks(inner, 2, shown, uri(module))
    return "\n".join(parts)


def modules_of(package: str) -> list[str]:
    """Modules and packages within one whose names are modules, those as well that it does not bring along."""
    if package == PACKAGE or not all(public(package, name).is_module for name in names(package)) or not names(package):
        return []
    file = file_of(package)
    inside = sorted(file.parent.iterdir()) if file is not None else []
    found = [p.stem for p in inside if (p.suffix == ".py" and p.stem[0] != "_") or (p / "__init__.py").is_file()]
    return [f"{package}.{name}" for name in found]


def module_blocks(module: str, level: int, shown: dict[str, str], own: str = "") -> Iterator[str]:
    """A module with all that it has, or a package with its modules, on the page `own`."""
    own = own or uri(module)
    yield f"{'#' * level} {called(module)}\n\n{said(module)}"
    for inner in modules_of(module):
        yield from module_blocks(inner, level + 1, shown, own)
    for node in tree(module).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield block(f"{module}.{node.name}", level + 1, shown, own)


def block(path: str, level: int, shown: dict[str, str], own: str) -> str:
    """A name in full, where it comes first, and a link to there elsewhere."""
    if (there := shown.setdefault(path, own)) != own:
        return f"[`{path.rpartition('.')[2]}`]({Path(there).name}#{path})\n"
    return f"::: {path}\n    options:\n      heading_level: {level}\n"


def cell(text: str) -> str:
    """The first line of a text, for a table."""
    return text.strip().partition("\n")[0].replace("|", "\\|")
