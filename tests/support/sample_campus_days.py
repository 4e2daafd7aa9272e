"""Days of a campus as real rows of the store: members with a meter each, whose registers follow a list of flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from solders.keypair import Keypair
from sqlalchemy import func, select

from authority.app import App
from authority.store.metering import Frame, Gateway, Meter
from authority.store.people import Installation, User
from authority.store.settlement import SettledSpan
from edge_agent.wire.reading import RECORD_SIZE, Record, record_hash

STEP = 900
Flows = Sequence[tuple[int, int]]
"""Generation and consumption (Wh) of each interval."""


def add_members(app: App, flows: Mapping[str, Flows], begin: int, public: Sequence[str] = ()) -> None:
    """Members by name, each with a building's meter that counts its flows from `begin` on, and is settled."""
    for name, its in flows.items():
        with app.store.write() as session:
            place = session.scalar(select(func.count(User.id))) or 0
            user = User(
                name=name, building=name, wallet=str(Keypair().pubkey()), member_index=100 + place, registered_at=begin,
                public=name in public,
                dwelling=False,
            )  # fmt: skip
            gateway = name.lower().replace(" ", "-")
            session.add_all([user, Gateway(name=gateway, state="enrolled")])
            session.add(
                Installation(
                    n=1_000 + place, building=name, kind="mixed", nameplate_w=10_000, storage_wh=0, since=0
                )
            )  # fmt: skip
            session.flush()
            meter = Meter(
                name="building", gateway_name=gateway, serial=f"S-{name}", meter_id=place.to_bytes(32, "big"),
                role="building", source="solar", user_id=user.id, installation_n=1_000 + place, state="active",
                public_key=bytes(Keypair().pubkey()),
            )  # fmt: skip
            session.add(meter)
            session.flush()
            made = used = minted = drawn = 0
            add_reading(app, session, meter, begin, 0, 0)
            for end, (generation, consumption) in zip(range(begin + STEP, begin + 10**9, STEP), its, strict=False):
                made, used = made + generation, used + consumption
                add_reading(app, session, meter, end, made, used)
                surplus = generation - consumption
                minted, drawn = minted + max(0, surplus), drawn + max(0, -surplus)
                session.add(
                    SettledSpan(
                        wallet=user.wallet, boundary=end, minted_wh=max(0, surplus), withdrawal_wh=max(0, -surplus),
                        lifetime_minted_wh=minted, lifetime_withdrawal_wh=drawn,
                    )
                )  # fmt: skip


def add_reading(app: App, session: object, meter: Meter, end: int, made: int, used: int) -> None:
    """A meter's reading at a boundary."""
    newest = session.scalar(select(func.max(Frame.log_index)))  # type: ignore[attr-defined]
    index = 1_000_000 if newest is None else max(newest + 1, 1_000_000)
    record = Record(
        sequence=index, network_id=app.home.network_id, interval_end=end, generation=made, consumption=used, charge=0,
        discharge=0, interval_seconds=STEP, source=1,
    ).to_bytes()  # fmt: skip
    frame = record + bytes(meter.public_key or b"") + bytes(64)
    session.add(  # type: ignore[attr-defined]
        Frame(
            log_index=index, meter_pk=meter.id, public_key=bytes(meter.public_key or b""), sequence=index,
            interval_end=end, record_hash=record_hash(frame[:RECORD_SIZE]), frame=frame, verdict="accepted", code="ok",
            received_at=end + 5, over="mqtt", disposition="accepted", chain_status="confirmed",
        )
    )  # fmt: skip
    session.flush()  # type: ignore[attr-defined]
