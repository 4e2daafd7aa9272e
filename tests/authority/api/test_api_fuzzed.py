"""Schemathesis over the whole API, with a real validator: no answer that the description does not have, and no 5xx."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import peer_programs
import pytest
from flask import Response, request
from kwh_site import opened
from served import served
from sqlalchemy import select

from authority.api import gate
from authority.people import records, tokens
from authority.people.roles import OF_THE_DEPARTMENT, READ_AUDIT, READ_BILLING, READ_OPERATIONS, SCOPES
from authority.store.persons import Person
from authority.web import access

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
ENDLESS = "stream"
"""Answers that go on for as long as their reader does."""
EXAMPLES = os.environ.get("API_EXAMPLES", "8")
OF_THE_DEPARTMENTS_PROGRAMS = {READ_OPERATIONS, READ_BILLING, READ_AUDIT}


def asked(address: str, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Schemathesis at a served application; the same requests each time."""
    command = [
        str(peer_programs.python("schemathesis").with_name("schemathesis")), "run", f"{address}/openapi.json",
        "--url", address, "--checks", ",".join(CHECKS), "--mode", "all", "--phases", "examples,coverage,fuzzing",
        "--max-examples", EXAMPLES, "--seed", "1", "--workers", "1", "--request-timeout", "60", "--no-color",
        "--suppress-health-check", "all", "--exclude-path-regex", ENDLESS, "--continue-on-failure", *words,
    ]  # fmt: skip
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=1_500)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_answer_to_a_program_is_described_and_none_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "CHANGES_AT_ONCE", 100_000)
    monkeypatch.setattr(gate, "READS_AT_ONCE", 100_000)
    with opened(tmp_path, epochs=2, members="ABCD", trades=True) as site:
        app = site.campus.app
        with app.store.write() as session:
            person = session.scalars(select(Person).where(Person.login == "member@campus.example")).one()
            for role in sorted(OF_THE_DEPARTMENT):
                records.grant(session, person, role, by="test", now=app.clock())
            owner = records.principal(session, person, "s", app.clock())
            token = tokens.make(session, owner, "fuzzed", list(SCOPES), 30, app.clock())[1]
        reached: set[str] = set()

        @site.flask.after_request
        def note(answer: Response) -> Response:
            if answer.status_code < 400 and request.endpoint is not None:
                reached.add(request.endpoint)
            return answer

        with served(site.flask) as address:
            done = asked(address, tmp_path, "--header", f"Authorization: Bearer {token}")
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "No issues found" in done.stdout or "passed" in done.stdout
    theirs = {
        name
        for name, rule in access.RULES.items()
        if rule.scope in OF_THE_DEPARTMENTS_PROGRAMS
        and not any(each.arguments for each in site.flask.url_map.iter_rules(name))
    }
    assert len(theirs) > 12
    assert theirs - reached == set(), "what the department reads was asked for by somebody who may read it"


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_answer_to_a_stranger_is_described_and_none_is_a_fault(tmp_path: Path) -> None:
    """What strangers may ask for, and one resource that they may not: all others refuse them in the same gate."""
    with opened(tmp_path, epochs=2) as site, served(site.flask) as address:
        public = [
            re.sub("<[^>]+>", "[^/]+", str(rule))
            for rule in site.flask.url_map.iter_rules()
            if access.RULES[rule.endpoint].roles is None or rule.endpoint == "me.whoami"
        ]
        assert len([path for path in public if path.startswith("/api/v1/")]) > 8
        done = asked(address, tmp_path, "--include-path-regex", f"^({'|'.join(public)})$")
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
