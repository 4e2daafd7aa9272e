"""Meters in use, on a real chain: exchanged to the Wh, given to another member, suspended, reset, retired."""

from __future__ import annotations

import json
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from solders.keypair import Keypair
from sqlalchemy import select

from authority.chain import accounts, programs
from authority.enrolment import requests
from authority.enrolment.registration import Registration
from authority.home import certificates
from authority.refusals import ConflictError
from authority.settlement import member_meters
from authority.store.log import Act
from authority.store.metering import Frame, Meter, MeterKey, MeterTenure
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import FLAG_REGISTER_RESET, ZERO_HASH, possession_message

MAP_HASH = bytes(range(32))
OBIS = {"generation": "1-0:2.8.0.255", "consumption": "1-0:1.8.0.255"}


def with_key(campus, name):
    """The meter's key in the store as an approval leaves it: the campus of these tests puts meters there by hand."""
    meter = campus.meters[name]
    message = possession_message(
        first_sequence=1, network_id=campus.home.network_id, meter_id=meter.meter_id, map_hash=MAP_HASH
    )
    with campus.app.store.write() as session:
        session.add(
            MeterKey(
                public_key=bytes(meter.key.pubkey()), meter_pk=meter.pk, first_sequence=1, next_sequence=1,
                possession=bytes(meter.key.sign_message(message)), approved_at=1,
            )
        )  # fmt: skip
        session.get(Meter, meter.pk).map_hash = MAP_HASH


def map_of(registers, offset_wh=None):
    return MeterMap.from_dict(
        {
            "logical_device_name": "NEW00000001",
            "capture_period": 60,
            "registers": {each: [OBIS[each], 1] for each in registers},
            **({"offset_wh": offset_wh} if offset_wh else {}),
        }
    )


def enrol(campus, maps):
    """What a gateway does with a claim: it asks with its meters' keys and maps, proves the keys, and is approved."""
    meters = {name: campus.meters[name] for name in maps}
    with campus.app.store.read() as session:
        rows = {name: session.get(Meter, meter.pk) for name, meter in meters.items()}
        (gateway,) = {row.gateway_name for row in rows.values()}
        own = {name: (row.name, row.serial) for name, row in rows.items()}
    key, now = certificates.new_key(), campus.wall.seconds()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    with campus.app.store.write() as session:
        code = requests.claim(session, campus.home, gateway, actor="t", now=now, random=os.urandom)
    body = {
        "gateway": gateway,
        "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
        "meters": [
            {
                "name": own[name][0],
                "serial": own[name][1],
                "public_key": bytes(meter.key.pubkey()).hex(),
                "map": maps[name].to_dict(),
            }
            for name, meter in meters.items()
        ],
    }
    with campus.app.store.write() as session:
        claim = requests.authenticate(session, code, now)
        asked = requests.request(session, campus.home, claim, body, now=now, random=os.urandom)
        first = {each["name"]: each["first_sequence"] for each in asked["meters"]}
        proofs = {}
        for name, meter in meters.items():
            message = possession_message(
                first_sequence=first[own[name][0]], network_id=campus.home.network_id, meter_id=meter.meter_id,
                map_hash=maps[name].hash(),
            )  # fmt: skip
            proofs[own[name][0]] = bytes(meter.key.sign_message(message)).hex()
        requests.prove(session, campus.home, requests.find(session, asked["enrolment"]), {"proofs": proofs})
    with campus.app.store.write() as session:
        enrolment = requests.find(session, gateway)
        requests.approve(session, campus.home, enrolment, actor="t", now=now)
    Registration(campus.app, campus.client, actor="t", report=lambda _: None).run(gateway)
    return {name: first[own[name][0]] for name in maps}


def enrol_again(campus, name, registers, offset_wh=None):
    """What the gateway does after an exchange: it asks with its old key and the new map."""
    enrol(campus, {name: map_of(registers, offset_wh)})


