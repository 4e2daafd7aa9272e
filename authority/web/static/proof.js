// Checks the proof of a kWh (docs/PROTOCOL.md, "The proof of a kWh"): a pure function of the document and of WebCrypto.
// It asks nobody, and what it has to believe `BELIEVED` says; kwh.js shows the outcome.

import {
  CHECKPOINT_PARTS, NotAProof, PIN_PART, bytes, checkCheckpoint, checkPin, flipHex, hex, isAccount, isHex, isText, isWhole,
  isZero, join, need, outcomesOf, requireAddress, requireEd25519, rootOf, same, sha256, text, verified, view,
} from "./entries.js";
import {gettext, ngettext} from "./words.js";

export {FAILS, HOLDS, NOT_CHECKED, NOT_REACHED, NoEd25519, NotAProof, isProven, requireEd25519, short} from "./entries.js";

export const FORMAT = "campus-kwh-1";
const RECORD_SIZE = 96, FRAME_SIZE = 192, HEAD_SIZE = 12, KNOWN_FLAGS = 0x1ff, DOUBTFUL = 0x111;
const KEY_USE_DISCRIMINATOR = "a36f77ebe7850517";
const REGISTERS = ["generation", "consumption", "charge", "discharge"];
const ROLE_REGISTERS = {
  building: REGISTERS, generation: ["generation"], storage: ["charge", "discharge"], load: ["consumption"],
  grid: ["generation", "consumption"],
};
const FLOWS = ["made_wh", "from_battery_wh", "drawn_wh", "used_wh", "into_battery_wh", "given_wh"];

// The document

/** Throws NotAProof unless everything that the checks read is there and of its type. */
export function requireProof(proof) {
  const known = proof !== null && typeof proof === "object" && proof.format === FORMAT;
  const right = known && isHex(proof.network_id, 8) && isWhole(proof.starts_at) && isWhole(proof.ends_at)
    && Array.isArray(proof.meters) && proof.meters.length > 0
    && proof.meters.every(meter => isHex(meter?.meter_id, 32) && isText(meter.role))
    && Array.isArray(proof.readings) && proof.readings.length > 0 && proof.readings.every(each =>
      isWhole(each?.meter) && each.meter < proof.meters.length && isWhole(each.log_index)
      && isHex(each.record_hash, 32) && isHex(each.head) && isHex(each.frame)
      && Array.isArray(each.path) && each.path.length <= 64 && each.path.every(hash => isHex(hash, 32)))
    && Array.isArray(proof.keys) && proof.keys.every(each =>
      isAccount(each) && isWhole(each.meter) && each.meter < proof.meters.length && isHex(each.key, 32))
    && isText(proof.checkpoint?.note) && isHex(proof.checkpoint.key, 32)
    && (proof.pin === null || isAccount(proof.pin) && isWhole(proof.pin.epoch))
    && proof.claim !== null && typeof proof.claim === "object" && FLOWS.every(name => isWhole(proof.claim[name]))
    && isWhole(proof.unheard)
    && (proof.minted_wh === null || isWhole(proof.minted_wh));
  if (!right) throw new NotAProof(known ? gettext("a part of this proof is missing or malformed") : gettext("this is no proof of a kWh"));
}

/** The fields of a record of 96 bytes. */
export function recordOf(record) {
  const at = view(record);
  return {
    sequence: at.getUint32(4, true), end: Number(at.getBigInt64(16, true)),
    registers: [24, 32, 40, 48].map(offset => at.getBigUint64(offset, true)),
    seconds: at.getUint16(56, true), source: record[58], registerEpoch: record[59], flags: at.getUint16(62, true),
    previous: record.slice(64, 80),
  };
}

// The steps

