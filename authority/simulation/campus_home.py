"""A simulated campus's home: keys, store and chain out of a seed, deployed and enrolled as an operator would.

Everything that log and chain hold is a function of the seed: keys, wallets, the gateways' certificates. What neither
holds (the listener's TLS keys, tokens for people) is random as in any home.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from solders.keypair import Keypair
from sqlalchemy import select

from authority.app import App
from authority.chain import programs
from authority.chain.deploy import Deployment, deploy
from authority.enrolment import plan, requests
from authority.enrolment.registration import Registration
from authority.enrolment.wallets import unseal
from authority.home import certificates, keyring
from authority.home.home import Home
from authority.home.settings import EpochSettings, NetworkSettings, Settings, SiteSettings, WebSettings
from authority.log.publish import publisher
from authority.market.credits import issue_credits
from authority.market.policies import change_standing_order
from authority.market.prices import MarketPrices, prices_of
from authority.settlement.chain import SettlementChain
from authority.settlement.lookup_tables import LookupTables
from authority.settlement.worker import Worker
from authority.simulation import buildings, redo
from authority.simulation.chain import SimulatedChain
from authority.simulation.clock import VirtualClock
from authority.simulation.limits import NEVER_BIDS, covering, order_at
from authority.simulation.meters import FIRST_REGISTER_WH, SimulatedMeter
from authority.simulation.scenario import Scenario
from authority.simulation.seeds import Seed
from authority.store import Store
from authority.store.metering import METER_RETIRED, Frame, Meter, MeterKey
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import TRUNCATED_HASH_SIZE, ZERO_HASH, possession_message
from edge_agent.wire.rules import REGISTERS

ACTOR = "simulation"
CREDITS_EACH = 100_000_000_000
"""Micro-credits that every member gets at the start: 100,000 credits, more than it can spend."""
ORDERS_PER_SIDE = 512
IMPORT, EXPORT = "1-0:1.8.0.255", "1-0:2.8.0.255"
CODES = {"consumption": IMPORT, "charge": IMPORT, "generation": EXPORT, "discharge": EXPORT}
"""Which of a meter's registers holds which of the signed ones."""
MAPPED = {
    "generation": ("generation",),
    "storage": ("charge", "discharge"),
    "building": ("generation", "consumption"),
    "grid": ("generation", "consumption"),
}
"""The registers that a role's map names; the others' is consumption."""
BUILDING_CODES = {"generation": "1-1:2.8.0.255", "consumption": IMPORT}
"""A whole building's panels have a channel of their own."""
NOTICE = (
    "A simulation: the campus, its people and its weather are made up, and its clock stands at the end of the "
    "simulated time. Its keys are made of a published seed. Programs, log, market and bills are those of the service."
)


@dataclass
class CampusHome:
    """A simulated campus, open: what the simulation works with."""

    app: App
    chain: SimulatedChain
    clock: VirtualClock
    campus: buildings.Campus
    seed: Seed
    meters: dict[str, SimulatedMeter]
    """By what people call them, GATEWAY/METER."""

    def worker(self) -> Worker:
        """The settlement worker, under the virtual clock; one wave after another, so that their order is given."""
        app, client = self.app, self.chain.client
        opened: Callable[..., Keypair] = cache(partial(unseal, app.home))  # whoever knows the seed knows these keys
        tables = LookupTables(
            client, app.home.operator, app.store, list(programs.common_accounts().values()), self.clock.seconds
        )
        return Worker(
            app.store,
            SettlementChain(client, app.home.operator, tables),
            opened,
            self.clock.milliseconds,
            in_flight=1,
            publish=publisher(app.home.network_id, app.home.receipt_key),
        )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit all that store and ledger take in the block at its end: the store first, then the ledger.

        What an end of the process loses is a whole block; one between the two commits loses nothing (redo).
        """
        with self.chain.bank.together(), self.app.store.together():
            yield
            redo.write(self.app.home.path, self.app.store, self.chain.ledger)
        redo.forget(self.app.home.path)

    def close(self) -> None:
        """Give store and ledger back."""
        self.chain.close()
        self.app.store.close()


def settings_of(scenario: Scenario) -> Settings:
    """authority.toml of a simulated home."""
    return Settings(
        network=NetworkSettings(organisation="Engineering Department (simulation)"),
        epoch=EpochSettings(scenario.epoch_seconds),
        site=SiteSettings(known=True, latitude=scenario.site.latitude, longitude=scenario.site.longitude),
        web=WebSettings(notice=NOTICE),
        parameters=scenario.parameters,
    )


def create(path: Path, scenario: Scenario, campus: buildings.Campus, seed: Seed, clock: VirtualClock) -> CampusHome:
    """Make the home, deploy, enrol every gateway, register, and give each member credits and its standing order."""
    keys = keyring.Keyring(path / "keys")
    (path / "keys").mkdir(mode=0o700, parents=True)
    keys.make(keyring.CA_KEY, certificates.key_to_pem(_p256(seed, "ca")))
    Home.create(path, settings_of(scenario), now=clock.seconds(), random=seed.stream("home"))
    made = open_home(path, campus, seed, clock)
    try:
        _set_up(made, scenario.strategies)
    except BaseException:
        made.close()
        raise
    return made


def open_home(path: Path, campus: buildings.Campus, seed: Seed, clock: VirtualClock) -> CampusHome:
    """Open a home that `create` made; its meters stand where the store's last readings of them say."""
    home = Home.open(path)
    store = Store.open(home.store_url, durable=False, alone=True)
    store.claim(home.network_id)
    app = App(home, store, clock.seconds)
    try:
        chain = SimulatedChain(home, clock, seed, store)
    except BaseException:
        store.close()
        raise
    made = CampusHome(app, chain, clock, campus, seed, {})
    for meter in campus.meters:
        made.meters[meter.full_name] = SimulatedMeter(
            first_serial=meter.serial,
            key=Keypair.from_seed(seed.bytes_for("meter", meter.serial)),
            source=meter.source,
            network_id=home.network_id,
            interval_seconds=home.settings.epoch.seconds,
            registers_mwh=[FIRST_REGISTER_WH * 1_000 * meter.installation] * 4,
        )
    with store.read() as session:
        rows = session.execute(
            select(Meter, MeterKey.next_sequence, MeterKey.head_hash, Frame.interval_end)
            .join(MeterKey, MeterKey.public_key == Meter.public_key)
            .join(Frame, Frame.log_index == MeterKey.head_log_index)
        ).all()
    for meter_row, next_sequence, head_hash, interval_end in rows:
        known = made.meters[f"{meter_row.gateway_name}/{meter_row.name}"]
        known.retired = meter_row.state == METER_RETIRED
        known.sequence, known.read_until = next_sequence, interval_end
        known.previous = (head_hash or ZERO_HASH)[:TRUNCATED_HASH_SIZE]
    return made


