"""The exception classes of both packages: one root each, one class a cause, one code a class, one page of codes."""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scripts import loaded

from authority.errors import AuthorityError
from edge_agent.dlms.errors import DlmsError
from edge_agent.errors import EdgeError
from edge_agent.meters.errors import BadAnswerError, MeterRefusedError, NotDlmsError, WrongPasswordError
from edge_agent.uplinks import AuthorityRefusedError

ROOT = Path(__file__).parents[1]
PEERS_CODE = {
    AuthorityRefusedError: "the authority's answer says the code; edge_agent.wire.problems has those that there are",
    DlmsError: "the DLMS core runs on microcontrollers, where a class for each of its checks would cost the memory; "
    "a class says who has to do something, and the code which check failed",
}
"""Classes whose code is not one that they state, and why; a class stands for those that derive from it."""
PASSING_ON = {BadAnswerError, MeterRefusedError, NotDlmsError, WrongPasswordError}
"""What a protocol error means for a meter: it has a code, and keeps the protocol's where one is given."""


@pytest.fixture(scope="module")
def codes() -> Any:
    return loaded("docs/site/codes.py")


def excepted(cls: type[BaseException]) -> bool:
    return issubclass(cls, tuple(PEERS_CODE))


def test_each_package_has_one_root(codes: Any) -> None:
    strangers = [
        cls
        for cls in codes.classes()
        if not issubclass(cls, EdgeError if cls.__module__.startswith("edge_agent.") else AuthorityError)
    ]
    assert len(codes.classes()) > 150
    assert strangers == []


def test_a_class_is_a_cause_with_a_code_or_a_family_that_is_never_raised(codes: Any) -> None:
    derived_from = {base for cls in codes.classes() for base in cls.__bases__}
    without = [cls for cls in codes.classes() if codes.own_code(cls) is None and not excepted(cls)]
    assert [cls for cls in without if cls not in derived_from] == []
    assert [cls for cls in without if getattr(cls, "code", None) is not None] == [], "these share their base's code"
    families = {cls.__name__ for cls in without}
    causes = {cls.__name__ for cls in codes.classes() if codes.own_code(cls) is not None}
    raised = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for package in ("edge_agent", "authority")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in families - causes
    ]
    assert raised == []


def test_no_two_classes_of_a_package_have_the_same_code(codes: Any) -> None:
    for package in ("edge_agent", "authority"):
        stated = [codes.own_code(cls) for cls in codes.classes() if cls.__module__.startswith(package + ".")]
        assert [code for code, count in Counter(stated).items() if code is not None and count > 1] == []


def test_a_code_is_given_to_an_instance_only_where_that_is_said_here(codes: Any) -> None:
    setting = {
        cls.__name__
        for cls in codes.classes()
        for node in ast.walk(ast.parse(Path(importlib.import_module(cls.__module__).__file__ or "").read_text()))
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
        for line in ast.walk(node)
        if isinstance(line, ast.Attribute) and ast.unparse(line) == "self.code" and isinstance(line.ctx, ast.Store)
    }
    assert setting == {"AuthorityRefusedError", "DlmsError", "_MeterSaysError"}
    assert {cls.__name__ for cls in codes.classes() if any(b.__name__ == "_MeterSaysError" for b in cls.__bases__)} == {
        cls.__name__ for cls in PASSING_ON
    }


def test_the_page_has_every_code(codes: Any) -> None:
    assert codes.page() == codes.PAGE.read_text(encoding="utf-8"), "make docs writes docs/CODES.md again"
    text = codes.page()
    for cls in codes.classes():
        if codes.own_code(cls) is not None:
            assert f"| `{codes.own_code(cls)}` | `{cls.__module__}.{cls.__name__}` |" in text
    for code in codes.checks():
        assert f"| `{code}` |" in text
