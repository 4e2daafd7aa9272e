"""The demonstration's links: one for each role and flat, each of which signs in, on this machine alone."""

import os

from sample_campus import Source

from authority.app import App
from authority.demo import campus, visitors
from authority.enrolment import plan
from authority.people.roles import MEMBER, ROLES
from authority.web.application import People, create_app


def test_each_link_signs_in_as_its_role_or_flat(home):
    app = App.open(home.path)
    with app.store.write() as session:
        read = plan.parse(campus.PLAN.read_bytes())
        plan.apply(session, read, home, actor="demo", now=app.clock(), random=os.urandom)
    links, password = visitors.links(app, actor="demo")
    assert list(links) == [*ROLES, "flat 1", "flat 2", "flat 3", "flat 4"]
    members = {**visitors.MEMBERS, **{f"flat {number}": f"Faculty Housing flat {number}" for number in range(1, 5)}}
    flask = create_app(Source(), people=People(app, lambda: None))
    for label, link in links.items():
        start, path = link[: len("http://127.0.0.1:8000")], link[len("http://127.0.0.1:8000") :]
        assert start == "http://127.0.0.1:8000"
        for _ in range(2):
            client = flask.test_client()
            entered = client.get(path, base_url="http://127.0.0.1:8000")
            assert (entered.status_code, entered.headers["Location"]) == (303, "/home")
            asked = client.get("/api/v1/me", base_url="http://127.0.0.1:8000").json
            assert asked["roles"] == [label if label in ROLES else MEMBER]
        assert asked["member"] == members.get(label)
        assert client.get(path, base_url="http://energy.campus.example").status_code == 404
        fields = {"login": visitors.login_of(label), "password": password, "next": "/account"}
        headers = {"Origin": "http://127.0.0.1:8000"}
        signed = flask.test_client().post("/login", data=fields, headers=headers, base_url="http://127.0.0.1:8000")
        assert (signed.status_code, signed.headers["Location"]) == (303, "/account"), label
    app.store.close()
