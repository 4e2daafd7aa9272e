// @solana/kit: what it says of transactions that landed. Arguments: the URLs of the RPC and of its subscriptions.
import * as kit from "@solana/kit";
import * as system from "@solana-program/system";

const rpc = kit.createSolanaRpc(process.argv[2]);
const rpcSubscriptions = kit.createSolanaRpcSubscriptions(process.argv[3]);
const payer = await kit.generateKeyPairSigner();
const target = await kit.generateKeyPairSigner();

await kit.airdropFactory({ rpc, rpcSubscriptions })({
  commitment: "confirmed",
  lamports: kit.lamports(1_000_000_000n),
  recipientAddress: payer.address,
});
const airdropped = (await rpc.getBalance(payer.address).send()).value;
const abort = new AbortController();
const notes = await rpcSubscriptions.accountNotifications(target.address).subscribe({ abortSignal: abort.signal });
const changed = (async () => {
  for await (const note of notes) return note.value.lamports; // from now on: kit keeps none that came before
})();
const { value: blockhash } = await rpc.getLatestBlockhash().send();
const message = kit.pipe(
  kit.createTransactionMessage({ version: 0 }),
  (made) => kit.setTransactionMessageFeePayerSigner(payer, made),
  (made) => kit.setTransactionMessageLifetimeUsingBlockhash(blockhash, made),
  (made) =>
    kit.appendTransactionMessageInstructions(
      [system.getTransferSolInstruction({ source: payer, destination: target.address, amount: 1_000_000n })],
      made,
    ),
);
const transaction = await kit.signTransactionMessageWithSigners(message);
await kit.sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions })(transaction, { commitment: "confirmed" });
const lamports = await changed;
abort.abort();
const balance = (await rpc.getBalance(target.address).send()).value;
console.log(JSON.stringify({ airdropped, changed: lamports, balance }, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
process.exit(0);
