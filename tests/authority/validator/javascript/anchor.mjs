// Anchor's clients: the IDLs that they find on the chain. Arguments: the RPC's URL, then the programs' ids. Prints JSON.
import w3 from "@solana/web3.js";
import * as present from "@anchor-lang/core";
import earlier from "@coral-xyz/anchor";

const [url, ...programs] = process.argv.slice(2);
const connection = new w3.Connection(url, "confirmed");
const wallet = { publicKey: w3.Keypair.generate().publicKey };
const answer = { present: {}, earlier: {}, programs: {} };
for (const id of programs) {
  const provider = new present.AnchorProvider(connection, wallet, {});
  answer.present[id] = await present.Program.fetchIdl(id, provider);
  const program = await present.Program.at(id, provider);
  answer.programs[id] = { id: program.programId.toBase58(), methods: Object.keys(program.methods).length };
  answer.earlier[id] = await earlier.Program.fetchIdl(id, new earlier.AnchorProvider(connection, wallet, {}));
}
process.stdout.write(JSON.stringify(answer), () => process.exit(0)); // more than a pipe takes at once
