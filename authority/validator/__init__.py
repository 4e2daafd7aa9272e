"""The embedded validator: LiteSVM made durable in SQLite and served as Solana JSON-RPC.

For development, teaching and small trials; in production the same URL names an Agave validator. Modules, from the
inside out: `slots` (time), `ledger` (SQLite), `bank` (the runtime and its rules), `encoding` (JSON shapes), `methods`
(the RPC calls), `subscriptions` (who is told what), `jsonrpc` (one call or a batch), and the doors `server` (HTTP) and
`pubsub` (WebSocket).
"""
