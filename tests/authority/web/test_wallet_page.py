"""The page of one's own wallet in a real Chromium, with a wallet program that registers itself and signs there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import axe
import pytest
from browser import CHROMIUM, Browser
from kwh_site import KwhSite, opened
from served import served
from solders.keypair import Keypair
from sqlalchemy import select

from authority.figures import credits
from authority.store.people import User

OWNER = "other"
WALLET = """
(() => {
  const seed = %s, address = %s, extra = %s;
  const bytes = Uint8Array.from(seed);
  const head = Uint8Array.from([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]);
  const pkcs8 = Uint8Array.from([...head, ...bytes]);
  const account = {address, publicKey: new Uint8Array(32), chains: ["solana:localnet"],
                   features: ["solana:signTransaction"]};
  window.asked = [];
  const wallet = {
    version: "1.0.0", name: "Test wallet", icon: "data:image/svg+xml;base64,", chains: ["solana:localnet"],
    accounts: [],
    features: {
      "standard:connect": {version: "1.0.0", connect: async () => ({accounts: [account]})},
      "solana:signTransaction": {
        version: "1.0.0", supportedTransactionVersions: ["legacy", 0],
        signTransaction: async ({account: by, transaction, chain}) => {
          window.asked.push({by: by.address, chain, size: transaction.length});
          if (extra === "refuse") throw new Error("The person said no.");
          const key = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"]);
          const message = transaction.slice(65);
          if (extra === "change") message[message.length - 1] ^= 1;
          const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", key, message));
          return [{signedTransaction: Uint8Array.from([1, ...signature, ...message])}];
        },
      },
    },
  };
  const register = (api) => api.register(wallet);
  const event = () => new CustomEvent("wallet-standard:register-wallet", {detail: register});
  addEventListener("wallet-standard:app-ready", ({detail: api}) => register(api));
  dispatchEvent(event());
  setTimeout(() => dispatchEvent(event()), 50);  // a program that shows itself twice is listed once
})();
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KwhSite]:
    with opened(tmp_path_factory.mktemp("campus"), members="ABCD", trades=True) as found:
        found.campus.client.airdrop(found.campus.wallets["C"], 1_000_000_000)
        yield found


@pytest.fixture(scope="module")
def key(site: KwhSite) -> Keypair:
    found = site.campus.key_of("C")
    with site.campus.app.store.write() as session:
        session.scalars(select(User).where(User.name == "C")).one().sealed_key = None
    return found


def program(key: Keypair, extra: str = "") -> str:
    return WALLET % (list(key.secret()), json.dumps(str(key.pubkey())), json.dumps(extra))


