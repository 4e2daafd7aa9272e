// web3.js 1.x: what it says of transactions that landed. Argument: the RPC's URL. Prints JSON.
import w3 from "@solana/web3.js";

const { Connection, Keypair, SystemProgram, Transaction, sendAndConfirmTransaction } = w3;
const connection = new Connection(process.argv[2], "confirmed");
const payer = Keypair.generate();
const target = Keypair.generate().publicKey;
const transfer = (lamports) =>
  new Transaction().add(SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: target, lamports }));
const changed = new Promise((resolve) => connection.onAccountChange(target, (account) => resolve(account.lamports)));
const logged = new Promise((resolve) => connection.onLogs(target, (logs) => resolve(logs.err)));
const owned = new Promise((resolve) =>
  connection.onProgramAccountChange(SystemProgram.programId, (info) => resolve(info.accountId.toBase58()), {
    filters: [{ dataSize: 0 }],
  }),
);

const slot = new Promise((resolve) => connection.onSlotChange((info) => resolve(info.slot)));
const root = new Promise((resolve) => connection.onRootChange(resolve));
const whole = new Promise((resolve) =>
  connection.onSlotUpdate((update) => update.type === "frozen" && resolve(Object.keys(update.stats).length)),
);
await slot; // the subscriptions before it, which are asked for in this order, stand then

const airdrop = await connection.requestAirdrop(payer.publicKey, 1e9);
const latest = await connection.getLatestBlockhash();
const confirmed = [
  (await connection.confirmTransaction(airdrop, "confirmed")).value.err,
  (await connection.confirmTransaction({ signature: airdrop, ...latest }, "finalized")).value.err,
];
await sendAndConfirmTransaction(connection, transfer(1e6), [payer]);
let refused = null;
try {
  await sendAndConfirmTransaction(connection, transfer(2e9), [payer], { skipPreflight: true });
} catch (error) {
  refused = error.message ?? JSON.stringify(error); // where it has landed already, web3.js throws the bare error
}
const answer = {
  confirmed,
  refused,
  balance: await connection.getBalance(target),
  changed: await changed,
  logged: await logged,
  slot: await slot,
  root: await root,
  owned: typeof (await owned),
  whole: await whole,
};
console.log(JSON.stringify(answer));
process.exit(0);
