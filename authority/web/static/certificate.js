// Checks a certificate of retirement (docs/PROTOCOL.md, "The proof of a certificate"): a pure function of the document and
// of WebCrypto. It asks nobody, and what it has to believe `BELIEVED` says; certificate_check.js shows the outcome.

import {
  CHECKPOINT_PARTS, NotAProof, PIN_PART, bytes, checkCheckpoint, checkPin, flipHex, hex, isAccount, isHex, isText, isWhole,
  join, need, outcomesOf, requireEd25519, rootOf, same, sha256, unbase58, verified, view,
} from "./entries.js";
import {gettext, ngettext} from "./words.js";

export {NotAProof, isProven} from "./entries.js";
export const FORMAT = "campus-certificate-1";
const RETIRE_ENERGY = "b591faad7d688d09", ACT = 2, CONSUMPTION = 0;

// The document

const isEntry = each => each !== null && typeof each === "object" && isWhole(each.log_index) && isHex(each.leaf)
  && Array.isArray(each.path) && each.path.length <= 64 && each.path.every(hash => isHex(hash, 32));

/** Throws NotAProof unless everything that the checks read is there and of its type. */
export function requireProof(proof) {
  const known = proof !== null && typeof proof === "object" && proof.format === FORMAT;
  const right = known && isHex(proof.network_id, 8) && isText(proof.program) && isText(proof.wallet)
    && [proof.bill, proof.period, proof.wh, proof.untold_wh, proof.first, proof.of].every(isWhole)
    && isEntry(proof.issued) && isHex(proof.issued.sha256, 32)
    && Array.isArray(proof.retired) && proof.retired.every(each => isEntry(each) && isWhole(each.wh)
      && isText(each.signature) && (each.transaction === null || isHex(each.transaction)))
    && isText(proof.checkpoint?.note) && isHex(proof.checkpoint.key, 32)
    && (proof.pin === null || isAccount(proof.pin) && isWhole(proof.pin.epoch));
  if (!right) throw new NotAProof(known ? gettext("a part of this proof is missing or malformed") : gettext("this is no proof of a certificate"));
}

/** The accounts of a proof, to be asked for elsewhere. */
export const accountsOf = proof => proof.pin ? [proof.pin] : [];

// The steps

const entriesOf = proof => [proof.issued, ...proof.retired];

async function checkLog(proof) {
  for (const {log_index, leaf, path} of entriesOf(proof)) {
    const root = await rootOf(await sha256(join([0], bytes(leaf))), log_index, proof.tree.size, path.map(bytes));
    need(root !== null && same(root, proof.tree.root), gettext("entry %(log_index)s does not lead to the root that was signed", {log_index}));
  }
  return gettext("%(length)s hashed, each leads to the signed root by its path (RFC 6962).", {length: ngettext("%(count)s entry", "%(count)s entries", entriesOf(proof).length)});
}

function actOf({leaf}) {
  const data = bytes(leaf);
  need(data[0] === ACT, gettext("an entry is no act of the department"));
  return JSON.parse(new TextDecoder("utf-8", {fatal: true}).decode(data.slice(1)));
}

function checkDocument(proof) {
  const {kind, data} = actOf(proof.issued);
  need(kind === "bill_issued" && data.number === proof.bill && data.period === proof.period && data.wallet === proof.wallet,
    gettext("entry %(log_index)s is not that of this bill, period and account", {log_index: proof.issued.log_index}));
  need(data.sha256 === proof.issued.sha256, gettext("the bill was issued with another document"));
  return gettext("Entry %(log_index)s says that bill %(bill)s of this account was issued, with a document of this SHA-256.", {log_index: proof.issued.log_index, bill: proof.bill});
}

