"""The facts of a campus where all is well."""

from __future__ import annotations

from solders.keypair import Keypair

from authority.status.facts import ChainFacts, Facts, GatewayFacts, MeterFacts

NOW = 1_782_000_000
OPERATOR = str(Keypair.from_seed(bytes(32)).pubkey())
WELL = Facts(
    time=NOW,
    epoch_seconds=900,
    grace_seconds=300,
    gateways=(GatewayFacts("gw-1", "enrolled", True, NOW - 10, (), NOW + 400 * 86_400),),
    meters=(MeterFacts("gw-1", "pv", "Dormitory A", "active", NOW - 900, 0, 0, True),),
    held_by_code={},
    alerts=(),
    last_checkpointed=NOW // 900 - 2,
    settled_any=True,
    running={"collector": True, "settlement": True},
    chain=ChainFacts("http://v", slot=7, clock=NOW - 1, operator=OPERATOR, lamports=10**10, lamports_a_day=10**8),
    disk_free=50,
    disk_total=100,
    server_certificate_ends=NOW + 300 * 86_400,
    backup_at=NOW - 3_600,
)
