"""The documents as a site: built without a warning, whole, and asking nothing of any other host."""

from __future__ import annotations

import ast
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name in ("id", "name"):
                self.anchors.add(value)
            elif name == "src" or (tag == "link" and name == "href"):
                self.loads.append(value)
            elif name == "href":
                self.links.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    out = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, ROOT / "docs/site/build.py", out], capture_output=True, text=True, check=False
    )
    assert build.returncode == 0, build.stdout + build.stderr
    return {path.relative_to(out): Page(path) for path in out.rglob("*.html")}


def test_every_link_of_the_site_leads_somewhere(site: dict[Path, Page]) -> None:
    broken = []
    for path, page in site.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme:
                continue
            target = path if not url.path else Path(path.parent, unquote(url.path))
            if target not in site or (url.fragment and url.fragment not in site[target].anchors):
                broken.append(f"{path}: {link}")
    assert not broken, "\n".join(broken)


def test_a_page_loads_nothing_from_elsewhere(site: dict[Path, Page]) -> None:
    loads = {load for page in site.values() for load in page.loads}
    assert loads
    assert not [load for load in loads if urlsplit(load).netloc]


def test_every_document_is_a_page(site: dict[Path, Page]) -> None:
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")} | {
        "index",
        "CHANGELOG",
        "CONTRIBUTING",
        "REPORTING",
    }
    assert documents <= {str(path.with_suffix("")) for path in site}


def test_every_command_is_described(site: dict[Path, Page]) -> None:
    shown = site[Path("commands.html")].text
    for usage in (
        "usage: edge-agent [-h]",
        "usage: edge-agent enrol [-h]",
        "usage: edge-agent decode [-h]",
        "usage: meter-emulator [-h]",
        "usage: authority [-h]",
        "usage: authority audit verify [-h]",
        "usage: authority market standing-order set [-h]",
    ):
        assert usage in shown


def test_every_public_name_is_described(site: dict[Path, Page]) -> None:
    missing = []
    for package in ("edge_agent", "authority"):
        for path in (ROOT / package).rglob("*.py"):
            if "migrations" in path.parts:
                continue
            shown = site[Path(".".join(path.parent.relative_to(ROOT).parts) + ".html")].text
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                    word = "class" if isinstance(node, ast.ClassDef) else "def"
                    if f"{word} {node.name}" not in shown:
                        missing.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not missing
