// "Why this kWh is real": fetches a proof, or takes it from a file, has proof.js check it, and shows each step.
import {
  BELIEVED, FAILS, HOLDS, NOT_CHECKED, NOT_REACHED, NoEd25519, NotAProof, PARTS, accountsIn, changed, check, hasPart,
  isProven, recordOf, requireProof, short,
} from "./proof.js";
import {gettext} from "./words.js";

const TOLD = {
  [HOLDS]: gettext("\u2713 holds"), [FAILS]: gettext("\u2717 fails"), [NOT_REACHED]: gettext("\u2013 not reached"), [NOT_CHECKED]: gettext("? not checked"),
};
const FLOWS = {
  made_wh: gettext("made"), from_battery_wh: gettext("out of the battery"), drawn_wh: gettext("drawn from the campus grid"), used_wh: gettext("used"),
  into_battery_wh: gettext("into the battery"), given_wh: gettext("given to the campus grid"),
};
const REGISTERS = ["generation", "consumption", "charge", "discharge"];
const by = id => document.getElementById(id);
const page = by("kwh");
let proof = null;

function element(name, words, attributes = {}) {
  const made = document.createElement(name);
  if (words !== undefined) made.textContent = words;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Watt-hours (a Number or BigInt) in kWh with three decimals, exactly. */
function inKilowattHours(wh) {
  const whole = BigInt(wh), size = whole < 0n ? -whole : whole;
  return `${whole < 0n ? "\u2212" : ""}${size / 1000n}.${String(size % 1000n).padStart(3, "0")}`;
}

/** The time of the proof on the site's clock, such as "29 Nov 2026, 12:00 – 12:15 UTC". */
function span() {
  const moments = [proof.starts_at, proof.ends_at].map(seconds => new Date(seconds * 1000));
  const form = {day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: proof.zone};
  return `${new Intl.DateTimeFormat(document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang, form).formatRange(...moments)}, ${proof.zone}`;
}

function say(words, tone) {
  const verdict = by("verdict");
  verdict.textContent = words;
  verdict.dataset.tone = tone;
}

function alarm(words) {
  by("checked").hidden = true;
  say(words, "bad");
}

function showReadings() {
  const rows = by("registers");
  rows.replaceChildren();
  for (const [place, meter] of proof.meters.entries()) {
    const its = proof.readings.filter(each => each.meter === place).map(each => recordOf(
      Uint8Array.from(each.frame.slice(0, 192).match(/../g), pair => parseInt(pair, 16))));
    its.sort((one, other) => one.end - other.end);
    const first = its[0], last = its.at(-1);
    for (const [register, name] of REGISTERS.entries()) {
      const before = first.registers[register], after = last.registers[register];
      if (before === after) continue;
      const row = element("tr");
      row.append(element("th", `${short(meter.meter_id)}, ${gettext(name)}`, {scope: "row"}));
      for (const value of [before, after, after - before]) row.append(element("td", inKilowattHours(value), {class: "right"}));
      rows.append(row);
    }
  }
  by("claims").replaceChildren(...Object.entries(FLOWS).filter(([name]) => proof.claim[name]).map(([name, words]) => {
    const pair = element("div");
    pair.append(element("dt", words), element("dd", `${inKilowattHours(proof.claim[name])} kWh`));
    return pair;
  }));
  by("span").textContent = span();
}

function showSteps(outcomes) {
  by("steps").replaceChildren(...outcomes.map(({id, title, state, words}) => {
    const item = element("li", undefined, {"data-step": id, "data-state": state});
    const head = element("h3");
    head.append(`${title}: `, element("em", TOLD[state]));
    item.append(head, element("p", words));
    return item;
  }));
}

function showSources() {
  const facts = [[gettext("Receipt key"), proof.checkpoint.key], [gettext("The log's state"), proof.checkpoint.note]];
  if (proof.pin) facts.push([gettext("Account that pins it (epoch %(epoch)s)", {epoch: proof.pin.epoch}), proof.pin.address]);
  for (const each of proof.keys) facts.push([gettext("Account of the key of meter %(meter_id)s", {meter_id: short(proof.meters[each.meter].meter_id)}), each.address]);
  by("sources").replaceChildren(...facts.map(([words, value]) => {
    const pair = element("div");
    const shown = element("dd");
    shown.append(element("code", value));
    pair.append(element("dt", words), shown);
    return pair;
  }));
}

async function run(shown, tampered) {
  say(gettext("Checking..."), "none");
  const outcomes = await check(shown);
  showSteps(outcomes);
  by("checked").hidden = false;
  const failed = outcomes.filter(each => each.state === FAILS), open = outcomes.filter(each => each.state === NOT_CHECKED);
  if (tampered) {
    say(failed.length ? gettext("With one byte changed in %(tampered)s: \"%(title)s\" fails.", {tampered, title: failed[0].title}) : gettext("Nothing noticed the change in %(tampered)s.", {tampered}), "bad");
  } else if (isProven(outcomes)) {
    say(gettext("This energy is real: your browser checked every step. What no browser can check stands at the end."), "good");
  } else if (failed.length) {
    say(gettext("Do not believe this proof: \"%(title)s\" fails. Keep it, and ask the department.", {title: failed[0].title}), "bad");
  } else {
    say(gettext("What was checked holds, but the proof is not complete: \"%(title)s\" could not be checked.", {title: open[0].title}), "none");
  }
}

async function attempt(work) {
  page.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (error instanceof NoEd25519) {
      alarm(gettext("Not checked: this browser cannot verify Ed25519 signatures here. Take a newer one, over HTTPS, or check the saved proof elsewhere."));
    } else if (error instanceof NotAProof) {
      alarm(gettext("Not checked: %(message)s.", {message: error.message}));
    } else {
      alarm(gettext("Not checked: %(message)s.", {message: error.message || gettext("something went wrong in this page")}));
    }
  } finally {
    page.removeAttribute("aria-busy");
  }
}