@pytest.mark.parametrize("missed", [0, 1, 3])
def test_a_gateway_that_was_replaced_goes_on_to_the_wh_under_its_new_keys(campus, missed):
    """Its disk is lost with the keys; the meters behind it count on, and nobody reads them for some epochs."""
    campus.start_market()
    worker = campus.worker()
    for each in campus.meters:
        with_key(campus, each)
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    before, stood = campus.energy("D"), campus.state("D.load")
    behind = ("D.load", "D.hpc")
    for _ in range(missed):
        boundary = campus.next_epoch()
        campus.read_all(boundary, but=behind)
        for name in behind:
            for at, step in enumerate(campus.STEPS[name]):
                campus.meters[name].registers[at] += step
        worker.settle_down()
    old = {name: campus.meters[name].key for name in behind}
    for name in behind:
        campus.meters[name].key = Keypair()
    first = enrol(campus, dict.fromkeys(behind, map_of(["consumption"])))
    for name in behind:
        meter = campus.meters[name]
        meter.sequence, meter.previous = first[name], ZERO_HASH
        chain_meter = campus.client.account(accounts.Meter, programs.meter_address(meter.meter_id))
        assert (chain_meter.meter_id, chain_meter.keys) == (meter.meter_id, 2)
        assert bytes(chain_meter.key) == bytes(meter.key.pubkey()) != bytes(old[name].pubkey())
    for count in range(1, 4):
        epoch = campus.run_epoch(worker)
        after = campus.energy("D")
        assert after.boundary == (epoch + 1) * campus.epoch_seconds
        assert after.consumed - before.consumed == (missed + count) * 2_600
        assert after.withdrawn - before.withdrawn == (missed + count) * 2_600
        assert campus.state("D.load").registers[1] - stood.registers[1] == (missed + count) * 2_600
        assert worker.journal.epoch(epoch).traded_wh > 0
    assert campus.audit() == 0
    # what the old key signs is nothing any more, wherever it turns up
    meter, present = campus.meters["D.load"], campus.meters["D.load"].key
    meter.key = old["D.load"]
    campus.receive("D.load", meter.sign(campus.next_epoch(), sequence=99, consumption=10**6))
    meter.key = present
    worker.settle_down()
    assert campus.energy("D").consumed == after.consumed
    assert campus.audit() == 1, "the log must not have let it pass"


@pytest.mark.finding("authority-04")
@pytest.mark.finding("ops-4")
@pytest.mark.parametrize(("name", "steps"), [("C.building", (800, 1_100)), ("D.load", (0, 2_600))])
def test_an_exchange_loses_and_doubles_nothing_to_the_wh_and_trading_goes_on(campus, run, name, steps):
    """The old device is taken out in the middle of an epoch, the new one starts from registers of its own."""
    member, meter = name[0], campus.meters[name]
    campus.start_market()
    worker = campus.worker()
    for each in campus.meters:
        with_key(campus, each)
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    before = campus.energy(member)
    # in the next epoch 300 and 700 Wh still flow through the old device, then the new one is put in and counts from 55
    flowed = (300 if steps[0] else 0, 700)
    old = {"generation": meter.registers[0] + flowed[0], "consumption": meter.registers[1] + flowed[1]}
    registers = ["generation", "consumption"] if steps[0] else ["consumption"]
    words = [
        "meters", "exchange", f"gw_{member.lower()}/{name[2:]}", "--serial", "NEW-1", "--reason", "broken",
        "--last", ",".join(f"{each}={old[each]}" for each in old),
        "--first", ",".join(f"{each}=55" for each in old),
    ]  # fmt: skip
    if not steps[0]:
        words = [word.replace(f"generation={old['generation']},", "").replace("generation=55,", "") for word in words]
    if name == "C.building":
        extra = {"charge": meter.registers[2], "discharge": meter.registers[3]}
        words[words.index("--last") + 1] += "".join(f",{each}={wh}" for each, wh in extra.items())
        words[words.index("--first") + 1] += "".join(f",{each}={wh}" for each, wh in extra.items())
    told = run(*words, "--dry-run")
    assert told["changed"] is False
    told = run(*words)
    offsets = {each: old[each] - 55 for each in registers}
    assert told["offset_wh"] == offsets
    assert run(*words)["changed"] is False  # doing it twice does no more
    with pytest.raises(ConflictError, match="was exchanged, so its registers go on"):
        enrol_again(campus, name, registers)
    enrol_again(campus, name, registers, offsets)
    chain_meter = campus.client.account(accounts.Meter, programs.meter_address(meter.meter_id))
    assert (chain_meter.meter_id, chain_meter.keys) == (meter.meter_id, 1)
    # the rest of the epoch flows through the new device; what is signed is what it shows and the offset
    rest = (steps[0] - flowed[0], steps[1] - flowed[1])
    shown = {"generation": 55 + rest[0], "consumption": 55 + rest[1]}
    boundary = campus.next_epoch()
    meter.registers[1] = shown["consumption"] + offsets["consumption"]
    if steps[0]:
        meter.registers[0] = shown["generation"] + offsets["generation"]
    campus.read_all(boundary, but=(name,))
    campus.receive(name, meter.read(boundary))
    worker.settle_down()
    after = campus.energy(member)
    assert after.boundary == boundary
    assert after.consumed - before.consumed == steps[1]
    assert after.generated - before.generated == steps[0]
    assert after.withdrawn - before.withdrawn == steps[1] - steps[0]
    # and so do all epochs after it, trading included
    for count in (2, 3):
        epoch = campus.run_epoch(worker)
        assert campus.energy(member).consumed - before.consumed == count * steps[1]
        assert campus.energy(member).withdrawn - before.withdrawn == count * (steps[1] - steps[0])
        assert worker.journal.epoch(epoch).traded_wh > 0
    with campus.app.store.read() as session:
        act = session.scalars(select(Act).where(Act.kind == "meter_exchanged")).one()
        assert "NEW-1" not in json.dumps(act.data)  # pseudonyms alone
    assert run("meters", "show", f"gw_{member.lower()}/{name[2:]}")["serial"] == "NEW-1"


