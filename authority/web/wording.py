"""Words that the store and the wire have as codes, and that pages show as they are: marked for translation."""

from __future__ import annotations

import re

from authority.language.reading import marked, said, translated

CODES = frozenset(
    (
        # Gateways, meters and readings
        marked("expected"),
        marked("enrolled"),
        marked("revoked"),
        marked("approved"),
        marked("active"),
        marked("suspended"),
        marked("closed"),
        marked("retired"),
        marked("building"),
        marked("generation"),
        marked("storage"),
        marked("load"),
        marked("grid"),
        marked("submeter"),
        marked("none"),
        marked("solar"),
        marked("wind"),
        marked("hydro"),
        marked("other"),
        marked("import"),
        marked("consumption"),
        marked("charge"),
        marked("discharge"),
        # Epochs
        marked("collecting"),
        marked("submitted"),
        marked("minted"),
        marked("clearing"),
        marked("settled"),
        marked("checkpointed"),
        # People, lists and bookings
        marked("member"),
        marked("delegate"),
        marked("operator"),
        marked("treasurer"),
        marked("auditor"),
        marked("authority"),
        marked("new"),
        marked("same"),
        marked("changed"),
        marked("wrong"),
        marked("waiting"),
        marked("booked"),
        marked("refused"),
        marked("done"),
        marked("failed"),
        marked("withdrawn"),
        marked("expired"),
        # What a problem is about
        marked("validator"),
        marked("chain"),
        marked("collector"),
        marked("settlement"),
        marked("approvals"),
        marked("disputes"),
        marked("watchdog"),
        marked("alerts"),
        marked("backup"),
        marked("disk"),
        marked("gateway"),
        marked("meter"),
    )
)

PARAMETERS = {
    "grace_seconds": marked("wait for readings after an epoch"),
    "clock_skew_seconds": marked("how far a meter's clock may be ahead"),
    "nameplate_tolerance_bps": marked("energy allowed beyond a plant's nameplate"),
    "storage_efficiency_bps": marked("share of stored energy that comes back"),
    "feed_in_price": marked("feed-in price"),
    "retail_price": marked("retail price"),
    "wheeling": marked("network charge, paid by buyers (wheeling)"),
    "fee_bps": marked("market fee, paid by sellers"),
    "min_order_wh": marked("least energy of an order"),
    "max_order_wh": marked("most energy of an order"),
    "max_orders_per_member": marked("most orders of a member in a book"),
    "cancel_cutoff_seconds": marked("time before its end in which no order is taken back"),
    "min_reference_volume_wh": marked("energy that must be traded for a reference price"),
    "billing_period_epochs": marked("length of a billing period"),
    "netting_epochs": marked("time over which a member is netted"),
}
"""The market's parameters, by their names in governance."""


def parameter(name: str) -> str:
    """A parameter's name in words; with its underscores alone where it is none of these."""
    return translated(PARAMETERS[name]) if name in PARAMETERS else name.replace("_", " ")


def word(code: str) -> str:
    """A code as a word of the language in which is read; itself where it is none of these."""
    return translated(code) if code in CODES else code


def subject(text: str) -> str:
    """What a problem is about: a kind of part, and its name as it is."""
    kind, gap, name = text.partition(" ")
    return word(kind) + gap + name


COMMANDS = frozenset(
    (
        "alerts", "announcements", "approvals", "audit", "backup", "billing", "certificates", "collector", "credits",
        "dataset", "demo", "deploy", "enrol", "fund", "handover", "idl", "init", "installations", "market", "members",
        "meters", "operator", "parameters", "pause", "people", "plot", "recover", "restore", "resume", "serve",
        "settlement", "simulate", "status", "tickets", "upgrade", "validator", "verifier", "watchdog", "web",
    )
)  # fmt: skip
"""The authority's commands, as they stand in messages that terminals and pages have in common."""
_COMMAND = re.compile(
    rf"`?\(?(?<![\w-])(?:authority (?:{'|'.join(sorted(COMMANDS))})(?![\w-])"
    r"|edge-agent [a-z]+|systemctl [a-z]+ |journalctl -)"
)
_LEADS_THERE = re.compile(r"(?:[;:,.]\s*|\s+)(?:see|or|and|with|load one with|\S*โปรด\S*|หรือใช้|และ)?\s*:?\s*$")
_LOOKS_ALONE = re.compile(r"authority (?:status|\w+ (?:list|show|owed|sessions|held))\b")


def apart(text: str) -> tuple[str, str]:
    """A message of a service in words for a page, and the command that it names for a terminal; empty where none.

    Services say in one sentence what is wrong and which command helps. Who reads a page has no terminal.
    """
    found = _COMMAND.search(text)
    if found is None:
        return text, ""
    return _LEADS_THERE.sub("", text[: found.start()]).rstrip(" :;,("), text[found.start() :].strip("`() ")


def words_of(text: str) -> str:
    """What an error says, in the reader's language and without the command."""
    return apart(said(text))[0]


def command_of(text: str) -> str:
    """The command that an error's text names; empty where it names none."""
    return apart(said(text))[1]


def is_for_the_server(text: str) -> bool:
    """Whether an error's text names a command that does something, and does not only show what pages show."""
    command = command_of(text)
    return bool(command) and not _LOOKS_ALONE.match(command)