def _p256(seed: Seed, *purpose: object) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(seed.bytes_for("p256", *purpose, size=31)) + 1, ec.SECP256R1())


def _set_up(made: CampusHome, strategies: Container[str]) -> None:
    app, client, seed = made.app, made.chain.client, made.seed
    home = app.home
    deploy(client, Deployment.of(home, ORDERS_PER_SIDE), authority=home.authority, operator=home.operator)
    with app.store.write() as session:
        read = plan.parse(made.campus.plan().encode())
        plan.apply(session, read, home, actor=ACTOR, now=app.clock(), random=seed.stream("wallets"))
    for gateway in dict.fromkeys(meter.gateway for meter in made.campus.meters):
        enrol(made, gateway)
    Registration(app, client, actor=ACTOR, report=lambda _: None).run()
    prices = prices_of(home.settings.parameters)
    amounts = [(member.name, CREDITS_EACH) for member in made.campus.members]
    issue_credits(app.store, client, home.operator, amounts, actor=ACTOR, now=app.clock())
    set_orders(made, prices, strategies)


def set_orders(
    made: CampusHome, prices: MarketPrices, strategies: Container[str], leaving: Container[str] = ()
) -> None:
    """Give each member its standing order under these prices, by the act that commands and pages log.

    Whoever has a strategy keeps what covers its needs; whoever leaves is left alone. Where a member has just this order
    already, nothing is logged.
    """
    app, bounds = made.app, prices._replace(lowest=NEVER_BIDS)
    with app.store.write() as session:
        for member in made.campus.members:
            if member.name in leaving:
                continue
            order = (
                covering(member.order)
                if member.name in strategies
                else order_at(member.order, prices.lowest, prices.worth_up_to)
            )
            change_standing_order(session, member.name, order, by=ACTOR, now=app.clock(), prices=bounds)


def enrol(made: CampusHome, gateway: str, again: int = 0) -> None:
    """A gateway claims, asks with its keys, proves them, and is approved: the authority's own steps, without HTTP.

    again: which time it is, after the first; each time has a claim and a certificate of its own.
    """
    app, seed = made.app, made.seed
    purpose = (gateway, again) if again else (gateway,)
    home, now, random = app.home, app.clock(), seed.stream("enrolment", *purpose)
    key = _p256(seed, "gateway", gateway)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    planned = {
        meter.name: (meter, made.meters[meter.full_name])
        for meter in made.campus.meters
        if meter.gateway == gateway and not made.meters[meter.full_name].retired
    }
    body = {
        "gateway": gateway,
        "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
        "meters": [
            {
                "name": meter.name,
                "serial": simulated.serial,
                "public_key": simulated.public_key.hex(),
                "map": meter_map(meter, simulated).to_dict(),
            }
            for meter, simulated in planned.values()
        ],
    }
    with app.store.write() as session:
        code = requests.claim(session, home, gateway, actor=ACTOR, now=now, random=random)
        claim = requests.authenticate(session, code, now)
        answer = requests.request(session, home, claim, body, now=now, random=random)
        enrolment = requests.of_claim(session, claim, str(answer["enrolment"]))
        proofs = {}
        for row in enrolment.meters:
            message = possession_message(
                first_sequence=row.first_sequence,
                network_id=home.network_id,
                meter_id=session.get_one(Meter, row.meter_pk).meter_id,
                map_hash=row.map_hash,
            )
            _, simulated = planned[row.name]
            proofs[row.name] = bytes(simulated.key.sign_message(message)).hex()
        requests.prove(session, home, enrolment, {"proofs": proofs})
        session.flush()
        serial = int.from_bytes(seed.bytes_for("certificate", *purpose, size=16))
        requests.approve(session, home, enrolment, actor=ACTOR, now=now, serial=serial)


def meter_map(meter: buildings.Meter, simulated: SimulatedMeter) -> MeterMap:
    """The map under which a simulated meter signs."""
    registers = MAPPED.get(meter.role, ("consumption",))
    codes = BUILDING_CODES if meter.role == "building" else CODES
    offsets = dict(zip(REGISTERS, simulated.offset_wh, strict=True))
    return MeterMap.from_dict(
        {
            "logical_device_name": simulated.serial,
            "capture_period": simulated.interval_seconds,
            "registers": {register: [codes[register], 1] for register in registers},
            "offset_wh": {register: offsets[register] for register in registers if offsets[register]},
        }
    )


def start_of(day: str) -> int:
    """Unix seconds of the midnight (UTC) with which a day (YYYY-MM-DD) begins. ValueError."""
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
