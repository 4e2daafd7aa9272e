"""The proof of a kWh over a real validator and log: what the browser checks, and what fails where a byte changes."""

import json
import re

import axe
import pytest
from browser import CHROMIUM, Browser
from changed_bytes import outcomes
from every_leaf import every_leaf
from free_ports import free_port
from hypothesis import given, settings
from hypothesis import strategies as st
from kwh_site import opened
from served import served
from sqlalchemy import select

from authority.log import merkle
from authority.log.log import open_checkpoint
from authority.people.roles import MEMBER
from authority.settlement.day_sums import netted
from authority.store.log import Act
from authority.store.metering import Meter
from authority.web.codes import qr
from edge_agent.wire.reading import ROLES, Record
from edge_agent.wire.rules import REGISTERS, ROLE_REGISTERS


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("campus")) as made:
        yield made


@pytest.fixture(scope="module")
def address(site):
    with served(site.flask) as found:
        yield found


def document(site, path):
    answer = site.client().get(f"{path}/proof")
    assert answer.status_code == 200, answer.text
    return answer.json


def test_the_proof_holds_by_the_reference_of_the_rules(site):
    proof = document(site, site.link())
    size, root = open_checkpoint(
        proof["checkpoint"]["note"].encode(), site.campus.home.network_id, bytes.fromhex(proof["checkpoint"]["key"])
    )
    assert [meter["role"] for meter in proof["meters"]] == ["generation", "storage", "load"]
    assert len(proof["readings"]) == 6
    for each in proof["readings"]:
        leaf = merkle.leaf_hash(bytes.fromhex(each["head"] + each["frame"]))
        merkle.verify_inclusion(leaf, each["log_index"], size, [bytes.fromhex(x) for x in each["path"]], root)
    pinned = site.campus.checkpoint(proof["pin"]["epoch"])
    assert (pinned.log_size, pinned.log_root) == (size, root)
    assert proof["claim"]["given_wh"] == proof["minted_wh"] == 2_500


def test_a_link_shows_one_span_and_names_nobody(site):
    proof = document(site, site.link())
    ends = {Record.from_bytes(bytes.fromhex(each["frame"])[:96]).interval_end for each in proof["readings"]}
    assert ends == set(site.boundaries[-2:])
    told = json.dumps(proof)
    with site.campus.app.store.read() as session:
        serials = session.scalars(select(Meter.serial)).all()
    wallets = [str(wallet) for wallet in site.campus.wallets.values()]
    assert [word for word in (*serials, *wallets, *site.pseudonyms.values(), "@campus") if word in told] == []
    page = site.client().get(site.link())
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert page.headers["Cache-Control"] == "no-store"


def links_of(site, role):
    return set(re.findall(r'action="/me/proofs/(\w+)/end"', site.client(role).get("/me/proofs").text))


def test_a_link_is_of_its_member_alone_ends_when_told_and_is_in_the_log_by_its_id(site):
    before = links_of(site, MEMBER)
    path = site.link()
    secret = path.rpartition("/")[2]
    assert len(secret) == 43
    assert links_of(site, "other") == set()
    (link,) = links_of(site, MEMBER) - before
    end = f"{link}/end"
    assert site.client("other").post(f"/me/proofs/{end}", data=site.form("other")).status_code == 404
    assert site.client().get(path).status_code == 200
    assert site.client(MEMBER).post(f"/me/proofs/{end}", data=site.form(MEMBER)).status_code == 303
    for gone in (path, f"{path}/proof", "/kwh/x", "/kwh/x/proof", f"/kwh/{secret}A"):
        assert site.client().get(gone).status_code == 404, gone
    with site.campus.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind.like("proof_link_%")).order_by(Act.log_index)).all()
        leaves = every_leaf(session)
    assert acts[-1].kind == "proof_link_ended"
    assert list(acts[-1].data) == ["link"]
    assert secret.encode() not in leaves


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (lambda at: {"from": at[0], "to": at[0] + 30 * 3_600}, "two boundaries|passed"),
        (lambda at: {"from": at[0] - 30 * 3_600, "to": at[1]}, "one day at most"),
        (lambda at: {"from": at[1], "to": at[0]}, "a time that has passed"),
        (lambda at: {"from": at[0], "to": at[0] + 1}, "two boundaries"),
        (lambda at: {"from": "x", "to": at[1]}, "choose it under"),
        (lambda at: {"from": "9" * 30, "to": at[1]}, "choose it under"),
    ],
)
def test_a_span_without_a_proof_gets_no_link(site, span, words):
    fields = span(site.boundaries)
    if fields["to"] != site.boundaries[0] + 30 * 3_600:
        answer = site.client(MEMBER).post("/me/proofs", data=site.form(MEMBER, **fields))
        assert answer.status_code == 409
        assert words in answer.text
    else:  # a time that is not over yet is shown as far as it is
        assert site.client(MEMBER).get("/me/proofs", query_string=fields).text.count("Make the link") == 1


