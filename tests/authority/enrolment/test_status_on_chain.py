"""What `authority status` finds on a real chain: its slot, the operator's money, and what the store believes of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from authority.app import App
from authority.chain.client import ChainClient
from authority.status import facts, judgement
from authority.store.metering import Frame, Meter
from authority.store.settlement import SettlementEpoch


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.mark.finding("ops-7")
def test_the_store_is_compared_with_the_chain(app: App, chain: ChainClient, add_meter: Any) -> None:
    gathered = facts.gather(app, chain)
    assert gathered.chain.error is None
    assert gathered.chain.slot is not None
    assert gathered.chain.lamports is not None
    assert gathered.chain.lamports > 10**9
    assert (gathered.chain.missing_checkpoints, gathered.chain.behind_meters) == ((), ())
    meter = add_meter()
    with app.store.write() as session:
        session.add(SettlementEpoch(epoch=7, state="checkpointed", first_seen_ms=1, checkpointed_ms=2))
        session.add(
            Frame(
                log_index=0,
                meter_pk=session.scalars(select(Meter.id)).one(),
                public_key=meter.public_key,
                sequence=3,
                interval_end=900,
                record_hash=bytes(32),
                frame=meter.frame(),
                verdict="accepted",
                code="ok",
                receipt=bytes(168),
                received_at=1,
                over="https",
                disposition="accepted",
                chain_status="confirmed",
            )
        )
    gathered = facts.gather(app, chain)
    assert (gathered.chain.missing_checkpoints, gathered.chain.behind_meters) == ((7,), ("gw-1/pv",))
    assert [problem.code for problem in judgement.problems(gathered)].count("chain_went_back") == 2


@pytest.mark.finding("ops-9")
def test_the_operators_rate_is_read_off_its_transactions() -> None:
    class Client:
        """Two transactions a day apart, as getTransaction gives them."""

        def call(self, method: str, *params: Any) -> Any:
            if method == "getSignaturesForAddress":
                return [{"signature": "new"}, {"signature": "middle"}, {"signature": "old"}]
            balance, time = (7 * 10**9, 100_000 + 86_400) if params[0] == "new" else (8 * 10**9, 100_000)
            return {
                "blockTime": time,
                "meta": {"postBalances": [5, balance]},
                "transaction": {"message": {"accountKeys": ["other", "operator"]}},
            }

    client: Any = Client()
    assert facts.spending(client, "operator") == 10**9
    assert facts.spending(client, "stranger") is None


@pytest.mark.finding("ops-9")
def test_an_operator_that_ran_out_is_named_with_what_to_send(app: App, chain: ChainClient) -> None:
    from solders.keypair import Keypair
    from solders.system_program import TransferParams, transfer

    from authority.chain.errors import PayerShortError

    poor = Keypair()
    for lamports in (0, 2_000_000):
        if lamports:
            fund = TransferParams(from_pubkey=app.home.operator.pubkey(), to_pubkey=poor.pubkey(), lamports=lamports)
            chain.send([transfer(fund)], [], payer=app.home.operator)
        pay = TransferParams(from_pubkey=poor.pubkey(), to_pubkey=Keypair().pubkey(), lamports=3_000_000)
        with pytest.raises(PayerShortError) as caught:
            chain.send([transfer(pay)], [], payer=poor)
        assert str(poor.pubkey()) in str(caught.value)
        assert "send it 2 SOL" in str(caught.value)