function checkRetirements(proof) {
  const places = new Set(proof.retired.map(each => each.log_index));
  need(places.size === proof.retired.length, gettext("an entry is counted twice"));
  for (const each of proof.retired) {
    const {kind, data} = actOf(each);
    need(kind === "retire_energy" && data.reason === "consumption" && data.period === proof.period && data.wallet === proof.wallet,
      gettext("entry %(log_index)s is no retirement for this account and period", {log_index: each.log_index}));
    need(data.amount === each.wh && data.signature === each.signature,
      gettext("entry %(log_index)s names another amount or another transaction", {log_index: each.log_index}));
  }
  return gettext("%(length)s for this account and period, each with its amount and its transaction.", {length: ngettext("%(count)s retirement", "%(count)s retirements", proof.retired.length)});
}

/** A transaction's first signature, signers, signed message, and what it has the program retire, [{period, wh}]. */
function parsed(wire, program) {
  let at = 0;
  const number = () => {  // Solana's compact-u16
    let value = 0, shift = 0, byte;
    do {
      byte = wire[at++];
      need(byte !== undefined && shift < 21, gettext("a transaction is malformed"));
      value |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte & 0x80);
    return value;
  };
  const take = size => {
    need(at + size <= wire.length, gettext("a transaction is malformed"));
    at += size;
    return wire.slice(at - size, at);
  };
  const signatures = Array.from({length: number()}, () => take(64)), message = wire.slice(at);
  if (wire[at] & 0x80) need(take(1)[0] === 0x80, gettext("a transaction is malformed"));
  const [signers] = take(3), keys = Array.from({length: number()}, () => take(32));
  need(signers === signatures.length && signers > 0 && signers <= keys.length, gettext("a transaction is malformed"));
  take(32);
  const retired = [];
  for (let left = number(); left > 0; left -= 1) {
    const key = keys[take(1)[0]];
    take(number());
    const data = take(number());
    if (key === undefined || !same(key, program) || hex(data.slice(0, 8)) !== RETIRE_ENERGY || data[8] !== CONSUMPTION) continue;
    retired.push({period: view(data).getUint32(9, true), wh: view(data).getBigUint64(13, true)});
  }
  return {signatures, keys, message, retired};
}

async function checkTransactions(proof) {
  if (proof.retired.some(each => each.transaction === null)) return null;
  const program = unbase58(proof.program), read = new Map();
  for (const {signature, wh, transaction} of proof.retired) {
    if (!read.has(signature)) {
      const found = parsed(bytes(transaction), program);
      need(same(found.signatures[0], unbase58(signature, 64)), gettext("a transaction has another signature than the one in the log"));
      for (const [place, its] of found.signatures.entries()) {
        need(await verified(found.keys[place], its, found.message), gettext("a transaction was not signed like this"));
      }
      read.set(signature, found.retired);
    }
    const place = read.get(signature).findIndex(each => each.period === proof.period && each.wh === BigInt(wh));
    need(place >= 0, gettext("a transaction does not retire this energy for this period"));
    read.get(signature).splice(place, 1);
  }
  return gettext("%(length)s, each with all its Ed25519 signatures, and with the order to burn just this energy for this period.", {length: ngettext("%(count)s transaction", "%(count)s transactions", read.size)});
}

function checkSum(proof) {
  const sum = proof.retired.reduce((before, each) => before + BigInt(each.wh), 0n) + BigInt(proof.untold_wh);
  if (proof.retired.length < proof.of || proof.untold_wh) {
    need(sum <= BigInt(proof.wh), gettext("the retirements are more than the certificate says"));
    return null;
  }
  need(sum === BigInt(proof.wh), gettext("the retirements are %(sum)s Wh, the certificate says %(wh)s", {sum, wh: proof.wh}));
  return gettext("Together they are the energy of the certificate, to the watt-hour.");
}

