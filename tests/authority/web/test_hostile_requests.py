"""Text and numbers that no record has, and not every database takes in a question: refused alike on both of them."""

import pytest

from authority.people.roles import AUDITOR, MEMBER, OPERATOR, ROLES
from authority.web import access

NUL = "a\0b"
TOO_LARGE = 2**63
ENDLESS = ("live_events", "public.stream")


def filled(flask, text, number):
    """Every route whose address has a part that somebody chooses: its name, its method, and that address."""
    adapter = flask.url_map.bind("localhost")
    for rule in flask.url_map.iter_rules():
        if not rule.arguments or rule.endpoint in ENDLESS:
            continue
        numbers = {name for name, converter in rule._converters.items() if type(converter).__name__ == "_StoredInteger"}
        url = adapter.build(rule.endpoint, {name: 1 if name in numbers else text for name in rule.arguments})
        if numbers:
            url = url.replace("/1", f"/{number}", 1)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, url


def test_an_address_with_what_no_record_has_leads_nowhere(operated):
    site, walked, numbered = operated, 0, 0
    clients = {role: site.client(role) for role in (*ROLES, None)}
    for endpoint, method, url in list(filled(site.flask, NUL, TOO_LARGE)):
        roles = access.RULES[endpoint].roles
        role = None if roles is None else next(each for each in ROLES if not roles or each in roles)
        headers = {} if role is None else {"X-Form-Token": site.form(role)["form_token"]}
        answer = clients[role].open(url, method=method, headers=headers)
        assert 400 <= answer.status_code < 500, (endpoint, method, url, answer.status_code)
        assert str(TOO_LARGE) not in url or answer.status_code == 404, (endpoint, method, url, answer.status_code)
        walked, numbered = walked + 1, numbered + (str(TOO_LARGE) in url)
    assert walked > 40
    assert numbered > 15


@pytest.mark.parametrize(
    ("role", "method", "url", "fields"),
    [
        (None, "POST", "/login", {"login": NUL, "password": "violet kettle under seven"}),
        (OPERATOR, "POST", "/op/claims", {"gateway": NUL}),
        (OPERATOR, "GET", "/op/held", {"gateway": NUL, "meter": NUL, "code": NUL}),
        (AUDITOR, "GET", "/audit/log", {"kind": NUL, "actor": NUL}),
    ],
)
def test_a_form_with_what_no_record_has_is_refused_or_finds_nothing(operated, role, method, url, fields):
    client = operated.client(role)
    if method == "GET":
        answer = client.get(url, query_string=fields)
        assert answer.status_code in (200, 400, 404)
    else:
        token = {} if role is None else operated.form(role)
        answer = client.post(url, data={**fields, **token})
        assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("store_url", [""])
@pytest.mark.parametrize(
    "body",
    [
        "[" * 30_000 + "]" * 30_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        '{"sell_at": 1' + "0" * 5_000 + "}",
        r'{"ticket": "\ud800", "answer": {"rawId": "\ud800"}, "name": "\ud800", "scopes": ["energy:read"], "days": 1}',
        r'{"ticket": "a\u0000b", "answer": {"rawId": "x"}, "name": "a\u0000b", "scopes": ["energy:read"], "days": 1}',
        "{",
        "[]",
    ],
    ids=["deep lists", "deep objects", "5,000 digits", "half a character", "a NUL", "half an object", "a list"],
)
def test_json_that_nobody_writes_is_refused_in_words(operated, body):
    for role, method, url in (
        (None, "POST", "/login/passkey"),
        (MEMBER, "POST", "/api/v1/me/transactions/prepare"),
        (MEMBER, "PUT", "/api/v1/me/standing-order"),
        (MEMBER, "POST", "/api/v1/me/tokens"),
    ):
        headers = {} if role is None else {"X-Form-Token": operated.form(role)["form_token"]}
        answer = operated.client(role).open(
            url, method=method, data=body, headers=headers, content_type="application/json"
        )
        assert 400 <= answer.status_code < 500, (url, answer.status_code)
