#!/usr/bin/env python3
"""The documents as a site: `build.py OUT` (`make docs`). Any warning, a broken link among them, fails the build.

Beside the pages of docs/ and of the top level it has the labs, and what is generated from the code: each command's
--help, and the public names of the two packages with their docstrings. Nothing is fetched, and the pages load nothing
from elsewhere.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from sphinx.cmd.build import build_main

import authority.cli
import edge_agent.cli
import edge_agent.emulator.cli

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "labs"))
import lab  # noqa: E402 - beside the labs

PACKAGES = ("edge_agent", "authority")
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "edge-agent": edge_agent.cli.main,
    "meter-emulator": edge_agent.emulator.cli.main,
    "authority": authority.cli.main,
}
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "REPORTING.md",  # docs/SECURITY.md is the one on trust and threats
    "docs/labs/README.md": "labs.md",
    "docs/labs/TEACHERS.md": "labs-teachers.md",
}
CONTENTS = """
```{{toctree}}
:caption: Documents
:hidden:

{documents}
```

```{{toctree}}
:caption: Labs
:hidden:

labs
{labs}
labs-teachers
```

```{{toctree}}
:caption: Reference
:hidden:

commands
{packages}
```

```{{toctree}}
:caption: The project
:hidden:

CONTRIBUTING
REPORTING
CHANGELOG
```
"""
DIAGRAM = re.compile(
    r"^```mermaid\n.*?^```\n", re.M | re.S
)  # drawn by the forges; a page here would have to load a script for it
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def main(argv: list[str]) -> int:
    """Build the site into the directory that is named; 0 where nothing was found wrong."""
    parser = argparse.ArgumentParser(description="Build the documents as a site.")
    parser.add_argument("out", type=Path, help="the directory to write")
    out = parser.parse_args(argv).out.resolve()
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "source"
        lay_out(source)
        options = ["--builder", "html", "--fail-on-warning", "--keep-going", "--quiet"]
        where = ["--conf-dir", str(Path(__file__).parent), "--doctree-dir", str(Path(directory) / "doctrees")]
        return build_main([*options, *where, str(source), str(out)])


def lay_out(source: Path) -> None:
    """Write every page of the site, as Markdown, into the directory `source`."""
    pages = {ROOT / name: page for name, page in PAGES.items()}
    pages |= {path: path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    labs = lab.files()
    pages |= {path: f"{path.stem}.md" for path in labs}
    source.mkdir(parents=True)
    for path, page in pages.items():
        text = path.read_text(encoding="utf-8")
        (source / page).write_text(linked(notebook(text) if path in labs else text, path, pages), encoding="utf-8")
    for picture in (*(ROOT / "docs").glob("*.png"), *(ROOT / "docs" / "pictures").glob("*.webp")):
        shutil.copy(picture, source)
    (source / "commands.md").write_text("".join(command_pages()), encoding="utf-8")
    for package in PACKAGES:
        write_api(package, source)
    documents = "\n".join(page.removesuffix(".md") for path, page in pages.items() if path.parent.name == "docs")
    reference, lessons = "\n".join(PACKAGES), "\n".join(path.stem for path in labs)
    with (source / "index.md").open("a", encoding="utf-8") as index:
        index.write(CONTENTS.format(documents=documents, labs=lessons, packages=reference))


def notebook(text: str) -> str:
    """A lab as a page: its text cells as they are, the others as code."""
    return "\n\n".join(
        cell.text if cell.is_text else f"```python\n{cell.body.strip()}\n```" for cell in lab.cells(text)
    )


def linked(text: str, path: Path, pages: dict[Path, str]) -> str:
    """A page's text, its links those of the site; a file that is not a page of the site is named by its path."""

    def there(found: re.Match[str]) -> str:
        picture, text, target = found.groups()
        name, hash_mark, fragment = target.partition("#")
        if not name or re.match(r"https?:|mailto:", target):
            return found[0]
        file = (path.parent / name).resolve()
        if file in pages:
            return f"[{text}]({pages[file]}{hash_mark}{fragment})"
        return f"![{text}]({file.name})" if picture else f"{text} (`{file.relative_to(ROOT)}`)"

    return LINK.sub(there, DIAGRAM.sub("", text))


def command_pages() -> Iterator[str]:
    """Each command and each of its subcommands, with the help that it prints."""
    yield "# Commands\n\nWhat each command prints with `--help`.\n"
    for name, run in COMMANDS.items():
        yield from _help(name, run, [])


