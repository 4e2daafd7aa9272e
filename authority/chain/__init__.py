"""The way to any Solana validator: the IDL codec, the programs' addresses and the JSON-RPC client."""
