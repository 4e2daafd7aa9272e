#!/usr/bin/env python3
"""authority/client/schemas.py and calls.py: the Python client of the API, made from its OpenAPI document.

`client.py` writes the two files (`make docs` does so); `client.py --check` says whether they are as they should be.
Calls that no token may make, the endless stream, and those of other standards (OpenADR, ESPI) are left out;
so is every schema that no other call needs.
"""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from authority.api.campus_source import StoreCampusSource
from authority.api.chain_figures import reader_of
from authority.api.description import SCHEMAS, TOKEN
from authority.app import App
from authority.chain.client import ChainClient
from authority.home.home import Home
from authority.web.application import People, create_app

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "authority" / "client"
PREFIX = "/api/v1"
METHODS = ("get", "post", "put", "patch", "delete")
ENDLESS, JSON = "text/event-stream", "application/json"
KEY = "Idempotency-Key"
PLAIN = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "object": "dict[str, Any]"}
MADE = "Made by docs/site/client.py from the API's description: do not edit."

SCHEMAS_HEAD = f'''"""The schemas of the API as dataclasses. {MADE}

Times are Unix seconds, energies Wh, prices micro-credits per kWh, amounts micro-credits, where nothing else is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
'''
CALLS_HEAD = f'''"""The calls of the API as methods. {MADE}

Each raises ProblemError where the service refuses, AuthorityAwayError where no answer comes, and AnswerMalformedError.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

from authority.client import schemas
from authority.client.transport import Service, fresh_key, pages, path


class CampusClient(Service):
    """A campus as its API has it, with a token that a person made under Account; without one, what is public."""
'''


def description() -> dict[str, Any]:
    """The OpenAPI document of the whole API, of an authority that is made for it and thrown away."""
    with tempfile.TemporaryDirectory() as directory:
        home = Home.create(Path(directory) / "home", now=0)
        app = App.open(home.path, lambda: 0)
        try:
            made = create_app(StoreCampusSource(app, reader_of(home)), people=People(app, lambda: ChainClient("")))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of names that are one again in the end
                found: dict[str, Any] = json.loads(json.dumps(made.spec))
        finally:
            app.store.close()
    return found


def files(spec: Mapping[str, Any]) -> dict[Path, str]:
    """What stands in the client's files."""
    calls = [
        Call(method, path, operation)
        for path, methods in spec["paths"].items()
        if path.startswith(PREFIX)
        for method, operation in methods.items()
        if method in METHODS
    ]
    calls = sorted((call for call in calls if call.is_for_programs), key=lambda call: call.name)
    schemas = spec["components"]["schemas"]
    needed = sorted(_needed(schemas, [call.operation for call in calls]))
    texts = {
        FOLDER / "schemas.py": SCHEMAS_HEAD + "".join(_dataclass(name, schemas[name]) for name in needed),
        FOLDER / "calls.py": CALLS_HEAD + "".join(text for call in calls for text in call.methods(schemas)),
    }
    return {path: _formatted(text, path) for path, text in texts.items()}


