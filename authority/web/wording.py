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
        # What a problem is about
        marked("validator"),
        marked("chain"),
        marked("collector"),
        marked("settlement"),
        marked("watchdog"),
        marked("alerts"),
        marked("backup"),
        marked("disk"),
        marked("gateway"),
        marked("meter"),
    )
)


def word(code: str) -> str:
    """A code as a word of the language in which is read; itself where it is none of these."""
    return translated(code) if code in CODES else code


def subject(text: str) -> str:
    """What a problem is about: a kind of part, and its name as it is."""
    kind, gap, name = text.partition(" ")
    return word(kind) + gap + name