def test_an_exchange_that_a_slip_of_the_pen_spoils_is_refused(campus, run):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    words = ["meters", "exchange", "gw_d/load", "--serial", "NEW-1", "--first", "consumption=0"]
    assert "a register never falls" in run(*words, "--last", "consumption=999", exits=1)
    assert "more than" in run(*words, "--last", "consumption=99999kWh", exits=1)
    assert "--last must name the registers" in run(*words, "--last", "generation=5", exits=1)
    assert "write it like" in run(*words, "--last", "consumption=12,5", exits=1)
    taken = [*words[:4], "A/load", *words[5:]]
    assert "enrolled as gw_a/load already" in run(*taken, "--last", "consumption=1000", exits=1)
    assert "there is no meter 'gw_d/x'" in run("meters", "show", "gw_d/x", exits=1)


@pytest.mark.finding("authority-10")
def test_a_change_of_tenant_gives_the_meter_to_another_member(campus, run):
    campus.register_member("Fay")
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    before = campus.energy("D")
    boundary = campus.next_epoch()
    campus.receive("D.load", campus.meters["D.load"].read(boundary, 0, 2_600))
    meter = next(each for each in worker.observe().chain.meters if each.name.startswith("gw_d/load"))
    assert meter.standing == meter.settled
    words = ["meters", "reassign", "gw_d/load", "--to", "Fay", "--reason", "change of tenant"]
    campus.read_all(boundary, but=("D.load", "D.hpc"))
    worker.settle_down()
    told = run(*words, "--dry-run")
    assert told["steps"][-1]["outcome"] == "would be Fay's"
    assert run(*words)["changed"] is True
    assert run(*words)["changed"] is False
    with campus.app.store.read() as session:
        meter_pk, owner = session.execute(
            select(Meter.id, Meter.user_id).where(Meter.gateway_name == "gw_d", Meter.name == "load")
        ).one()
        rows = session.scalars(select(MeterTenure).order_by(MeterTenure.id)).all()
        tenures = [(row.meter_pk, row.since_end, row.until_end) for row in rows]
        assert (tenures, rows[-1].user_id) == ([(meter_pk, None, boundary), (meter_pk, boundary, None)], owner)
        assert member_meters.settling(session, owner)[meter_pk].tenures == ((boundary, None),)
        assert member_meters.settling(session, rows[0].user_id)[meter_pk].tenures == ((None, boundary),)
    assert campus.energy("D").withdrawn == before.withdrawn + 2_600
    account = campus.client.account(accounts.Meter, programs.meter_address(campus.meters["D.load"].meter_id))
    assert account.user == campus.wallets["Fay"]
    for _ in range(3):
        epoch = campus.run_epoch(worker)
    assert campus.energy("Fay").boundary == (epoch + 1) * 60
    assert campus.energy("Fay").withdrawn == 3 * 2_600  # nothing that flowed is lost between the two
    assert campus.energy("D").withdrawn == before.withdrawn + 2_600
    assert run("meters", "show", "gw_d/load")["member"] == "Fay"
    refused = run("meters", "reassign", "gw_c/building", "--to", "Fay", exits=1)
    assert "Fay cannot have these meters beside its own: a building meter settles alone" in refused