class Call:
    """A call of the API."""

    def __init__(self, method: str, path: str, operation: Mapping[str, Any]) -> None:
        self.method, self.path, self.operation = method.upper(), path, operation
        self.name: str = operation["operationId"]
        self._parameters = operation.get("parameters", [])
        ((self._status, self._answer),) = (
            (status, answer) for status, answer in operation["responses"].items() if status.startswith("2")
        )

    @property
    def is_for_programs(self) -> bool:
        """Whether a program can make it: with a token, or without any, and not for ever."""
        security = self.operation.get("security")
        return (not security or any(TOKEN in each for each in security)) and ENDLESS not in self._content

    @property
    def _content(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._answer.get("content", {})
        return found

    def methods(self, schemas: Mapping[str, Any]) -> Iterator[str]:
        """The method, and one more that goes through all pages where it is a list of pages."""
        yield self._method()
        answer = schemas.get(_name(self._content.get(JSON, {}).get("schema", {})), {}).get("properties", {})
        lists = [name for name, schema in answer.items() if schema.get("type") == "array"]
        if "next" in answer and len(lists) == 1 and any(each["name"] == "cursor" for each in self._parameters):
            yield self._iterator(lists[0], _type(answer[lists[0]]["items"], "schemas."))

    def _method(self) -> str:
        kind = self._kind
        if kind == "None":
            return f"{self._head(self.name, 'None')}{self._asked('None')}\n"
        told = f"answer: {kind} = {self._asked(kind)}\n        return answer\n"
        return f"{self._head(self.name, kind)}{told}"

    @property
    def _kind(self) -> str:
        if self._status == "204":
            return "None"
        if JSON not in self._content:
            return "bytes"
        return _type(self._content[JSON]["schema"], "schemas.")

    def _asked(self, kind: str) -> str:
        asked = "dict" if kind.startswith("dict[") else kind
        words = [f'"{self.method}"', self._place, "Any" if asked == "dict" else asked]
        query = [f'"{each["name"]}": {_word(each["name"])}' for each in self._in("query")]
        words += [f"query={{{', '.join(query)}}}"] if query else []
        words += ["body=given"] if "requestBody" in self.operation else []
        words += ["key=key or fresh_key()"] if self._has_key else []
        return f"self._transport.ask({', '.join(words)})"

    @property
    def _place(self) -> str:
        parts = [_word(each["name"]) for each in self._in("path")]
        return f'path("{self.path}", {", ".join(f"{p}={p}" for p in parts)})' if parts else f'"{self.path}"'

    @property
    def _has_key(self) -> bool:
        return any(each["name"] == KEY for each in self._in("header"))

    def _in(self, where: str) -> list[Mapping[str, Any]]:
        return [each for each in self._parameters if each["in"] == where]

    def _head(self, name: str, kind: str, without: str = "") -> str:
        words = ["self", *(f"{_word(each['name'])}: {_type(each['schema'])}" for each in self._in("path"))]
        if "requestBody" in self.operation:
            words.append(f"given: {_type(self.operation['requestBody']['content'][JSON]['schema'], 'schemas.')}")
        named = [_argument(each) for each in self._in("query") if each["name"] != without]
        named.sort(key=lambda argument: "=" in argument)
        named += ["key: str | None = None"] if self._has_key else []
        words += ["*", *named] if named else []
        return f"\n    def {name}({', '.join(words)}) -> {kind}:\n{self._docstring(name)}        "

    def _docstring(self, name: str) -> str:
        summary = self.operation["summary"].rstrip(".") + "."
        if name != self.name:
            return _docstring(f"All that {self.name} has, a page at a time: {summary[0].lower()}{summary[1:]}", (), 8)
        scopes = [scope for each in self.operation.get("security", []) for scope in each.get(TOKEN, ())]
        security = self.operation.get("security")
        needs = f"It needs a token's scope {', '.join(scopes)}." if scopes else "It needs a token." if security else ""
        paragraphs = [f"{self.operation.get('description', '')} {needs}".strip()]
        paragraphs += ["\n".join(self._explained())]
        paragraphs += ["key: its Idempotency-Key, 8 to 64 characters; a fresh one otherwise."] if self._has_key else []
        return _docstring(summary, paragraphs, 8)

    def _explained(self) -> Iterator[str]:
        for each in (*self._in("path"), *self._in("query")):
            if each.get("description"):
                yield f"{_word(each['name'])}: {each['description']}"

    def _iterator(self, rows: str, kind: str) -> str:
        others = [_word(each["name"]) for each in self._in("query") if each["name"] != "cursor"]
        parts = [_word(each["name"]) for each in self._in("path")]
        passed = [*parts, "cursor=cursor", *(f"{name}={name}" for name in others)]
        name = "iterate_" + self.name.removeprefix("list_")
        head = self._head(name, f"Iterator[{kind}]", "cursor")
        return f'{head}return pages(lambda cursor: self.{self.name}({", ".join(passed)}), "{rows}")\n'


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).removeprefix(SCHEMAS)