async function start(given) {
  requireProof(given);
  proof = given;
  showReadings();
  showSources();
  by("part").replaceChildren(...PARTS.filter(part => hasPart(proof, part.id))
    .map(part => element("option", part.title, {value: part.id})));
  by("back").disabled = true;
  await run(proof);
}

by("believed").replaceChildren(...BELIEVED.map(words => element("li", words)));
by("change").addEventListener("click", () => attempt(async () => {
  const part = PARTS.find(each => each.id === by("part").value);
  by("back").disabled = false;
  await run(changed(proof, part.id), part.title);
}));
by("back").addEventListener("click", () => attempt(async () => {
  by("change").focus();
  by("back").disabled = true;
  await run(proof);
}));

by("compare").addEventListener("click", () => {
  const told = by("compared");
  try {
    const known = accountsIn(proof, by("answer").value);
    told.dataset.tone = known.length ? "good" : "bad";
    told.textContent = known.length ? gettext("The same: %(known)s.", {known: known[0]})
      : gettext("Your node says something else than every account of this proof. Look whether you asked for one of them.");
  } catch (error) {
    told.dataset.tone = "bad";
    told.textContent = gettext("%(sentence)s.", {sentence: `${error.message[0].toUpperCase()}${error.message.slice(1)}`});
  }
});

const file = by("file");
async function take(chosen) {
  await attempt(async () => {
    if (chosen.size > 8_000_000) throw new NotAProof(gettext("this file is too large for a proof"));
    let read;
    try {
      read = JSON.parse(await chosen.text());
    } catch {
      throw new NotAProof(gettext("this file is no proof of a kWh"));
    }
    await start(read);
  });
}
file?.addEventListener("change", () => { if (file.files.length) take(file.files[0]); });
if (file) {
  page.addEventListener("dragover", event => event.preventDefault());
  page.addEventListener("drop", event => {
    event.preventDefault();
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

if (page.dataset.proof) {
  await attempt(async () => {
    const answer = await fetch(page.dataset.proof, {headers: {"Accept": "application/json"}});
    const content = await answer.json();
    if (!answer.ok) throw new NotAProof(content.detail);
    await start(content);
  });
}
