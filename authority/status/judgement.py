"""What needs a person: every problem in one sentence, with what to do, out of the facts alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from authority.chain.errors import TOP_UP_LAMPORTS
from authority.status.facts import Facts, MeterFacts
from authority.store.metering import GATEWAY_ENROLLED, METER_ACTIVE

SILENT_SECONDS = 120
"""A gateway says something every ten seconds (live power) or thirty (status)."""
CHAIN_SECONDS = 60
"""How far the chain's own clock may be off this machine's: a chain that makes no slots does not tick."""
CERTIFICATE_SECONDS = 30 * 86_400
DAYS_LEFT = 14
REMEDY_SECONDS = 86_400
"""How long a remedy of the watchdog is told of."""
LEAST_LAMPORTS = 100_000_000
BACKUP_SECONDS = 2 * 86_400
COMPARISON_SECONDS = 2 * 86_400
"""A comparison of books and chain is made once a night."""
DISK_SHARE = 0.1
ALERTING_SECONDS = 600
"""After so long without a look the alerts' process is taken for dead; a look takes half a minute at most."""
SHOWN = 5


@dataclass(frozen=True)
class Problem:
    """code for programs (and for a metric), subject for a person, text: what is wrong, and what to do.

    about tells problems of one code and subject apart, for as long as they last.
    """

    code: str
    subject: str
    text: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.text} [{self.code}]"


