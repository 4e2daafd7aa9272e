"""An issued bill in a real Chromium: the auditor has it computed again, anybody checks its certificate byte by byte."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import axe
import pytest
from billed_site import BilledSite, billed
from browser import CHROMIUM, Browser
from changed_bytes import outcomes
from served import served
from sqlalchemy import select

from authority.people.roles import AUDITOR
from authority.store.billing import IssuedBill

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]
STEPS = ["checkpoint", "log", "pin", "document", "retirements", "transactions", "sum"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledSite]:
    with billed(tmp_path_factory.mktemp("campus")) as made:
        yield made


@pytest.fixture(scope="module")
def address(site: BilledSite) -> Iterator[str]:
    with served(site.flask) as found:
        yield found


@pytest.fixture
def browser(tmp_path: Any) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as opened:
        opened.emulate(390, 844)
        yield opened


def text(browser: Browser, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({selector!r}).textContent"))


# The bill computed again


def test_the_auditor_has_a_bill_computed_again_by_keyboard_and_a_changed_bill_is_found(
    site: BilledSite, address: str, browser: Browser
) -> None:
    browser.sign_in(site.cookies[AUDITOR], address)
    browser.open(f"{address}/audit/bills")
    browser.tab_to("main a[href='/audit/bills/4']")
    browser.press("Enter")
    browser.until("location.pathname === '/audit/bills/4' && document.readyState === 'complete'")
    assert axe.faults(browser) == []
    compute(browser)
    assert text(browser, ".outcome") == "The bill holds."
    marks = browser.evaluate("[...document.querySelectorAll('main .rows .mark')].map(each => each.textContent)")
    assert set(marks) == {"the same"}
    assert len(marks) > 3
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert axe.faults(browser) == []
    axe.picture(browser, "audit-bill-holds-390")

    with site.campus.app.store.write() as session:
        row = session.get_one(IssuedBill, 3)
        kept = row.document, row.sha256
        document = json.loads(row.document)
        line = next(each for each in document["lines"] if each["wh"] and not each["paid"])
        line["wh"] += 1
        row.document = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
        row.sha256 = hashlib.sha256(row.document).digest()
    browser.open(f"{address}/audit/bills/3")
    compute(browser)
    assert "did not hold" in text(browser, ".outcome")
    assert "differs" in browser.evaluate("document.querySelector('main').innerText")
    assert browser.evaluate("document.querySelector('.outcome').dataset.tone") == "bad"
    assert axe.faults(browser) == []
    with site.campus.app.store.write() as session:
        row = session.get_one(IssuedBill, 3)
        row.document, row.sha256 = kept
    assert browser.messages == []


def compute(browser: Browser) -> None:
    """From the button to the result, which the page's script waits for."""
    browser.tab_to("main form button.main")
    browser.press("Enter")
    browser.until("document.querySelector('#job') !== null || document.querySelector('.outcome') !== null")
    browser.until("document.querySelector('.outcome') !== null")


# The certificate


@pytest.fixture
def certificate(site: BilledSite, address: str, browser: Browser) -> str:
    """The page to which the code on D's certificate leads, checked, with its proof as `window.proof`."""
    page = site.client("D").get("/me/certificates/4").text
    link = re.search(r'href="[^"]*(/certificates/4-[^"]+)"', page)
    assert link is not None
    path = link[1]
    browser.open(address + path)
    browser.until("document.querySelector('#verdict').dataset.tone !== 'none'")
    browser.evaluate(
        f"fetch('{path}/proof').then(answer => answer.json()).then(given => {{ window.proof = given; }})"
        ".then(() => null)"
    )
    return path


def test_anybody_checks_every_step_of_a_certificate(site: BilledSite, browser: Browser, certificate: str) -> None:
    assert text(browser, "#verdict").startswith("This energy was used up for good")
    shown = browser.evaluate(
        "[...document.querySelectorAll('#steps li')].map(each => [each.dataset.step, each.dataset.state])"
    )
    assert shown == [[step, "holds"] for step in STEPS]
    assert "All that was looked at holds" in browser.evaluate("document.body.innerText")
    with site.campus.app.store.read() as session:
        bill = session.scalars(select(IssuedBill).where(IssuedBill.number == 4)).one()
    proof = site.client().get(f"{certificate}/proof").json
    assert (proof["wallet"], proof["wh"], proof["of"]) == (
        bill.wallet, sum(each["wh"] for each in proof["retired"]), len(proof["retired"]),
    )  # fmt: skip
    assert "@campus" not in site.client().get(f"{certificate}/proof").text
    for path in (certificate, f"{certificate}/proof"):
        assert site.client().get(path).headers["Referrer-Policy"] == "no-referrer"
        assert site.client().get(path).headers["Cache-Control"] == "no-store"
        assert site.client().get(path.replace("/4-", "/3-")).status_code == 404
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    wrong = []
    for width, dark in axe.LOOKS:
        browser.emulate(width, 844, dark=dark)
        wrong += axe.faults(browser)
        axe.picture(browser, f"certificate-{width}-{'dark' if dark else 'light'}")
    browser.sign_in(site.cookies["D"], browser.evaluate("location.origin"))
    browser.emulate(390, 844)
    browser.open(f"{browser.evaluate('location.origin')}/me/certificates/4")
    wrong += axe.faults(browser)
    assert wrong == []
    assert browser.messages == []