def test_the_page_prints_its_own_address_as_a_code(site):
    path = site.link(0)
    text = site.client().get(path).text
    drawn = re.search(r'<div class="qr"[^>]*>(<svg.*?</svg>)</div>', text, re.DOTALL)
    address = f"http://localhost{path}"
    assert drawn is not None
    assert drawn[1] == str(qr(address))
    assert f'<code class="address">{address}</code>' in text
    assert "until the member ends it" in text
    assert 'class="qr"' not in site.client().get("/kwh").text


def test_a_silent_validator_leaves_the_accounts_out(site, monkeypatch):
    path = site.link()
    with monkeypatch.context() as silent:
        silent.setattr(site.campus.validator, "port", free_port())
        proof = document(site, path)
    assert proof["pin"]["account"] is None
    assert {each["account"] for each in proof["keys"]} == {None}


# In Chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with Browser(tmp_path_factory.mktemp("chromium") / "profile") as opened_:
        yield opened_


@pytest.fixture
def page(site, address, browser):
    """The page of a link, checked, with its proof as `window.proof`; the one that is open where there is one."""
    if browser.evaluate("location.pathname.startsWith('/kwh/') && window.proof !== undefined"):
        return
    path = site.link()
    browser.emulate(390, 844)
    browser.open(address + path)
    browser.until("document.querySelector('#verdict').dataset.tone !== 'none'")
    browser.evaluate(
        f"fetch('{path}/proof').then(answer => answer.json()).then(given => {{ window.proof = given; }})"
        ".then(() => null)"
    )


def test_the_browser_checks_every_step(browser, page):
    assert browser.evaluate("document.querySelector('#verdict').textContent").startswith("This energy is real")
    shown = browser.evaluate("[...document.querySelectorAll('#steps li')].map(each => each.dataset.state)")
    assert shown == ["holds"] * 7
    assert "2.500 kWh" in browser.evaluate("document.querySelector('#claims').textContent")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [line for line in browser.messages if "404" not in line] == []


def parts(browser):
    return browser.evaluate("import('/static/proof.js').then(proof => proof.PARTS.map(({id, fails}) => [id, fails]))")


SIZES = {
    "record": 96,
    "signature": 64,
    "meter-key": 32,
    "claim": 6,
    "key-account": 48,
    "checkpoint": 80,
    "checkpoint-signature": 93,
    "receipt-key": 32,
    "entry": 12,
    "path": 32,
    "pin": 56,
}


def test_a_changed_byte_in_each_part_makes_exactly_that_step_fail(browser, page):
    """Every byte of every part, each once."""
    rests_on = {
        "records": {"signatures", "energy", "keys", "log"},
        "signatures": {"energy", "keys", "log"},
        "checkpoint": {"log", "pin"},
    }
    assert {part for part, _ in parts(browser)} == set(SIZES)
    for part, step in parts(browser):
        for at, failed, unreached in outcomes(browser, "/static/proof.js", part, SIZES[part]):
            assert (failed, unreached) == ({step}, rests_on.get(step, set())), (part, at)


def test_the_button_changes_a_byte_and_puts_it_back_by_keyboard(browser, page):
    browser.evaluate("document.querySelector('#part').focus()")
    for part, step in parts(browser):
        browser.evaluate(f"document.querySelector('#part').value = {part!r}")
        browser.evaluate("document.querySelector('#change').focus()")
        _enter(browser)
        browser.until(f"document.querySelector('[data-step={step}]').dataset.state === 'fails'")
        browser.until("document.querySelector('#verdict').textContent.includes('fails')")
        assert browser.evaluate("document.querySelectorAll('[data-state=fails]').length") == 1
        assert "is real" not in browser.evaluate("document.querySelector('#verdict').textContent")
        browser.evaluate("document.querySelector('#back').focus()")
        _enter(browser)
        browser.until("document.querySelector('#verdict').textContent.startsWith('This energy is real')")


def _enter(browser):
    for kind in ("keyDown", "keyUp"):
        browser._call(
            "Input.dispatchKeyEvent", session=True, type=kind, key="Enter", code="Enter", text="\r",
            windowsVirtualKeyCode=13,
        )  # fmt: skip


