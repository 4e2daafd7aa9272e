"""Every link in the documents, and every pointer from the code to a document, leads somewhere.

Two ways to point at a heading: `docs/NAME.md, "Heading"`, whose quotation is the heading or its words before a colon or
a bracket, and `docs/NAME.md#anchor`. A path in a document's text (`authority/demo/campus.toml`) has to exist too.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("edge_agent", "authority", "programs", "deploy", "tests", "firmware_tests", "docs", "requirements")

HEADING = re.compile(r"^ {0,3}#{1,6} +(.+?)(?: +#+)?$", re.M)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.M)
CODE = re.compile(r"`([^`\n]+)`")
POINTER = re.compile(r"\b(docs/[A-Z][\w-]*\.md)(?:#([\w-]+)|,\s*(?:#|//[/!]?|\*)?\s*(\"[^\"\n]+\"|\S+))?")
PATH = re.compile(rf"(?:{'|'.join(OURS)})/[\w./-]*")


@dataclass(frozen=True)
class Document:
    """The headings of a Markdown file, as a reader and as a link names them."""

    headings: tuple[str, ...]
    anchors: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Document:
        headings = tuple(plain(found) for found in HEADING.findall(FENCE.sub("", text)))
        anchors: dict[str, None] = {}
        for heading in headings:
            base = anchor(heading)
            number = 0
            while (name := f"{base}-{number}" if number else base) in anchors:
                number += 1
            anchors[name] = None
        return cls(headings, frozenset(anchors))

    def has(self, quoted: str) -> bool:
        return any(heading == quoted or re.match(rf"{re.escape(quoted)}(:| \()", heading) for heading in self.headings)


def plain(heading: str) -> str:
    """A heading as it is read: without backticks, stars and links."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "").strip()


def anchor(heading: str) -> str:
    """The name that a link gives a heading, by the rule of the usual forges."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def document(path: Path) -> Document:
    return Document.parse(path.read_text(encoding="utf-8"))


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def broken_links(page: Path, root: Path = ROOT) -> Iterator[str]:
    """Links of a Markdown file that lead nowhere, paths in its text that are not there."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for first, second in LINK.findall(text):
        target = first or second
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, fragment = target.partition("#")
        there = page if not name else root / name[1:] if name.startswith("/") else page.parent / name
        if not there.exists():
            yield f"link to {target}: no such file"
        elif fragment and fragment not in document(there).anchors:
            yield f"link to {target}: no such heading"
    for code in CODE.findall(text):
        if PATH.fullmatch(code) and "NAME" not in code and not (root / code).exists():
            yield f"`{code}`: no such path"


def broken_pointers(path: Path, root: Path = ROOT) -> Iterator[str]:
    """References in any file to documents or headings that are not there."""
    text = path.read_text(encoding="utf-8")
    for found in POINTER.finditer(text):
        name, fragment, after = found.groups()
        line = text.count("\n", 0, found.start()) + 1
        if not (root / name).is_file():
            yield f"line {line}: {name}: no such document"
            continue
        if fragment and fragment not in document(root / name).anchors:
            yield f"line {line}: {name}#{fragment}: no such heading"
        if after and not after.startswith('"'):
            yield f'line {line}: {name}, {after} ...: quote the heading, {name}, "Heading"'
        elif after and not document(root / name).has(after.strip('"')):
            yield f"line {line}: {name}, {after}: no such heading"


def test_every_link_and_path_in_the_documents_leads_somewhere() -> None:
    pages = [path for path in tracked() if path.suffix == ".md"]
    assert len(pages) > 8
    broken = [f"{page.relative_to(ROOT)}: {what}" for page in pages for what in broken_links(page)]
    assert not broken, "\n".join(broken)


def test_every_pointer_from_the_code_leads_to_a_heading() -> None:
    written = {
        ".py",
        ".rs",
        ".sh",
        ".toml",
        ".service",
        ".html",
        ".js",
        ".css",
        ".md",
        ".yml",
        ".yaml",
        ".cff",
        ".c",
        "",
    }
    files = [path for path in tracked() if path.suffix in written and path != Path(__file__)]
    pointers = 0
    broken = []
    for path in files:
        pointers += path.read_text(encoding="utf-8").count("docs/")
        broken += [f"{path.relative_to(ROOT)}: {what}" for what in broken_pointers(path)]
    assert pointers > 30
    assert not broken, "\n".join(broken)


PAGE = """# The `AMR1` record: 96 bytes
## Again
## Again
```
# not a heading
```
See [the first](#the-amr1-record-96-bytes), [the second](#again-1), [another](OTHER.md) and `docs/PAGE.md`.
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/PAGE.md").write_text(PAGE)
    (tmp_path / "docs/OTHER.md").write_text("# Other\n")
    return tmp_path


def test_what_leads_somewhere_is_taken(tree: Path) -> None:
    assert list(broken_links(tree / "docs/PAGE.md", tree)) == []
    code = tree / "code.py"
    code.write_text(
        '# (docs/PAGE.md, "The AMR1 record"): docs/PAGE.md#again-1, "quoted"; docs/OTHER.md, "Other". docs/PAGE.md.\n'
    )
    assert list(broken_pointers(code, tree)) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[gone](GONE.md)", "link to GONE.md: no such file"),
        ("[gone](OTHER.md#gone)", "link to OTHER.md#gone: no such heading"),
        ("[code](#not-a-heading)", "link to #not-a-heading: no such heading"),
        ("![gone](gone.png)", "link to gone.png: no such file"),
        ("[gone]: gone.png", "link to gone.png: no such file"),
        ("`docs/GONE.md`", "`docs/GONE.md`: no such path"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(more: str, said: str, tree: Path) -> None:
    page = tree / "docs/PAGE.md"
    page.write_text(PAGE + more + "\n")
    assert list(broken_links(page, tree)) == [said]


@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        ("docs/GONE.md", "docs/GONE.md: no such document"),
        ("docs/PAGE.md#gone", "docs/PAGE.md#gone: no such heading"),
        ('docs/PAGE.md, "Gone"', 'docs/PAGE.md, "Gone": no such heading'),
        ('docs/PAGE.md, "not a heading"', 'docs/PAGE.md, "not a heading": no such heading'),
        ('docs/PAGE.md, "The AMR1"', 'docs/PAGE.md, "The AMR1": no such heading'),
        ("docs/PAGE.md, again)", 'docs/PAGE.md, again) ...: quote the heading, docs/PAGE.md, "Heading"'),
        ('docs/PAGE.md,\n# "Gone"', 'docs/PAGE.md, "Gone": no such heading'),
    ],
)
def test_a_pointer_that_leads_nowhere_is_named(pointer: str, said: str, tree: Path) -> None:
    code = tree / "code.py"
    code.write_text(f"# one\n# ({pointer}\n")
    assert list(broken_pointers(code, tree)) == [f"line 2: {said}"]