def age(seconds: int) -> str:
    """A length of time for a person."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def problems(facts: Facts) -> list[Problem]:
    """All of them, the most urgent first."""
    return [
        *_chain(facts),
        *_validator(facts),
        *_processes(facts),
        *_gateways(facts),
        *_meters(facts),
        *_readings(facts),
        *_books(facts),
        *_alerting(facts),
        *_machine(facts),
    ]


def _chain(facts: Facts) -> Iterator[Problem]:
    chain = facts.chain
    if chain.error is not None:
        yield Problem("validator_unreachable", "validator", f"{chain.error}; see: journalctl -u authority")
        return
    if chain.clock is not None and facts.time - chain.clock > CHAIN_SECONDS:
        yield Problem(
            "chain_stands",
            "validator",
            f"its chain has stopped at slot {chain.slot}, {age(facts.time - chain.clock)} behind this machine's clock: "
            "look at its log, and start it again; nothing is settled meanwhile, and no reading is lost",
        )
    if chain.clock is not None and chain.clock - facts.time > CHAIN_SECONDS:
        yield Problem(
            "chain_ahead",
            "validator",
            f"its clock is {age(chain.clock - facts.time)} ahead of this machine's, and never goes back: see that "
            "this machine's is right (timedatectl); where it was ahead for a while, the market rests until it is that "
            "late, and no reading is lost meanwhile",
        )
    if chain.missing_checkpoints:
        epochs = ", ".join(str(epoch) for epoch in chain.missing_checkpoints[:SHOWN])
        yield Problem(
            "chain_went_back",
            "chain",
            f"{len(chain.missing_checkpoints)} epochs that the store has as checkpointed are not on the chain "
            f"({epochs}): the chain went back, or another one answers at [validator] url: authority recover show",
        )
    if chain.behind_meters:
        yield Problem(
            "chain_went_back",
            "chain",
            f"readings of {', '.join(chain.behind_meters[:SHOWN])} are confirmed in the store and not on the chain: "
            "authority recover show",
            "readings",
        )
    if chain.paused:
        what = ", ".join(chain.paused)
        yield Problem(
            "paused",
            "chain",
            f"{what} stand still by governance's act: authority resume {' '.join(chain.paused)} --reason WHY",
        )
    if chain.idle_settings:
        yield Problem(
            "idle_settings",
            "authority.toml",
            f"[parameters] {', '.join(chain.idle_settings)} do not act, the chain has other values: authority "
            "parameters stage changes the chain, authority parameters adopt the file",
        )
    days = chain.days_left
    short = chain.lamports is not None and chain.lamports < LEAST_LAMPORTS
    if chain.lamports is not None and (short or (days is not None and days < DAYS_LEFT)):
        lasts = "" if days is None else f", which lasts {days:.0f} days"
        yield Problem(
            "operator_short",
            "operator",
            f"{chain.operator} has {chain.lamports / 10**9:.3f} SOL{lasts}: send it {TOP_UP_LAMPORTS / 10**9:g} SOL, "
            "or settlement stops when it is gone",
        )


def _validator(facts: Facts) -> Iterator[Problem]:
    """What the watchdog tells of the validator that it runs."""
    told = facts.watchdog
    if told is None or told["state"] == "stopped":
        return
    if facts.time - told["time"] > CHAIN_SECONDS:
        text = f"was heard {age(facts.time - told['time'])} ago: systemctl status campus-agave"
        yield Problem("watchdog_silent", "watchdog", text)
    elif told["state"] == "stands":
        text = f"has made no slot since slot {told['slot']}; the watchdog starts it again"
        yield Problem("validator_stands", "validator", text)
    recent = [each for each in told["remedies"] if facts.time - each["time"] < REMEDY_SECONDS]
    if recent:
        last = recent[-1]
        yield Problem(
            "validator_healed",
            "validator",
            f"was brought back {len(recent)} times within a day, last {age(facts.time - last['time'])} ago "
            f"({last['how']}): look why it ended, journalctl -u campus-agave; what it lost is settled again by itself",
        )


def _processes(facts: Facts) -> Iterator[Problem]:
    for name, runs in facts.running.items():
        if not runs:
            yield Problem("not_running", name, "does not run: systemctl status authority, journalctl -u authority")
    if facts.epochs_behind > 1:
        yield Problem(
            "epochs_behind",
            "settlement",
            f"{facts.epochs_behind} epochs wait for their checkpoint, the last is {facts.last_checkpointed}: see the "
            "alerts, and journalctl -u authority",
        )
    for alert in facts.alerts:
        text = f"{alert.text} ({alert.code}, {alert.count} times)"
        yield Problem("alert", "settlement", text, f"{alert.code} {alert.first_at}")
    for gateway in facts.enrolments_waiting:
        yield Problem("enrolment_waits", gateway, "asks to be enrolled: authority enrol list")
    for number in facts.wallet_requests:
        text = "a member asks for another wallet: look at /op/wallets, make sure that it is the member, and decide"
        yield Problem("wallet_asked", "approvals", text, str(number))
    for number, stuck in facts.leave_requests:
        text = (
            "a member who leaves waits until something is done first: see /op/leaving"
            if stuck
            else "a member asks to leave: look at /op/leaving, and decide"
        )
        yield Problem("leave_asked", "approvals", text, str(number))
    for number in facts.disputes:
        text = f"dispute {number} of a member waits for an answer: authority tickets show {number}"
        yield Problem("dispute_waits", "disputes", text, str(number))
    for proposal in facts.proposals:
        if not proposal.approved:
            text = f"{proposal.words}: waits for another person's approval: authority approvals list"
            yield Problem("proposal_waits", "approvals", text, proposal.id)
        elif not proposal.by_proposer:
            text = f"{proposal.words}: is approved, and waits to be carried out: authority approvals run"
            yield Problem("proposal_approved", "approvals", text, proposal.id)


def _gateways(facts: Facts) -> Iterator[Problem]:
    for gateway in facts.gateways:
        if gateway.state != GATEWAY_ENROLLED:
            continue
        name = f"gateway {gateway.name}"
        if gateway.seen_at is None:
            yield Problem(
                "gateway_silent", name, "has never been heard from: is its agent running? edge-agent status there"
            )
        elif facts.time - gateway.seen_at > SILENT_SECONDS:
            yield Problem(
                "gateway_silent",
                name,
                f"was heard {age(facts.time - gateway.seen_at)} ago: its power, its network; edge-agent status there",
            )
        elif not gateway.online:
            yield Problem("gateway_offline", name, "ended its connection: edge-agent status there")
        for problem in gateway.problems:
            yield Problem("gateway_problem", name, problem, problem)
        if gateway.certificate_ends is not None and gateway.certificate_ends - facts.time < CERTIFICATE_SECONDS:
            left = age(gateway.certificate_ends - facts.time)
            yield Problem(
                "certificate_ends",
                name,
                f"its certificate ends in {left}: authority enrol claim {gateway.name}, then edge-agent enrol there",
            )


def meter_subject(meter: MeterFacts) -> str:
    """What a problem of a meter is called after."""
    return f"meter {meter.gateway}/{meter.name}" + (f" ({meter.member})" if meter.member else "")


def _meters(facts: Facts) -> Iterator[Problem]:
    late = 2 * facts.epoch_seconds + facts.grace_seconds
    for meter in facts.meters:
        name = meter_subject(meter)
        if meter.state != METER_ACTIVE:
            continue
        behind = f"; {meter.waiting} of its readings wait for the chain" if meter.waiting else ""
        if meter.last_interval_end is None:
            yield Problem("meter_silent", name, f"has sent no reading yet{behind}: edge-agent status at its gateway")
        elif facts.time - meter.last_interval_end > late:
            last = age(facts.time - meter.last_interval_end)
            yield Problem("meter_silent", name, f"its last reading is of {last} ago{behind}: edge-agent status there")
        if not meter.on_chain:
            yield Problem("not_on_chain", name, f"is not on the chain: authority enrol register {meter.gateway}")


def _readings(facts: Facts) -> Iterator[Problem]:
    for code, count in facts.held_by_code.items():
        what = "reading waits" if count == 1 else "readings wait"
        yield Problem(
            "held", "collector", f"{count} {what} for a decision ({code}): authority collector held --code {code}", code
        )


def _books(facts: Facts) -> Iterator[Problem]:
    """Whether books and chain were the same when they were compared last, and whether that is long ago."""
    last = facts.comparison
    if last is None:
        return
    if last.differences:
        what = "thing differs" if last.differences == 1 else "things differ"
        yield Problem(
            "books_differ",
            "books",
            f"{last.differences} {what} between books and chain: auditors see it at Audit, treasurers at Treasury, and "
            "authority audit compare tells it",
        )
    if facts.time - last.started_at > COMPARISON_SECONDS:
        yield Problem(
            "comparison_late",
            "books",
            f"books and chain were compared {age(facts.time - last.started_at)} ago: authority audit compare",
        )


def _alerting(facts: Facts) -> Iterator[Problem]:
    alerting = facts.alerting
    if alerting is None:
        return
    if facts.time - alerting.looked_at > ALERTING_SECONDS:
        yield Problem("not_running", "alerts", "nobody is told of anything: journalctl -u authority")
    for channel in alerting.channels:
        if channel.failing_since is not None:
            yield Problem(
                "alerts_undelivered",
                channel.name,
                f"what waits to be told has not been taken for {age(facts.time - channel.failing_since)} "
                f"({channel.error}); it is kept, and tried again: authority alerts test",
            )


def _machine(facts: Facts) -> Iterator[Problem]:
    if facts.disk_free < DISK_SHARE * facts.disk_total:
        yield Problem("disk", "disk", f"{facts.disk_free / 2**30:.1f} GiB are free: make room before it is full")
    ends = facts.server_certificate_ends
    if ends is not None and ends - facts.time < CERTIFICATE_SECONDS / 2:
        yield Problem(
            "certificate_ends",
            "collector",
            f"its server certificate ends in {age(ends - facts.time)}: systemctl reload authority renews it",
        )
    if facts.backup_at is None:
        yield Problem("backup", "backup", "there has been none: authority backup FILE")
    elif facts.time - facts.backup_at > BACKUP_SECONDS:
        yield Problem("backup", "backup", f"the last is {age(facts.time - facts.backup_at)} old: authority backup FILE")