def _help(name: str, run: Callable[[list[str]], int], words: list[str]) -> Iterator[str]:
    shown: list[argparse.ArgumentParser] = []
    text = io.StringIO()

    def print_help(parser: argparse.ArgumentParser, file: object = None) -> None:
        shown.append(parser)
        text.write(parser.format_help())

    with (
        mock.patch.object(argparse.ArgumentParser, "print_help", print_help),
        mock.patch.object(sys, "argv", [name]),
        mock.patch.dict(os.environ, {"COLUMNS": "110"}),
        contextlib.suppress(SystemExit),
    ):
        run([*words, "--help"])
    (parser,) = shown
    yield f"\n{'#' * (2 + len(words))} {' '.join([name, *words])}\n\n```text\n{text.getvalue()}```\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word in action.choices:
                yield from _help(name, run, [*words, word])


def write_api(package: str, source: Path) -> None:
    """A page for each folder of a package: its modules, their public names, signatures and docstrings."""
    folders = sorted({path.parent for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts})
    names = {folder: ".".join(folder.relative_to(ROOT).parts) for folder in folders}
    for folder, name in names.items():
        below = [other for parent, other in names.items() if parent.parent == folder]
        contents = "\n".join(["\n```{toctree}\n:hidden:\n", *below, "```\n"]) if below else ""
        modules = sorted(folder.glob("*.py"), key=lambda path: (path.stem != "__init__", path.stem))
        text = f"# {name}\n{contents}" + "".join(_module(name, path) for path in modules)
        (source / f"{name}.md").write_text(text, encoding="utf-8")


def _module(package: str, path: Path) -> str:
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    tree = ast.parse(source)
    marks = "##" if path.stem == "__init__" else "###"
    parts = [] if path.stem == "__init__" else [f"\n## {package}.{path.stem}\n"]
    parts.append(markdown(ast.get_docstring(tree)))
    constants: list[str] = []
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            constants += _constant(node, after)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            parts.append(
                f"\n{marks} {_heading(node.name)}\n\n{_signature(node, lines)}\n{markdown(ast.get_docstring(node))}"
            )
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            parts.append(f"\n{marks} {_heading(node.name)}\n{_class(node, lines)}")
    if constants:
        parts.insert(2 if path.stem != "__init__" else 1, "\n" + "\n".join(constants) + "\n")
    return "".join(parts)


def _constant(node: ast.Assign | ast.AnnAssign, after: ast.stmt | None) -> list[str]:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    described = (
        isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    )
    if not described or not isinstance(target, ast.Name) or target.id.startswith("_"):
        return []
    return [f"- `{target.id}`: {_escaped(' '.join(str(after.value.value).split()))}"]  # type: ignore[union-attr]


def _class(node: ast.ClassDef, lines: list[str]) -> str:
    bases = f"({', '.join(ast.unparse(base) for base in node.bases)})" if node.bases else ""
    fields = [
        f"    {ast.unparse(item)}"
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and not item.target.id.startswith("_")
    ]
    code = "\n".join([f"class {node.name}{bases}", *fields])
    parts = [f"\n```python\n{code}\n```\n{markdown(ast.get_docstring(node))}"]
    for item in node.body:
        public = isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
            not item.name.startswith("_") or (item.name == "__init__" and ast.get_docstring(item))
        )
        if public:
            parts.append(f"\n{_signature(item, lines)}\n{markdown(ast.get_docstring(item))}")  # type: ignore[arg-type]
    return "".join(parts)


def _heading(name: str) -> str:
    return name.replace("_", "\\_")


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> str:
    """A function's head as it stands in the source, with the decorators that say how it is called."""
    prefix = [f"@{item.id}" for item in node.decorator_list if isinstance(item, ast.Name)]
    head = lines[node.lineno - 1 : max(node.lineno, node.body[0].lineno - 1)]
    code = "\n".join([*prefix, *(line[node.col_offset :] for line in head)])
    return f"```python\n{code}\n```\n"


def markdown(docstring: str | None) -> str:
    """A docstring for people: prose as prose, whatever is laid out in columns as it stands."""
    parts = []
    for block in (docstring or "").split("\n\n"):
        laid_out = any(line.startswith(" ") or re.search(r"\S {2,}\S", line) for line in block.splitlines()[1:])
        parts.append(f"\n```text\n{block}\n```\n" if laid_out else f"\n{_escaped(block)}\n")
    return "".join(parts)


def _escaped(text: str) -> str:
    """Prose in which nothing but `code` is markup."""
    pieces = re.split(r"(`[^`\n]+`)", text)
    return "".join(
        piece if number % 2 else re.sub(r"([\\`*_\[\]<>#|~{}$^-])", r"\\\1", piece)
        for number, piece in enumerate(pieces)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