REST_ON = {
    "checkpoint": {"log", "pin", "document", "retirements", "transactions", "sum"},
    "log": {"document", "retirements", "transactions", "sum"},
    "retirements": {"transactions", "sum"},
}


def test_a_changed_byte_in_each_part_makes_exactly_that_step_fail(browser: Browser, certificate: str) -> None:
    """Every byte of every part, each once; a transaction's last one is that of its smallest part too."""
    parts = browser.evaluate(
        "import('/static/certificate.js').then(kind => kind.PARTS.filter(part => kind.hasPart(window.proof, part.id))"
        ".map(({id, fails}) => [id, fails]))"
    )
    sizes = browser.evaluate(
        "(() => { const last = window.proof.retired.at(-1), half = text => text.length / 2; return {"
        "checkpoint: 80, 'checkpoint-signature': 93, 'receipt-key': 32, issued: half(window.proof.issued.leaf), "
        "entry: half(last.leaf), path: 32, pin: 56, sha256: 32, amount: 1, transaction: half(last.transaction), "
        "claim: 1}; })()"
    )
    assert {part for part, _ in parts} == set(sizes)
    for part, step in parts:
        for at, failed, unreached in outcomes(browser, "/static/certificate.js", part, sizes[part]):
            assert (failed, unreached) == ({step}, REST_ON.get(step, set())), (part, at)


def test_the_button_changes_a_byte_and_puts_it_back_by_keyboard(browser: Browser, certificate: str) -> None:
    browser.evaluate("document.querySelector('#part').value = 'transaction'")
    browser.tab_to("#change")
    browser.press("Enter")
    browser.until("document.querySelector('[data-step=transactions]').dataset.state === 'fails'")
    browser.until("document.querySelector('#verdict').dataset.tone === 'bad'")
    assert "With one byte changed in a transaction" in text(browser, "#verdict")
    assert axe.faults(browser) == []
    browser.tab_to("#back")
    browser.press("Enter")
    browser.until("document.querySelector('#verdict').textContent.startsWith('This energy was used up')")


FORGERIES = {
    "a retirement counted twice": "copy.retired.push(copy.retired[0]), copy.of += 1, copy.wh += copy.retired[0].wh",
    "a retirement left out": "copy.retired.pop(), copy.of -= 1",
    "another account": "copy.wallet = copy.program",
    "another period": "copy.period += 1",
    "another bill": "copy.bill += 1",
    "another program": "copy.program = copy.wallet",
    "another network": "copy.network_id = '00'.repeat(8)",
    "transactions swapped": "[copy.retired[0].transaction, copy.retired.at(-1).transaction] = "
    "[copy.retired.at(-1).transaction, copy.retired[0].transaction]",
    "another place in the log": "copy.issued.log_index += 1",
    "another epoch": "copy.pin.epoch += 1",
    "a note without a signature": "copy.checkpoint.note = copy.checkpoint.note.split('\\n\\n')[0] + '\\n\\n'",
}


def test_a_forgery_is_never_proven_and_what_is_missing_is_told(browser: Browser, certificate: str) -> None:
    for name, change in FORGERIES.items():
        told = browser.evaluate(
            "import('/static/certificate.js').then(async kind => { const copy = structuredClone(window.proof); "
            f"{change}; const outcomes = await kind.check(copy); return [kind.isProven(outcomes), "
            "outcomes.some(each => each.state === 'fails')]; })"
        )
        assert told == [False, True], name
    for change, open_ in (
        ("pin = null", ["pin"]), ("retired[0].transaction = null", ["transactions"]), ("of += 1", ["sum"]),
    ):  # fmt: skip
        told = browser.evaluate(
            "import('/static/certificate.js').then(async kind => { const copy = structuredClone(window.proof); "
            f"copy.{change}; return (await kind.check(copy)).filter(each => each.state !== 'holds')"
            ".map(each => [each.id, each.state]); })"
        )
        assert told == [[step, "not checked"] for step in open_], change
    for change in ("{}", "null", "{...window.proof, retired: [{}]}", "{...window.proof, format: 'campus-kwh-1'}"):
        refused = browser.evaluate(
            f"import('/static/certificate.js').then(kind => kind.check({change}).then(() => 'taken', error => "
            "error instanceof kind.NotAProof ? 'refused' : String(error)))"
        )
        assert refused == "refused", change
