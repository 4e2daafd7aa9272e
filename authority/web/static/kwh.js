// "Why this kWh is real": fetches a proof, or takes it from a file, has proof.js check it, and shows each step.
import * as kwh from "./proof.js";
import {by, checking, element, inKilowattHours} from "./steps.js";
import {gettext} from "./words.js";

const {NotAProof, recordOf, short} = kwh;
const FLOWS = {
  made_wh: gettext("made"), from_battery_wh: gettext("out of the battery"), drawn_wh: gettext("drawn from the campus grid"), used_wh: gettext("used"),
  into_battery_wh: gettext("into the battery"), given_wh: gettext("given to the campus grid"),
};
const REGISTERS = ["generation", "consumption", "charge", "discharge"];
const page = by("kwh");

/** The time of the proof on the site's clock, such as "29 Nov 2026, 12:00 – 12:15 UTC". */
function span(proof) {
  const moments = [proof.starts_at, proof.ends_at].map(seconds => new Date(seconds * 1000));
  const form = {day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: proof.zone};
  return `${new Intl.DateTimeFormat(document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang, form).formatRange(...moments)}, ${proof.zone}`;
}

function showReadings(proof) {
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
  by("span").textContent = span(proof);
}

const {attempt, start, fetched} = checking(
  page, kwh, gettext("This energy is real: your browser checked every step. What no browser can check stands at the end."),
  proof => {
    showReadings(proof);
    return proof.keys.map(each => [
      gettext("Account of the key of meter %(meter_id)s", {meter_id: short(proof.meters[each.meter].meter_id)}), each.address,
    ]);
  },
);

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

if (page.dataset.proof) await fetched(page.dataset.proof);