async function checkRecords(proof, readings) {
  for (const each of readings) {
    need(each.frame.length === FRAME_SIZE, gettext("a frame has %(FRAME_SIZE)s bytes, one of these %(frame)s", {FRAME_SIZE, frame: each.frame.length}));
    const {record} = each;
    need(same(await sha256(record), bytes(each.record_hash)),
      gettext("the bytes of reading %(log_index)s have another SHA-256 than the one they are filed under", {log_index: each.log_index}));
    need(hex(record.slice(0, 4)) === "414d5231", gettext("a record starts with AMR1"));
    need(hex(record.slice(8, 16)) === proof.network_id, gettext("a record is of another network"));
    const {end, source, flags} = each.fields = recordOf(record);
    need(source <= 4 && (flags & ~KNOWN_FLAGS) === 0, gettext("a record has a source or a flag that nobody knows"));
    need(end >= proof.starts_at && end <= proof.ends_at, gettext("a record is of another time"));
  }
  let followed = 0;
  for (const its of byMeter(proof, readings)) {
    need(its[0]?.fields.end === proof.starts_at && its.at(-1).fields.end === proof.ends_at,
      gettext("a meter has no reading at the beginning or the end"));
    for (const [place, each] of its.entries()) {
      const before = its[place - 1];
      if (before === undefined) continue;
      need(before.fields.end < each.fields.end, gettext("two records of a meter are of one time"));
      if (!same(before.key, each.key) || before.fields.sequence + 1 !== each.fields.sequence) continue;
      need(same((await sha256(before.record)).slice(0, 16), each.fields.previous),
        gettext("record %(sequence)s names another record as the one before it", {sequence: each.fields.sequence}));
      followed += 1;
    }
  }
  return gettext("%(length)s of 96 bytes, each with the SHA-256 it is filed under, of this network and this time.", {length: ngettext("%(count)s record", "%(count)s records", readings.length)})
    + (followed ? gettext(" %(followed)s name the one before by its hash, so none is missing between them.", {followed: ngettext("%(count)s record", "%(count)s records", followed)}) : "");
}

async function checkSignatures(proof, readings) {
  const outcomes = await Promise.all(readings.map(each => verified(each.key, each.signature, each.record)));
  const wrong = outcomes.indexOf(false);
  need(wrong < 0, gettext("the key did not sign the record of reading %(log_index)s", {log_index: readings[wrong]?.log_index}));
  return gettext("%(length)s verified with the meters' keys.", {length: ngettext("%(count)s Ed25519 signature", "%(count)s Ed25519 signatures", readings.length)});
}

async function checkEnergy(proof, readings) {
  const {flows, surplus, spans, left} = energyOf(proof, readings);
  need(spans > 0, gettext("no two readings of all meters can be compared"));
  for (const name of FLOWS) {
    need(flows[name] === BigInt(proof.claim[name]),
      gettext("the registers give %(wh)s Wh %(what)s, the claim says %(claimed)s", {wh: flows[name], what: name.replace("_wh", "").replaceAll("_", " "), claimed: proof.claim[name]}));
  }
  need(proof.minted_wh === null || BigInt(proof.minted_wh) <= surplus,
    gettext("%(minted_wh)s Wh of tokens are said to be minted, and the meters measured %(surplus)s Wh to spare", {minted_wh: proof.minted_wh, surplus}));
  const doubtful = readings.filter(each => each.fields.flags & DOUBTFUL).length;
  return gettext("The registers' differences over %(spans)s, netted in each, are the energy claimed, to the watt-hour.", {spans: ngettext("%(count)s interval", "%(count)s intervals", spans)})
    + (left ? gettext(" %(left)s in which a register was reset count nothing.", {left: ngettext("%(count)s interval", "%(count)s intervals", left)}) : "")
    + (proof.unheard ? gettext(" %(unheard)s of this member sent nothing in this time.", {unheard: ngettext("%(count)s other meter", "%(count)s other meters", proof.unheard)}) : "")
    + (doubtful ? gettext(" %(doubtful)s the meter itself calls estimated or doubtful.", {doubtful: ngettext("%(count)s reading", "%(count)s readings", doubtful)}) : "")
    + (proof.minted_wh ? gettext(" The %(minted_wh)s Wh of tokens said to be minted are not more than was to spare.", {minted_wh: proof.minted_wh}) : "");
}

async function checkKeys(proof, readings) {
  const known = new Map();
  for (const each of proof.keys) {
    if (each.account === null) return null;
    const data = bytes(each.account);
    need(data.length === 48 && hex(data.slice(0, 8)) === KEY_USE_DISCRIMINATOR && data[8] === 1 && isZero(data.slice(10, 16)),
      gettext("the account is not that of a meter's key"));
    need(hex(data.slice(16, 48)) === proof.meters[each.meter].meter_id, gettext("the chain knows the key as another meter's"));
    await requireAddress(each, [text("key"), bytes(each.key)], data[9]);
    known.set(each.key, each.meter);
  }
  for (const each of readings) need(known.get(hex(each.key)) === each.meter, gettext("a reading is signed with a key of no account here"));
  return gettext("%(size)s: each has its account in the registry program, which names this meter and no other.", {size: ngettext("%(count)s key", "%(count)s keys", known.size)});
}