ALARM = "document.querySelector('.connect [role=alert]')"
SHOWN = f"!{ALARM}.hidden && {ALARM}.textContent"


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_wallet_shows_itself_signs_and_the_page_says_what_was_done(
    site: KwhSite, key: Keypair, tmp_path: Path
) -> None:
    before = site.campus.seat("C").credit
    with served(site.flask) as address, Browser(tmp_path) as browser:
        browser.inject(program(key))
        browser.emulate(390, 844)
        browser.sign_in(site.cookies[OWNER], address)
        browser.open(f"{address}/me/wallet")
        browser.until("document.querySelectorAll('.wallets li').length === 1")
        assert browser.evaluate("document.querySelector('form.act button').disabled")
        browser.tab_to(".wallets button")
        browser.press("Enter")
        browser.until("!document.querySelector('form[data-act=deposit] button').disabled")
        assert browser.evaluate("document.querySelector('.connected code').textContent") == str(key.pubkey())
        browser.evaluate("document.querySelector('form[data-act=deposit]').closest('details').open = true")
        browser.evaluate(
            "(() => { const form = document.querySelector('form[data-act=deposit]');"
            "form.asset.value = 'credit'; form.amount.value = '0,25'; form.querySelector('button').click(); })()"
        )
        browser.until("document.querySelector('.done').textContent.startsWith('Done: Bring 0.25')")
        assert site.campus.seat("C").credit == before + 250_000
        assert f"In the market, free: 0.000 kWh and {credits(before + 250_000)} credits" in browser.evaluate(
            "document.querySelector('.holdings').textContent"
        )
        (asked,) = browser.evaluate("window.asked")
        assert (asked["by"], asked["chain"]) == (str(key.pubkey()), "solana:localnet")
        browser.evaluate(
            "(() => { const form = document.querySelector('form[data-act=withdraw]');"
            "form.amount.value = '0.0001'; form.querySelector('button').click(); })()"
        )
        browser.until(SHOWN)
        assert "at most 3 decimals" in browser.evaluate(SHOWN)
        axe.picture(browser, "own-wallet")
        assert axe.faults(browser) == []
        assert browser.messages == []


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    ("extra", "words"),
    [("change", "your wallet changed it"), ("refuse", "The person said no.")],
    ids=["change", "refuse"],
)
def test_what_a_wallet_does_otherwise_is_told_and_nothing_is_sent(
    site: KwhSite, key: Keypair, tmp_path: Path, extra: str, words: str
) -> None:
    before = site.campus.seat("C").credit
    with served(site.flask) as address, Browser(tmp_path) as browser:
        browser.inject(program(key, extra))
        browser.sign_in(site.cookies[OWNER], address)
        browser.open(f"{address}/me/wallet")
        browser.until("document.querySelectorAll('.wallets li').length === 1")
        browser.evaluate("document.querySelector('.wallets button').click()")
        browser.until("!document.querySelector('form[data-act=deposit] button').disabled")
        browser.evaluate(
            "(() => { const form = document.querySelector('form[data-act=deposit]');"
            "form.asset.value = 'credit'; form.amount.value = '0.1'; form.querySelector('button').click(); })()"
        )
        browser.until(SHOWN)
        assert words in browser.evaluate(SHOWN)
        assert site.campus.seat("C").credit == before


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_another_account_is_named_and_a_custodial_member_sees_its_new_address(
    site: KwhSite, key: Keypair, tmp_path: Path
) -> None:
    other = Keypair()
    with served(site.flask) as address, Browser(tmp_path) as browser:
        browser.inject(program(other))
        browser.sign_in(site.cookies[OWNER], address)
        browser.open(f"{address}/me/wallet")
        browser.until("document.querySelectorAll('.wallets li').length === 1")
        browser.evaluate("document.querySelector('.wallets button').click()")
        browser.until(SHOWN)
        assert f"another account than {key.pubkey()}" in browser.evaluate(SHOWN)
        assert browser.evaluate("document.querySelector('form.act button').disabled")
        browser.sign_in(site.cookies["member"], address)
        browser.open(f"{address}/me/wallet")
        browser.until("document.querySelectorAll('.wallets li').length === 1")
        browser.evaluate("document.querySelector('.wallets button').click()")
        browser.until("!document.querySelector('.connected').hidden")
        assert browser.evaluate("document.querySelector('.connected code').textContent") == str(other.pubkey())
        axe.picture(browser, "custodial-wallet")
        assert axe.faults(browser) == []
        assert browser.messages == []


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_and_its_script_speak_the_readers_language(site: KwhSite, key: Keypair, tmp_path: Path) -> None:
    with served(site.flask) as address, Browser(tmp_path) as browser:
        browser.inject(program(key))
        browser.emulate(390, 844)
        browser.sign_in(site.cookies[OWNER], address)
        browser.set_cookie("language", "th", address)
        browser.open(f"{address}/me/wallet")
        browser.until("document.querySelectorAll('.wallets li').length === 1")
        assert browser.evaluate("document.querySelector('.wallets button').textContent") == "เชื่อมต่อ"
        browser.evaluate("document.querySelector('.wallets button').click()")
        browser.until("!document.querySelector('form[data-act=deposit] button').disabled")
        for amount, shown in (("0,05", "เสร็จแล้ว: นำ 0.05"), ("999999999", "กระเป๋าของคุณมีไม่ถึง"), ("x", "โปรดเขียนตัวเลข")):
            browser.evaluate(
                "(() => { const form = document.querySelector('form[data-act=deposit]'); form.asset.value = 'credit';"
                f"form.amount.value = '{amount}'; form.querySelector('button').click(); }})()"
            )
            browser.until(f"document.querySelector('.connect').innerText.includes('{shown}')")
        assert axe.faults(browser) == []
        (message,) = browser.messages  # the browser's own, of what was refused
        assert "409" in message
