// The auditor's pages: clears a book again in the browser, and follows a running audit. The pages work without it.
import {faults, parse} from "./book.js";
import {gettext} from "./words.js";

const hex = data => Array.from(new Uint8Array(data), byte => byte.toString(16).padStart(2, "0")).join("");

const again = document.getElementById("again");
if (again) {
  const show = (state, told, words) => {
    again.dataset.state = state;
    again.querySelector("em").textContent = told;
    again.querySelector("p").textContent = words;
  };
  try {
    const answer = await fetch(again.dataset.book);
    if (!answer.ok) throw new Error(gettext("the book cannot be fetched"));
    const data = new Uint8Array(await answer.arrayBuffer()), found = faults(parse(data));
    const hash = globalThis.crypto?.subtle ? hex(await crypto.subtle.digest("SHA-256", data)) : "";
    const {pinned} = again.dataset;
    if (pinned && hash && hash !== pinned) found.push(gettext("its SHA-256 is not the one that the chain pins"));
    if (found.length) show("fails", gettext("\u2717 otherwise"), gettext("%(sentence)s.", {sentence: `${found[0][0].toUpperCase()}${found.join("; ").slice(1)}`}));
    else show("holds", gettext("\u2713 the same"), pinned && hash ? gettext("Price, interval, volume, fills and fees are what the rule makes of these orders, and its SHA-256 is the one that the chain is said to pin.")
      : gettext("Price, interval, volume, fills and fees are what the rule makes of these orders."));
  } catch (error) {
    show("fails", gettext("\u2717 not done"), gettext("%(sentence)s.", {sentence: error.message}));
  }
}

const job = document.getElementById("job");
if (job) {
  const follow = async () => {
    try {
      const answer = await fetch(job.dataset.stateUrl, {headers: {"Accept": "application/json"}});
      const state = await answer.json();
      if (!answer.ok || state.state !== "running") {
        location.reload();
        return;
      }
      const bar = document.getElementById("taken");
      bar.max = state.of || 1;
      bar.value = state.taken;
      document.getElementById("taken-words").textContent = gettext("%(taken)s of %(all)s", {taken: state.taken, all: state.of || "?"});
    } catch { /* the service may be restarting: asked again below */ }
    setTimeout(follow, 2000);
  };
  setTimeout(follow, 1000);
}