async function checkLog(proof, readings) {
  for (const each of readings) {
    need(each.head.length === HEAD_SIZE, gettext("a log entry is malformed"));
    const leaf = await sha256(join([0], each.head, each.frame));
    const root = await rootOf(leaf, each.log_index, proof.tree.size, each.path.map(bytes));
    need(root !== null && same(root, proof.tree.root), gettext("entry %(log_index)s does not lead to the root that was signed", {log_index: each.log_index}));
    need(each.head[0] === 1 && (each.head[1] === 1 || each.head[1] === 2), gettext("entry %(log_index)s is not a reading that was taken", {log_index: each.log_index}));
  }
  const held = readings.filter(each => each.head[1] === 2).length;
  return gettext("%(length)s hashed, each leads to the signed root by its path (RFC 6962).", {length: ngettext("%(count)s entry", "%(count)s entries", readings.length)})
    + (held ? gettext(" %(held)s the department held back at first and released later.", {held: ngettext("%(count)s reading", "%(count)s readings", held)}) : "");
}

/** The checks in the order in which they are shown. One that needs another is not reached where that does not hold. */
export const STEPS = [
  {id: "records", title: gettext("The readings are whole"), needs: [], check: checkRecords},
  {id: "signatures", title: gettext("The meters signed them"), needs: ["records"], check: checkSignatures},
  {id: "energy", title: gettext("The registers give this energy"), needs: ["signatures"], check: checkEnergy},
  {id: "keys", title: gettext("The keys are those of enrolled meters"), needs: ["signatures"], check: checkKeys},
  {id: "checkpoint", title: gettext("The department signed its log's state"), needs: [], check: checkCheckpoint},
  {id: "log", title: gettext("The readings stand in that log"), needs: ["signatures", "checkpoint"], check: checkLog},
  {id: "pin", title: gettext("The chain pins that log"), needs: ["checkpoint"], check: checkPin},
];
const MISSING = {
  keys: gettext("The chain did not answer when this proof was made, so nothing says whose keys these are."),
  pin: gettext("No account of the chain is in this proof: the next epoch pins the log, or the chain did not answer. Load the page again later."),
};

/** Each step's outcome, [{id, title, state, words}], in order. NotAProof and NoEd25519 are thrown. */
export async function check(given) {
  requireProof(given);
  await requireEd25519();
  const proof = structuredClone(given);
  const readings = proof.readings.map(each => {
    const frame = bytes(each.frame);
    return {
      ...each, frame, head: bytes(each.head), record: frame.slice(0, RECORD_SIZE), key: frame.slice(96, 128),
      signature: frame.slice(128),
    };
  });
  return outcomesOf(STEPS, MISSING, proof, readings);
}

// Energy: the rule of authority/settlement/surplus.py, from registers

const byMeter = (proof, readings) => proof.meters.map((_, place) => readings.filter(each => each.meter === place)
  .sort((one, other) => one.fields.end - other.fields.end));
const most = (one, other) => one > other ? one : other;

function energyOf(proof, readings) {
  const its = byMeter(proof, readings).map(all => new Map(all.map(each => [each.fields.end, each.fields])));
  const boundaries = [...its[0].keys()].filter(end => its.every(all => all.has(end))).sort((one, other) => one - other);
  const flows = Object.fromEntries(FLOWS.map(name => [name, 0n]));
  let surplus = 0n, spans = 0, left = 0;
  for (const [place, end] of boundaries.entries()) {
    if (place === 0) continue;
    const moved = netted(proof.meters.map((meter, number) => {
      const before = its[number].get(boundaries[place - 1]), after = its[number].get(end);
      return {
        role: meter.role, reset: before.registerEpoch !== after.registerEpoch,
        steps: after.registers.map((value, register) => value - before.registers[register]),
      };
    }));
    if (moved === null) { left += 1; continue; }
    spans += 1;
    for (const name of FLOWS) flows[name] += moved[name];
    surplus += moved.given_wh;
  }
  return {flows, surplus, spans, left};
}