def test_a_meter_that_was_silent_before_a_change_of_tenant_is_told_of(campus, run):
    """Who moves out and pulls the plug a month before would pay nothing for that month, and nobody would know."""
    campus.register_member("Fay")
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    read = campus.run_epoch(worker)
    words = ["meters", "reassign", "gw_d/load", "--to", "Fay", "--reason", "change of tenant", "--dry-run"]
    assert not any("billed to nobody" in step["outcome"] for step in run(*words)["steps"])
    for _ in range(5):
        last = campus.run_epoch(worker, but=("D.load", "D.hpc"))
    for dry in (words, words[:-1]):
        said = [step["outcome"] for step in run(*dry)["steps"] if "billed to nobody" in step["outcome"]]
        assert len(said) == 1
        assert said[0].startswith(f"was not read in epochs {read + 1} to {last}: ")


def test_a_meter_is_suspended_and_resumed_and_a_retired_one_stays_out(campus, run):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    reason = ["--reason", "works"]
    assert run("meters", "suspend", "gw_d/load", *reason, "--dry-run")["changed"] is False
    assert run("meters", "suspend", "gw_d/load", *reason)["changed"] is True
    assert run("meters", "suspend", "gw_d/load", *reason)["changed"] is False
    assert run("meters", "show", "gw_d/load")["chain"]["status"] == "suspended"
    assert run("meters", "resume", "gw_d/load", *reason)["changed"] is True
    epoch = campus.run_epoch(worker)
    assert campus.energy("D").boundary == (epoch + 1) * 60
    campus.receive("D.load", campus.meters["D.load"].read(campus.next_epoch(), 0, 100))
    assert "1 accepted readings of gw_d/load are still on their way" in run("meters", "retire", "gw_d/load", exits=1)
    worker.settle_down()
    assert run("meters", "retire", "gw_d/load", *reason)["changed"] is True
    assert run("meters", "retire", "gw_d/load", *reason)["changed"] is False
    assert "was retired for good" in run("meters", "resume", "gw_d/load", exits=1)
    listed = {each["meter"]: each["state"] for each in run("meters", "list")}
    assert (listed["gw_d/load"], listed["gw_c/building"]) == ("retired", "active")


@pytest.mark.finding("ops-15")
def test_a_reset_takes_one_command(campus, run):
    worker, meter = campus.worker(), campus.meters["D.load"]
    with_key(campus, "D.load")
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    assert "no record of gw_d/load says" in run("meters", "reset", "gw_d/load", exits=1)
    held = []
    meter.registers[1] = 5
    for n in range(3):  # the first record after the reset says so; all are held, for they are lower than before
        boundary = campus.next_epoch()
        campus.read_all(boundary, but=("D.load",))
        flags = {"flags": FLAG_REGISTER_RESET, "register_epoch": 1} if n == 0 else {"register_epoch": 1}
        held.append(campus.receive("D.load", meter.read(boundary, 0, 400, **flags), "held"))
        worker.settle_down()
    with campus.app.store.write() as session:
        for index in held:
            session.get(Frame, index).code = "register_decreased"
    assert run("meters", "reset", "gw_d/load", "--reason", "reset by the fitter", "--dry-run")["changed"] is False
    told = run("meters", "reset", "gw_d/load", "--reason", "reset by the fitter")
    assert told["readings"] == {"void": [], "released": held}
    meter.register_epoch = 1
    for _ in range(2):
        epoch = campus.run_epoch(worker)
    assert campus.energy("D").boundary == (epoch + 1) * 60
    assert campus.state("D.load").registers[1] == 5 + 3 * 400 + 2 * 2_600
