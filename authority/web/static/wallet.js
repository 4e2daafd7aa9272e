// A member's own wallet: finds wallet programs by the Wallet Standard (two events of the page), has one sign what the
// server prepared, and sends it back. No library, and nothing but this site is spoken to.
import {gettext} from "./words.js";

const box = document.querySelector(".connect");
if (box) {
  const CONNECT = "standard:connect", SIGN = "solana:signTransaction";
  const list = box.querySelector(".wallets"), none = box.querySelector(".none"), shown = box.querySelector(".connected");
  const alarm = box.querySelector("[role=alert]"), done = box.querySelector(".done");
  const forms = document.querySelectorAll("form.act");
  const wallets = new Set();
  let signer = null;

  const tell = (place, text) => {
    alarm.hidden = done.hidden = true;
    place.textContent = text;
    place.hidden = false;
    place.scrollIntoView({block: "nearest"});
  };

  // What a person types, in thousandths or millionths, without a float in between.
  const whole = (text, digits) => {
    const found = /^\s*(\d{1,12})(?:[.,](\d+))?\s*$/.exec(text);
    if (!found || (found[2] ?? "").length > digits) throw new Error(gettext("Write a number with at most %(digits)s decimals.", {digits}));
    const value = Number(found[1] + (found[2] ?? "").padEnd(digits, "0"));
    if (!Number.isSafeInteger(value)) throw new Error(gettext("That is too much."));
    return value;
  };
  const bytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const base64 = (data) => btoa(String.fromCharCode(...data));

  const send = async (url, body) => {
    const headers = {"Content-Type": "application/json", "Accept": "application/json", "X-Form-Token": box.dataset.formToken};
    const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify(body)});
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.detail);
    return content;
  };

  const wish = (form) => {
    const given = Object.fromEntries(new FormData(form));
    const made = {act: form.dataset.act};
    for (const name of ["side", "asset", "purpose", "source"]) if (given[name]) made[name] = given[name];
    if ("to" in given) made.to = given.to.trim();
    if ("amount" in given) made.amount = whole(given.amount, given.asset === "credit" ? 6 : 3);
    if ("quantity" in given) made.quantity_wh = whole(given.quantity, 3);
    if ("price" in given) made.price_micro_credits_per_kwh = whole(given.price, 6);
    if ("number" in given) made.number = whole(given.number, 0);
    return made;
  };

  const act = async (form) => {
    const prepared = await send(box.dataset.prepare, wish(form));
    const fee = (prepared.fee_lamports / 1e9).toFixed(6);
    tell(done, gettext("%(says)s Your wallet asks you now; the fee is %(fee)s SOL.", {says: prepared.says, fee}));
    const {wallet, account} = signer;
    const input = {account, transaction: bytes(prepared.transaction), chain: box.dataset.chain};
    const [{signedTransaction}] = await wallet.features[SIGN].signTransaction(input);
    const body = {ticket: prepared.ticket, transaction: base64(signedTransaction)};
    let answer = await send(box.dataset.submit, body);
    while (answer.state === "sent") answer = await send(box.dataset.submit, body);
    form.reset();
    const fresh = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    document.querySelector(".holdings").textContent = fresh.querySelector(".holdings")?.textContent ?? "";
    document.querySelector("#cancel-number").replaceChildren(...fresh.querySelector("#cancel-number")?.children ?? []);
    tell(done, gettext("Done: %(says)s Transaction %(signature)s.", answer));
  };

  for (const form of forms) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      button.disabled = true;
      try {
        await act(form);
      } catch (error) {
        tell(alarm, error.message || gettext("Your wallet did not sign."));
      }
      button.disabled = false;
    });
  }

  const connect = async (wallet) => {
    const {accounts} = await wallet.features[CONNECT].connect();
    const usable = accounts.filter((each) => each.features.includes(SIGN));
    if (!usable.length) throw new Error(gettext("%(name)s shows no account of Solana that signs.", wallet));
    const own = usable.find((each) => each.address === box.dataset.wallet);
    shown.querySelector("code").textContent = (own ?? usable[0]).address;
    shown.hidden = false;
    if (box.dataset.custody === "yes") return;
    if (!own) {
      const names = {name: wallet.name, wallet: box.dataset.wallet};
      throw new Error(gettext("%(name)s shows another account than %(wallet)s: choose that one there.", names));
    }
    signer = {wallet, account: own};
    for (const form of forms) form.querySelector("button").disabled = false;
  };

  const fits = (wallet) =>
    wallet?.features?.[CONNECT] && wallet.features[SIGN] && wallet.chains?.some((each) => each.startsWith("solana:"));

  const register = (...given) => {
    for (const wallet of given) {
      if (!fits(wallet) || wallets.has(wallet)) continue;
      wallets.add(wallet);
      const item = document.createElement("li"), name = document.createElement("strong"), button = document.createElement("button");
      name.textContent = wallet.name;
      button.textContent = gettext("Connect");
      button.setAttribute("aria-label", gettext("Connect %(name)s", wallet));
      button.type = "button";
      button.addEventListener("click", async () => {
        alarm.hidden = true;
        try {
          await connect(wallet);
        } catch (error) {
          tell(alarm, error.message || gettext("%(name)s did not connect.", wallet));
        }
      });
      item.append(name, button);
      list.append(item);
      list.hidden = false;
      none.hidden = true;
    }
    return () => undefined;
  };

  const api = Object.freeze({register});
  addEventListener("wallet-standard:register-wallet", ({detail: callback}) => {
    if (typeof callback === "function") callback(api);
  });
  dispatchEvent(new CustomEvent("wallet-standard:app-ready", {detail: api}));
}