/** The flows of one interval, of [{role, reset, steps}], in Wh (BigInt); null where the rule does not cover it. */
export function netted(meters) {
  const roles = meters.map(meter => meter.role), grids = roles.filter(role => role === "grid").length;
  const alone = roles.includes("building") && roles.length > 1;
  if (alone || grids > 1 || grids && roles.includes("load")) return null;
  const sums = [0n, 0n, 0n, 0n];
  let grid = null;
  for (const {role, reset, steps} of meters) {
    const permitted = ROLE_REGISTERS[role];
    if (reset || permitted === undefined) return null;
    if (steps.some((step, register) => step < 0n || step > 0n && !permitted.includes(REGISTERS[register]))) return null;
    if (role === "grid") grid = steps;
    else steps.forEach((step, register) => { sums[register] += step; });
  }
  const [generation, metered, charge, discharge] = sums;
  const consumption = grid === null ? metered : most(0n, grid[1] + generation + discharge - grid[0] - charge);
  const net = generation + discharge - consumption - charge;
  return {
    made_wh: generation, from_battery_wh: discharge, drawn_wh: most(0n, -net), used_wh: consumption,
    into_battery_wh: charge, given_wh: most(0n, net),
  };
}

/** The accounts of a proof, to be asked for elsewhere. */
export const accountsOf = proof => [...proof.keys, ...proof.pin ? [proof.pin] : []];

// What fails when a byte changes

const inFrame = (first, size) => (proof, at) => {
  const last = proof.readings.at(-1);
  last.frame = flipHex(last.frame, first + at % size);
};

/** Parts of a proof of which a byte can be changed; fails names the step that must notice. */
export const PARTS = [
  {id: "record", title: gettext("a reading"), fails: "records", at: 32, change: inFrame(0, RECORD_SIZE)},
  {id: "signature", title: gettext("a meter's signature"), fails: "signatures", at: 3, change: inFrame(128, 64)},
  {id: "meter-key", title: gettext("a meter's key"), fails: "signatures", at: 3, change: inFrame(96, 32)},
  {id: "claim", title: gettext("the energy claimed"), fails: "energy", at: 0,
    change: (proof, at) => { proof.claim[FLOWS[at % FLOWS.length]] ^= 1; }},
  {id: "key-account", title: gettext("the key's account on the chain"), fails: "keys", at: 20,
    change: (proof, at) => { proof.keys[0].account = flipHex(proof.keys[0].account, at); }},
  ...CHECKPOINT_PARTS,
  {id: "entry", title: gettext("the log's entry"), fails: "log", at: 4,
    change: (proof, at) => { const last = proof.readings.at(-1); last.head = flipHex(last.head, at); }},
  {id: "path", title: gettext("the path to the root"), fails: "log", at: 3, change: (proof, at) => {
    const {path} = proof.readings.at(-1);
    path[0] = flipHex(path[0], at);
  }},
  PIN_PART,
];

/** Whether a proof has a part; a proof without accounts has no pin to change. */
export const hasPart = (proof, id) => id === "pin" ? Boolean(proof.pin?.account)
  : id === "key-account" ? Boolean(proof.keys[0]?.account) : id !== "path" || proof.readings.at(-1).path.length > 0;

/** A copy of a proof in which a byte of a part is changed (of the claim: the lowest bit of a figure). */
export function changed(proof, id, at) {
  const copy = structuredClone(proof), part = PARTS.find(each => each.id === id);
  part.change(copy, at ?? part.at);
  return copy;
}

/** What a check of this kind cannot show, in words. */
export const BELIEVED = [
  gettext("That the accounts' bytes are the chain's. They came with the proof; a node of your own shows it, and its answers can be compared below."),
  gettext("That the receipt key is the department's. Compare it with the one that the department prints or that you kept from before."),
  gettext("That the meters are those of one member, have the roles that the proof says, and measure what flows."),
  gettext("That the figure of minted tokens is what the chain minted in this time."),
  gettext("That this page's own program is honest: it came from the department's server. Save the proof, and check it with a program of your own; docs/PROTOCOL.md says how."),
];