def _needed(schemas: Mapping[str, Any], parts: Any) -> set[str]:
    """The schemas that something refers to, and those that these refer to; problems are exceptions."""
    found: set[str] = set()
    waiting = re.findall(rf'"{SCHEMAS}(\w+)"', json.dumps(parts))
    while waiting:
        name = waiting.pop()
        if name not in found and name != "Problem":
            found.add(name)
            waiting += re.findall(rf'"{SCHEMAS}(\w+)"', json.dumps(schemas[name]))
    return found


def _type(schema: Mapping[str, Any], module: str = "") -> str:
    """A schema as a type of Python."""
    if "$ref" in schema:
        return module + _name(schema)
    if "anyOf" in schema:
        return " | ".join(_type(each, module) for each in schema["anyOf"])
    words = schema.get("type")
    if isinstance(words, list):
        one = [word for word in words if word != "null"]
        inner = _type({**schema, "type": one[0]}, module)
        return f"{inner} | None"
    if words == "null":
        return "None"
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(each) for each in schema['enum'] if each is not None)}]"
    if words == "array":
        return f"tuple[{_type(schema['items'], module)}, ...]"
    if words == "object" and schema.get("additionalProperties"):
        return f"dict[str, {_type(schema['additionalProperties'], module)}]"
    if schema.get("format") == "date":
        return "date"
    return PLAIN[words] if words else "dict[str, Any]"


def _word(name: str) -> str:
    """A name as Python takes it."""
    word = re.sub(r"\W", "_", name)
    return f"{word}_" if keyword.iskeyword(word) else word


def _argument(parameter: Mapping[str, Any]) -> str:
    """An argument of a call: what is left out is left to the service."""
    kind = _type(parameter["schema"])
    return f"{_word(parameter['name'])}: {kind}" + ("" if parameter.get("required") else " | None = None")


def _dataclass(name: str, schema: Mapping[str, Any]) -> str:
    """A schema as a dataclass: a field of an input that may be left out has its default."""
    fields, described = [], []
    required = schema.get("required", ())
    for field, inner in schema.get("properties", {}).items():
        assert _word(field) == field, field  # noqa: S101 - else values.py would have to know of it
        default = "" if field in required else f" = {inner.get('default')!r}"
        kind = _type(inner)
        if default == " = None" and "None" not in kind:
            kind += " | None"
        fields.append(f"    {field}: {kind}{default}")
        meaning = inner.get("description") or next(
            (e["description"] for e in inner.get("allOf", ()) if "description" in e), ""
        )
        if meaning:
            described.append(f"{field}: {meaning}")
    summary = schema.get("description") or f"{name}."
    text = _docstring(summary, ["\n".join(described)], 4)
    body = "\n".join(fields)
    return f"\n\n@dataclass(frozen=True, slots=True, kw_only=True)\nclass {name}:\n{text}\n{body}\n"


def _docstring(summary: str, paragraphs: Any, indent: int) -> str:
    """A docstring of a sentence and of paragraphs, whose lines are wrapped one by one."""
    margin, width = " " * indent, 120
    first = textwrap.wrap(f'"""{summary}', width - indent - 3)
    lines = [margin + line for line in first]
    for paragraph in (each for each in paragraphs if each):
        lines.append("")
        for line in paragraph.split("\n"):
            hanging = "    " if "\n" in paragraph or re.match(r"\w+: ", line) else ""
            lines += textwrap.wrap(line, width, initial_indent=margin, subsequent_indent=margin + hanging)
    if len(lines) == 1:
        return f'{lines[0]}"""\n'
    return "\n".join([*lines, f'{margin}"""']).replace("\\", "\\\\") + "\n"


def _formatted(text: str, path: Path) -> str:
    """As the project's own formatter has it, and without what is imported for nothing."""
    for words in (("check", "--quiet", "--select", "F401,I", "--fix", "--exit-zero"), ("format", "--quiet")):
        ruff = [str(Path(sys.executable).with_name("ruff")), *words, "--stdin-filename", str(path), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


def main(argv: list[str]) -> int:
    """Write the files, or check them; 1 where they are not as they should be."""
    made = files(description())
    if "--check" in argv:
        return int(any(not path.exists() or path.read_text(encoding="utf-8") != text for path, text in made.items()))
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
