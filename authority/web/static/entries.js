// What the proofs that a browser checks have in common (docs/PROTOCOL.md): bytes, hashes and signatures, the log's signed
// checkpoint, paths to its root, the account that pins it, and how steps rest on each other. It asks nobody.

import {gettext} from "./words.js";

export const HOLDS = "holds", FAILS = "fails", NOT_REACHED = "not reached", NOT_CHECKED = "not checked";
const PIN_DISCRIMINATOR = "1378ff73f8ae543e";
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** What a document that is no proof is refused with. */
export class NotAProof extends Error {}
/** What a browser without Ed25519 is told with. */
export class NoEd25519 extends Error {}
/** What a step that does not hold is left with. */
export class Fails extends Error {}

export const need = (condition, words) => { if (!condition) throw new Fails(words); };
export const bytes = hex => Uint8Array.from(hex.match(/../g) ?? [], pair => parseInt(pair, 16));
export const hex = data => Array.from(data, byte => byte.toString(16).padStart(2, "0")).join("");
export const text = words => new TextEncoder().encode(words);
export const join = (...parts) => new Uint8Array(parts.flatMap(part => [...part]));
export const same = (one, other) => one.length === other.length && one.every((byte, place) => byte === other[place]);
export const unbase64 = words => Uint8Array.from(atob(words), letter => letter.charCodeAt(0));
export const sha256 = async data => new Uint8Array(await crypto.subtle.digest("SHA-256", data));
export const view = data => new DataView(data.buffer, data.byteOffset, data.byteLength);
export const short = id => id.slice(0, 8);

/** The bytes that a text in base58 stands for: those of an address, or so many. */
export function unbase58(words, size = 32) {
  let number = 0n;
  for (const letter of words) {
    const digit = ALPHABET.indexOf(letter);
    need(digit >= 0, gettext("%(words)s is no address", {words}));
    number = number * 58n + BigInt(digit);
  }
  need(number < 1n << BigInt(8 * size), gettext("%(words)s is no address", {words}));
  return bytes(number.toString(16).padStart(2 * size, "0"));
}

export async function verified(key, signature, message) {
  try {
    const imported = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, signature, message);
  } catch {
    return false;
  }
}

// RFC 8032, 7.1, test 2: a key, the signature of the one byte 0x72, and the same with a bit changed.
const TEST_KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
const TEST_SIGNATURE = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

/** Throws NoEd25519 unless the browser takes a right signature and refuses a wrong one. */
export async function requireEd25519() {
  const right = bytes(TEST_SIGNATURE), wrong = bytes(TEST_SIGNATURE);
  wrong[0] ^= 1;
  const works = globalThis.crypto?.subtle !== undefined
    && await verified(bytes(TEST_KEY), right, Uint8Array.of(0x72))
    && !await verified(bytes(TEST_KEY), wrong, Uint8Array.of(0x72));
  if (!works) throw new NoEd25519();
}

export const isZero = data => data.every(byte => byte === 0);

// Parts of documents

export const isHex = (value, size) => typeof value === "string" && /^([0-9a-f]{2})*$/.test(value)
  && (size === undefined || value.length === 2 * size);
export const isWhole = value => Number.isSafeInteger(value) && value >= 0;
export const isText = value => typeof value === "string" && value.length < 100_000;
export const isAccount = value => value !== null && typeof value === "object" && isText(value.program) && isText(value.address)
  && (value.account === null || isHex(value.account));

// Hashes and addresses

/** Base64 as it must be written; null otherwise, so that no other text stands for the same bytes. */
export function canonical(words) {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(words ?? "") || words.length % 4) return null;
  const raw = unbase64(words);
  return btoa(String.fromCharCode(...raw)) === words ? raw : null;
}