/** The checks in the order in which they are shown. One that needs another is not reached where that does not hold. */
export const STEPS = [
  {id: "checkpoint", title: gettext("The department signed its log's state"), needs: [], check: checkCheckpoint},
  {id: "log", title: gettext("The entries stand in that log"), needs: ["checkpoint"], check: checkLog},
  {id: "pin", title: gettext("The chain pins that log"), needs: ["checkpoint"], check: checkPin},
  {id: "document", title: gettext("The bill was issued"), needs: ["log"], check: checkDocument},
  {id: "retirements", title: gettext("The entries are these retirements"), needs: ["log"], check: checkRetirements},
  {id: "transactions", title: gettext("Signed transactions burnt the energy"), needs: ["retirements"], check: checkTransactions},
  {id: "sum", title: gettext("Together they are the certificate's energy"), needs: ["retirements"], check: checkSum},
];
const MISSING = {
  pin: gettext("No account of the chain is in this proof: the next epoch pins the log, or the chain did not answer. Load the page again later."),
  transactions: gettext("A transaction is not in this proof: the chain did not answer, or has it no more."),
  sum: gettext("Not every retirement is here: some are on the next pages, or were of the member's own wallet, which the log does not name."),
};

/** Each step's outcome, [{id, title, state, words}], in order. NotAProof and NoEd25519 are thrown. */
export async function check(given) {
  requireProof(given);
  await requireEd25519();
  return outcomesOf(STEPS, MISSING, structuredClone(given));
}

// What fails when a byte changes

const last = proof => proof.retired.at(-1);

/** Parts of a proof of which a byte can be changed; fails names the step that must notice. */
export const PARTS = [
  ...CHECKPOINT_PARTS,
  {id: "issued", title: gettext("the entry of the bill"), fails: "log", at: 40,
    change: (proof, at) => { proof.issued.leaf = flipHex(proof.issued.leaf, at); }},
  {id: "entry", title: gettext("the entry of a retirement"), fails: "log", at: 40,
    change: (proof, at) => { last(proof).leaf = flipHex(last(proof).leaf, at); }},
  {id: "path", title: gettext("the path to the root"), fails: "log", at: 3,
    change: (proof, at) => { last(proof).path[0] = flipHex(last(proof).path[0], at); }},
  PIN_PART,
  {id: "sha256", title: gettext("the document's SHA-256"), fails: "document", at: 3,
    change: (proof, at) => { proof.issued.sha256 = flipHex(proof.issued.sha256, at); }},
  {id: "amount", title: gettext("the energy of a retirement"), fails: "retirements", at: 0,
    change: proof => { last(proof).wh ^= 1; }},
  {id: "transaction", title: gettext("a transaction"), fails: "transactions", at: 80,
    change: (proof, at) => { last(proof).transaction = flipHex(last(proof).transaction, at); }},
  {id: "claim", title: gettext("the energy of the certificate"), fails: "sum", at: 0, change: proof => { proof.wh ^= 1; }},
];

/** Whether a proof has a part. */
export function hasPart(proof, id) {
  if (id === "pin") return Boolean(proof.pin?.account);
  if (id === "claim") return proof.retired.length === proof.of && !proof.untold_wh;
  if (id === "transaction") return Boolean(last(proof)?.transaction);
  return id === "path" ? Boolean(last(proof)?.path.length) : !["entry", "amount"].includes(id) || proof.retired.length > 0;
}

/** A copy of a proof in which a byte of a part is changed (of a figure: its lowest bit). */
export function changed(proof, id, at) {
  const copy = structuredClone(proof), part = PARTS.find(each => each.id === id);
  part.change(copy, at ?? part.at);
  return copy;
}

/** What a check of this kind cannot show, in words. */
export const BELIEVED = [
  gettext("That the transactions landed, and did so without an error. A node of your own says so of each signature."),
  gettext("That the account's bytes are the chain's. They came with the proof; a node of your own shows it, and its answers can be compared below."),
  gettext("That the receipt key is the department's, and the program below the one that keeps its energy tokens. Compare both with what the department prints or you kept from before."),
  gettext("That this page's own program is honest: it came from the department's server. Save the proof, and check it with a program of your own; docs/PROTOCOL.md says how."),
];
