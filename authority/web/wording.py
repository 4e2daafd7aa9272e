"""Words that the store and the wire have as codes, and that pages show as they are: marked for translation."""

from __future__ import annotations

from authority.language.reading import marked, translated

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
    "grace_seconds": marked("grace seconds"),
    "clock_skew_seconds": marked("clock skew seconds"),
    "nameplate_tolerance_bps": marked("nameplate tolerance bps"),
    "storage_efficiency_bps": marked("storage efficiency bps"),
    "feed_in_price": marked("feed in price"),
    "retail_price": marked("retail price"),
    "wheeling": marked("wheeling"),
    "fee_bps": marked("fee bps"),
    "min_order_wh": marked("min order wh"),
    "max_order_wh": marked("max order wh"),
    "max_orders_per_member": marked("max orders per member"),
    "cancel_cutoff_seconds": marked("cancel cutoff seconds"),
    "min_reference_volume_wh": marked("min reference volume wh"),
    "billing_period_epochs": marked("billing period epochs"),
    "netting_epochs": marked("netting epochs"),
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