/** The root to which an inclusion path leads (RFC 9162, 2.1.3.2); null where it has another shape. */
export async function rootOf(leaf, index, size, path) {
  if (index >= size) return null;
  let fn = BigInt(index), sn = BigInt(size) - 1n, value = leaf;
  for (const sibling of path) {
    if (sn === 0n) return null;
    if (fn & 1n || fn === sn) {
      value = await sha256(join([1], sibling, value));
      while (!(fn & 1n) && fn) { fn >>= 1n; sn >>= 1n; }
    } else {
      value = await sha256(join([1], value, sibling));
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n ? value : null;
}

/** An account's address follows from its program and seeds, so the program alone can have made the account. */
export async function requireAddress({program, address}, seeds, bump) {
  const derived = await sha256(join(...seeds, [bump], unbase58(program), text("ProgramDerivedAddress")));
  need(same(derived, unbase58(address)), gettext("the account's address is not the one that follows from its program"));
}

/** Which of these accounts a node's answer to getAccountInfo (JSON, base64) has: their addresses; none where others. */
export function accountsIn(accounts, answer) {
  let value;
  try {
    value = JSON.parse(answer)?.result?.value;
    const [encoded, encoding] = value.data;
    if (encoding !== "base64") throw new NotAProof(gettext("the answer is not in base64: ask with the encoding base64"));
    value = {owner: value.owner, data: hex(unbase64(encoded))};
  } catch (error) {
    throw error instanceof NotAProof ? error : new NotAProof(gettext("this is no answer to getAccountInfo"));
  }
  return accounts
    .filter(each => each.account !== null && value.owner === each.program && value.data.startsWith(each.account))
    .map(each => each.address);
}

// The log's checkpoint, and its pin

/** That the receipt key signed the checkpoint, {note, key}; then proof.tree has its size and root. */
export async function checkCheckpoint(proof) {
  const {note, key} = proof.checkpoint, cut = note.lastIndexOf("\n\n");
  need(cut > 0 && note.endsWith("\n"), gettext("the checkpoint is no signed note"));
  const signed = note.slice(0, cut + 1), name = `ami/log/${proof.network_id}`;
  const id = (await sha256(join(text(`${name}\n`), [1], bytes(key)))).slice(0, 4);
  const raw = note.slice(cut + 2, -1).split("\n").map(line => line.split(" "))
    .filter(([dash, who, , more]) => dash === "\u2014" && who === name && more === undefined)
    .map(([, , signature]) => canonical(signature)).find(found => found !== null && same(found.slice(0, 4), id));
  need(raw?.length === 68, gettext("the receipt key did not sign this checkpoint"));
  need(await verified(bytes(key), raw.slice(4), text(signed)), gettext("the signature is not the receipt key's over this text"));
  const lines = signed.slice(0, -1).split("\n");
  need(lines.length === 3 && lines[0] === name && /^[1-9][0-9]{0,15}$/.test(lines[1]), gettext("the checkpoint's text is malformed"));
  const root = canonical(lines[2]);
  need(root?.length === 32, gettext("the checkpoint's root is malformed"));
  proof.tree = {size: Number(lines[1]), root};
  return gettext("Signed with the key that this proof names as the department's receipt key: the log has %(lines)s entries, and the root %(root)s...", {lines: lines[1], root: hex(root).slice(0, 16)});
}

/** That the account of proof.pin pins proof.tree; null where there is no account. */
export async function checkPin(proof) {
  if (proof.pin === null || proof.pin.account === null) return null;
  const data = bytes(proof.pin.account);
  need(data.length === 56 && hex(data.slice(0, 8)) === PIN_DISCRIMINATOR && data[8] === 1 && isZero(data.slice(10, 12)),
    gettext("the account is not an epoch's checkpoint"));
  const at = view(data), epoch = data.slice(12, 16);
  need(at.getUint32(12, true) === proof.pin.epoch, gettext("the account is another epoch's"));
  await requireAddress(proof.pin, [text("epoch"), epoch], data[9]);
  need(at.getBigUint64(16, true) === BigInt(proof.tree.size), gettext("the chain pins another size of the log"));
  need(same(data.slice(24, 56), proof.tree.root), gettext("the chain pins another root of the log"));
  return gettext("The account of epoch %(epoch)s pins just this size and this root. Its address follows from the oracle program and the epoch.", {epoch: proof.pin.epoch});
}

/** The outcome of steps [{id, title, needs, check}], [{id, title, state, words}]: a check takes the proof and `parts`. */
export async function outcomesOf(steps, missing, proof, parts) {
  const outcomes = [], state = {};
  for (const {id, title, needs, check} of steps) {
    const lacking = needs.find(name => state[name] !== HOLDS);
    let words;
    if (lacking !== undefined) {
      state[id] = NOT_REACHED;
      words = gettext("It rests on \"%(title)s\".", {title: steps.find(step => step.id === lacking).title});
    } else {
      try {
        words = await check(proof, parts);
        state[id] = words === null ? NOT_CHECKED : HOLDS;
        words ??= missing[id];
      } catch (error) {
        state[id] = FAILS;
        words = error instanceof Fails ? gettext("%(sentence)s.", {sentence: `${error.message[0].toUpperCase()}${error.message.slice(1)}`}) : gettext("It is malformed.");
      }
    }
    outcomes.push({id, title, state: state[id], words});
  }
  return outcomes;
}

/** Whether all that there is to check holds. */
export const isProven = outcomes => outcomes.every(each => each.state === HOLDS);

// What fails when a byte changes

export const flipHex = (words, at) => {
  const data = bytes(words);
  data[at % data.length] ^= 1;
  return hex(data);
};
export const otherLetter = (words, at) => `${words.slice(0, at)}${words[at] === "A" ? "B" : "A"}${words.slice(at + 1)}`;

/** Parts of the checkpoint, as proof.js has PARTS. */
export const CHECKPOINT_PARTS = [
  {id: "checkpoint", title: gettext("the checkpoint's text"), fails: "checkpoint", at: 40, change: (proof, at) => {
    const length = proof.checkpoint.note.lastIndexOf("\n\n");
    proof.checkpoint.note = otherLetter(proof.checkpoint.note, at % length);
  }},
  {id: "checkpoint-signature", title: gettext("the checkpoint's signature"), fails: "checkpoint", at: 20, change: (proof, at) => {
    const first = proof.checkpoint.note.lastIndexOf(" ") + 1;
    proof.checkpoint.note = otherLetter(proof.checkpoint.note, first + at % (proof.checkpoint.note.length - first));
  }},
  {id: "receipt-key", title: gettext("the receipt key"), fails: "checkpoint", at: 3,
    change: (proof, at) => { proof.checkpoint.key = flipHex(proof.checkpoint.key, at); }},
];
export const PIN_PART = {
  id: "pin", title: gettext("the pin on the chain"), fails: "pin", at: 30,
  change: (proof, at) => { proof.pin.account = flipHex(proof.pin.account, at); },
};
