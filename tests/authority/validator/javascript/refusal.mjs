// Anchor's clients: what they say of a refusal. Arguments: the RPC's URL, then governance's IDL. Prints JSON.
import fs from "node:fs";
import w3 from "@solana/web3.js";
import * as present from "@anchor-lang/core";
import earlier from "@coral-xyz/anchor";

const [url, path] = process.argv.slice(2);
const idl = JSON.parse(fs.readFileSync(path));
const connection = new w3.Connection(url, "confirmed");
const payer = w3.Keypair.generate();
await connection.confirmTransaction(await connection.requestAirdrop(payer.publicKey, 10 ** 9));
const answer = {};
for (const [name, anchor] of Object.entries({ present, earlier })) {
  const wallet = new anchor.Wallet(payer);
  const program = new anchor.Program(idl, new anchor.AnchorProvider(connection, wallet, {}));
  try {
    await program.methods.setPaused(1).accounts({ authority: payer.publicKey }).rpc();
  } catch (error) {
    answer[name] = { type: error.constructor.name, ...error.error?.errorCode, message: error.error?.errorMessage };
  }
}
process.stdout.write(JSON.stringify(answer), () => process.exit(0));
