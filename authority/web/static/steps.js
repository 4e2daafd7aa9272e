// What the pages have in common that check a proof: each step with its outcome, the verdict in one sentence, and what a
// changed byte does.

import {FAILS, HOLDS, NOT_CHECKED, NOT_REACHED, NoEd25519, NotAProof, accountsIn, isProven} from "./entries.js";
import {gettext} from "./words.js";

const TOLD = {
  [HOLDS]: gettext("\u2713 holds"), [FAILS]: gettext("\u2717 fails"), [NOT_REACHED]: gettext("\u2013 not reached"), [NOT_CHECKED]: gettext("? not checked"),
};
export const by = id => document.getElementById(id);

/** An element with a text and attributes. */
export function element(name, words, attributes = {}) {
  const made = document.createElement(name);
  if (words !== undefined) made.textContent = words;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Watt-hours (a Number or BigInt) in kWh with three decimals, exactly. */
export function inKilowattHours(wh) {
  const whole = BigInt(wh), size = whole < 0n ? -whole : whole;
  return `${whole < 0n ? "\u2212" : ""}${size / 1000n}.${String(size % 1000n).padStart(3, "0")}`;
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

function showSteps(outcomes) {
  by("steps").replaceChildren(...outcomes.map(({id, title, state, words}) => {
    const item = element("li", undefined, {"data-step": id, "data-state": state});
    const head = element("h3");
    head.append(`${title}: `, element("em", TOLD[state]));
    item.append(head, element("p", words));
    return item;
  }));
}

function showSources(proof, more) {
  const facts = [[gettext("Receipt key"), proof.checkpoint.key], [gettext("The log's state"), proof.checkpoint.note]];
  if (proof.pin) facts.push([gettext("Account that pins it (epoch %(epoch)s)", {epoch: proof.pin.epoch}), proof.pin.address]);
  facts.push(...more);
  by("sources").replaceChildren(...facts.map(([words, value]) => {
    const pair = element("div");
    const shown = element("dd");
    shown.append(element("code", value));
    pair.append(element("dt", words), shown);
    return pair;
  }));
}

/**
 * A page on which proofs of a kind are checked: `kind` is a module as proof.js, `holds` says that all of one holds, and
 * `show` shows what stands in it and gives its keys and accounts, [[what it is, its value]].
 */
export function checking(page, kind, holds, show) {
  const {PARTS} = kind;
  let proof = null;

  async function run(shown, tampered) {
    say(gettext("Checking..."), "none");
    const outcomes = await kind.check(shown);
    showSteps(outcomes);
    by("checked").hidden = false;
    const failed = outcomes.filter(each => each.state === FAILS), open = outcomes.filter(each => each.state === NOT_CHECKED);
    if (tampered) {
      say(failed.length ? gettext("With one byte changed in %(tampered)s: \"%(title)s\" fails.", {tampered, title: failed[0].title}) : gettext("Nothing noticed the change in %(tampered)s.", {tampered}), "bad");
    } else if (isProven(outcomes)) {
      say(holds, "good");
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
    kind.requireProof(given);
    proof = given;
    showSources(proof, show(proof));
    by("part").replaceChildren(...PARTS.filter(part => kind.hasPart(proof, part.id))
      .map(part => element("option", part.title, {value: part.id})));
    by("back").disabled = true;
    await run(proof);
  }

  by("believed").replaceChildren(...kind.BELIEVED.map(words => element("li", words)));
  by("change").addEventListener("click", () => attempt(async () => {
    const part = PARTS.find(each => each.id === by("part").value);
    by("back").disabled = false;
    await run(kind.changed(proof, part.id), part.title);
  }));
  by("back").addEventListener("click", () => attempt(async () => {
    by("change").focus();
    by("back").disabled = true;
    await run(proof);
  }));
  by("compare").addEventListener("click", () => {
    const told = by("compared");
    try {
      const known = accountsIn(kind.accountsOf(proof), by("answer").value);
      told.dataset.tone = known.length ? "good" : "bad";
      told.textContent = known.length ? gettext("The same: %(known)s.", {known: known[0]})
        : gettext("Your node says something else than every account of this proof. Look whether you asked for one of them.");
    } catch (error) {
      told.dataset.tone = "bad";
      told.textContent = gettext("%(sentence)s.", {sentence: `${error.message[0].toUpperCase()}${error.message.slice(1)}`});
    }
  });
  return {
    attempt,
    start,
    /** Check the proof at an address. */
    fetched: url => attempt(async () => {
      const answer = await fetch(url, {headers: {"Accept": "application/json"}});
      const content = await answer.json();
      if (!answer.ok) throw new NotAProof(content.detail);
      await start(content);
    }),
  };
}