FORGERIES = {
    "another reading of the same meter": "copy.readings[1] = copy.readings[0]",
    "a reading left out": "copy.readings.pop()",
    "a meter left out of the readings": "copy.readings = copy.readings.filter(each => each.meter !== 0)",
    "roles swapped": "[copy.meters[0].role, copy.meters[2].role] = [copy.meters[2].role, copy.meters[0].role]",
    "another time": "copy.starts_at -= 60",
    "another network": "copy.network_id = '00'.repeat(8)",
    "more minted than there was": "copy.minted_wh += 1",
    "another epoch": "copy.pin.epoch += 1",
    "another place in the log": "copy.readings.at(-1).log_index += 1",
    "a longer path": "copy.readings[0].path.push('00'.repeat(32))",
    "no path": "copy.readings[0].path = []",
    "keys swapped": "[copy.keys[0].account, copy.keys[1].account] = [copy.keys[1].account, copy.keys[0].account]",
    "a key without an account": "copy.keys.pop()",
    "the program's address": "copy.pin.program = copy.keys[0].program",
    "a note without a signature": "copy.checkpoint.note = copy.checkpoint.note.split('\\n\\n')[0] + '\\n\\n'",
    "a frame too long": "copy.readings[0].frame += '00'",
    "an entry too long": "copy.readings[0].head += '00'",
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_never_proven(browser, page, change):
    told = browser.evaluate(
        "import('/static/proof.js').then(async proof => { const copy = structuredClone(window.proof); "
        f"{change}; const outcomes = await proof.check(copy); return [proof.isProven(outcomes), "
        "outcomes.some(each => each.state === 'fails')]; })"
    )
    assert told == [False, True]


@pytest.mark.parametrize(
    "change",
    ["{}", "null", "[]", "{...window.proof, format: 'x'}", "{...window.proof, readings: []}",
     "{...window.proof, readings: [{}]}", "{...window.proof, keys: null}", "{...window.proof, pin: 1}",
     "{...window.proof, claim: {}}", "{...window.proof, minted_wh: -1}", "{...window.proof, checkpoint: null}"],
)  # fmt: skip
def test_what_is_no_proof_is_refused_before_it_is_read(browser, page, change):
    refused = browser.evaluate(
        f"import('/static/proof.js').then(proof => proof.check({change}).then(() => 'taken', error => "
        "error instanceof proof.NotAProof ? 'refused' : String(error)))"
    )
    assert refused == "refused"


def test_a_proof_without_its_pin_is_not_called_proven(browser, page):
    told = browser.evaluate(
        "import('/static/proof.js').then(async proof => { const outcomes = await proof.check("
        "{...window.proof, pin: null}); return [proof.isProven(outcomes), outcomes.at(-1).state]; })"
    )
    assert told == [False, "not checked"]


STEPS_OF_A_METER = st.tuples(
    st.sampled_from([role for role in ROLES if role != "submeter"]),
    st.lists(st.one_of(st.just(0), st.integers(-5, 10**6)), min_size=4, max_size=4),
)


def test_the_browsers_netting_is_the_rule(browser, page):
    """authority.settlement.surplus and proof.js, over the same meters."""
    cases = []

    @settings(max_examples=300, database=None, derandomize=True)
    @given(st.lists(STEPS_OF_A_METER, min_size=1, max_size=4))
    def collect(meters):
        cases.extend([meters, [(role, permitted(role, steps)) for role, steps in meters]])

    collect()
    told = browser.evaluate(
        f"import('/static/proof.js').then(proof => {json.dumps(cases)}.map(meters => {{ const flows = proof.netted("
        "meters.map(([role, steps]) => ({role, reset: false, steps: steps.map(BigInt)}))); return flows && "
        "Object.fromEntries(Object.entries(flows).map(([name, wh]) => [name, Number(wh)])); }))"
    )
    known = 0
    for meters, found in zip(cases, told, strict=True):
        expected = netted([(role, _record([5] * 4), _record([5 + step for step in steps])) for role, steps in meters])
        assert found == (None if expected is None else {name: getattr(expected, name) for name in found or {}}), meters
        known += expected is not None
    assert 50 < known < len(cases)


def permitted(role, steps):
    """The steps of the registers that may move in that role; the others stand still."""
    return [step * (name in ROLE_REGISTERS[role]) for name, step in zip(REGISTERS, steps, strict=True)]


def _record(registers):
    names = ("generation", "consumption", "charge", "discharge")
    return Record(
        sequence=1, network_id=bytes(8), interval_end=0, interval_seconds=60, source=0,
        **dict(zip(names, registers, strict=True)),
    )  # fmt: skip


WITHOUT = {
    "Ed25519": "crypto.subtle.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'))",
    "WebCrypto": "Object.defineProperty(globalThis, 'crypto', {value: {}})",
    "a verdict": "crypto.subtle.verify = () => Promise.resolve(true)",
}


@pytest.mark.parametrize("change", WITHOUT.values(), ids=WITHOUT)
def test_a_browser_that_cannot_check_says_so_and_never_that_it_holds(browser, site, address, change):
    path = site.link()
    script = browser._call("Page.addScriptToEvaluateOnNewDocument", session=True, source=change)["identifier"]
    try:
        browser.open(address + path)
        browser.until("document.querySelector('#verdict').textContent.startsWith('Not checked')")
        assert "Ed25519" in browser.evaluate("document.querySelector('#verdict').textContent")
        assert browser.evaluate("document.querySelector('#checked').hidden")
        assert "is real:" not in browser.evaluate("document.body.innerText")
    finally:
        browser._call("Page.removeScriptToEvaluateOnNewDocument", session=True, identifier=script)


def test_without_scripts_a_sentence_says_that_nothing_is_checked(browser, site, address):
    path = site.link()
    browser.emulate(390, 844, scripts=False)
    browser.open(address + path)
    assert "nothing is checked on this page" in site.client().get(path).text
    browser.emulate(390, 844)


def test_an_account_is_compared_with_a_nodes_own_answer(browser, site, page):
    """The validator's own JSON, as whoever has a node gets it."""
    proof = browser.evaluate("window.proof")
    config = {"encoding": "base64"}
    for address_ in (proof["pin"]["address"], proof["keys"][0]["address"]):
        answer = {"result": site.campus.client.call("getAccountInfo", address_, config)}
        told = compared(browser, json.dumps(answer))
        assert told == ["good", f"The same: {address_}."]
        data, encoding = answer["result"]["value"]["data"]
        answer["result"]["value"]["data"] = ["B" + data[1:], encoding]
        assert compared(browser, json.dumps(answer))[0] == "bad"
    for wrong in (
        "",
        "{}",
        "null",
        json.dumps({"result": {"value": None}}),
        '{"result":{"value":{"data":["x","base58"]}}}',
    ):
        assert compared(browser, wrong)[0] == "bad", wrong


def compared(browser, answer):
    browser.evaluate(f"document.querySelector('#answer').value = {json.dumps(answer)}")
    browser.evaluate("document.querySelector('#compare').click()")
    return browser.evaluate("[compared.dataset.tone, compared.textContent]")


def test_a_saved_proof_is_checked_from_its_file(browser, site, address, tmp_path):
    file = tmp_path / "proof.json"
    for content, tone in ((json.dumps(document(site, site.link(0, -1))), "good"), ("{}", "bad"), ("no JSON", "bad")):
        file.write_text(content)
        browser.open(f"{address}/kwh")
        root = browser._call("DOM.getDocument", session=True)["root"]["nodeId"]
        node = browser._call("DOM.querySelector", session=True, nodeId=root, selector="#file")["nodeId"]
        browser._call("DOM.setFileInputFiles", session=True, nodeId=node, files=[str(file)])
        browser.until(f"document.querySelector('#verdict').dataset.tone === {tone!r}")


CLICKS = (
    (".scroll th a[aria-label^=Proof]", "location.pathname === '/me/proofs'"),
    ("form[action='/me/proofs'] button", "location.pathname.startsWith('/kwh/')"),
)


def test_from_a_quarter_to_the_checked_readings_in_two_clicks(browser, site, address):
    """Quarter, link: then the browser has checked. From a bill's line on it is one of the five flows."""
    browser.sign_in(site.cookies[MEMBER], address)
    browser.emulate(390, 844)
    browser.open(f"{address}/me/energy")
    browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    for selector, arrived in CLICKS:
        browser.until(f"document.querySelector({selector!r})?.checkVisibility()")
        browser.evaluate(f"document.querySelector({selector!r}).click()")
        browser.until(f"document.readyState === 'complete' && {arrived}")
        if arrived.endswith("'/me/proofs'"):
            assert "Whoever has the link sees" in browser.evaluate("document.body.textContent")
    browser.until("document.querySelector('#verdict')?.dataset.tone === 'good'")
    browser.sign_out()


def test_the_pages_are_accessible_and_fit(browser, site, address):
    browser.sign_in(site.cookies[MEMBER], address)
    span = f"from={site.boundaries[0]}&to={site.boundaries[-1]}"
    wrong = []
    pages = (("kwh", site.link(0)), ("proofs", f"/me/proofs?{span}"), ("kwh-file", "/kwh"))
    for place, (name, path) in enumerate(pages):
        for width, dark in axe.LOOKS if place == 0 else axe.looks(place):
            browser.emulate(width, 844, dark=dark)
            browser.open(address + path)
            if name == "kwh":
                browser.until("document.querySelector('#verdict').dataset.tone === 'good'")
            axe.picture(browser, f"{name}-{width}-{'dark' if dark else 'light'}")
            wrong += [(name, width, fault) for fault in axe.faults(browser)]
            if name == "kwh":
                browser.evaluate("document.querySelector('#change').click()")
                browser.until("document.querySelector('#verdict').dataset.tone === 'bad'")
                axe.picture(browser, f"kwh-changed-{width}-{'dark' if dark else 'light'}")
                wrong += [(name, width, fault) for fault in axe.faults(browser)]
    browser.sign_out()
    assert wrong == []
