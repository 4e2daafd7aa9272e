"""authority.toml: what a deployment is told, table by table, and how it is read, checked and written.

A table is a dataclass whose fields are its keys and whose defaults say of which type they are. The file is edited by
people: rewriting it keeps their comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tomlkit

from authority.errors import TwoPeopleNeededError
from authority.home.errors import HomeConfigError, HomeError
from authority.home.iban import compact, is_bic, is_iban
from authority.home.keyring import is_hex
from authority.language.reading import LANGUAGES
from edge_agent.wire.toml import Table, read_text

CONFIG_NAME = "authority.toml"
TWO_PERSONS = NO, PAGES, EVERYWHERE = "no", "pages", "everywhere"
CALENDARS = ("fixed", "month")
STATEMENT_COLUMNS = ("id", "date", "amount", "in", "out", "text", "currency")
"""What a column of a bank's statement may hold; `amount`, or `in` and `out`."""
SMTP_SECURITIES = ("starttls", "tls", "none")
MAX_VERIFIERS = 64
MOST_CO2_G_PER_KWH = 5_000
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
FIRST_LINE = "# The authority's configuration; every table and key is explained in docs/OPERATIONS.md."


@dataclass(frozen=True)
class NetworkSettings:
    """What this deployment is: its name, and the network id (16 hex digits) that every reading carries."""

    id: str = ""
    organisation: str = "Engineering Department"


@dataclass(frozen=True)
class EpochSettings:
    """The market's epoch in seconds; fixed forever once governance is initialized."""

    seconds: int = 900


@dataclass(frozen=True)
class SiteSettings:
    """Where the campus lies, in degrees (north and east positive), for the plausibility of solar readings.

    `known = false` switches that check off. zone is the IANA time zone whose calendar billing periods may follow.
    language is the pages' for readers who say none themselves. grid_co2_g_per_kwh is the mean emissions of the grid's
    energy, and grid_co2_source who says so, shown beside it; 0 and empty: unknown.
    """

    known: bool = False
    latitude: float = 0.0
    longitude: float = 0.0
    zone: str = "UTC"
    language: str = "en"
    grid_co2_g_per_kwh: int = 0
    grid_co2_source: str = ""


@dataclass(frozen=True)
class StoreSettings:
    """SQLAlchemy URL; empty is SQLite in the home directory. PostgreSQL: postgresql+psycopg://user@host/name."""

    url: str = ""


@dataclass(frozen=True)
class CollectorSettings:
    """The gateways' listener. `names`, which gateways dial, go into its certificate.

    verifiers: so many processes serve gateways and check what they send, and the collector orders, logs and receipts
    it; 0 is one process for all of it.
    """

    host: str = "127.0.0.1"
    port: int = 8443
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    threads: int = 16
    verifiers: int = 0


@dataclass(frozen=True)
class MqttSettings:
    """The broker, as the collector and the gateways reach it; an empty host means HTTPS only."""

    host: str = ""
    port: int = 8883


@dataclass(frozen=True)
class WebSettings:
    """The members' and the public's pages and API, behind the campus's own TLS.

    So many processes answer, each of them `threads` requests at once; each keeps `streams` more threads for event
    streams. notice is a sentence at the top of every page. origin is how people reach the pages, such as
    https://energy.campus.example; empty: nobody signs in but from this machine. webhooks: whether members' programs are
    told of events, at public addresses that members name.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    processes: int = 2
    threads: int = 4
    streams: int = 32
    notice: str = ""
    origin: str = ""
    webhooks: bool = False


@dataclass(frozen=True)
class PlanSettings:
    """Where buildings stand on the public plan, each as NAME=X,Y in per cent from the left and the top.

    `grid` in the place of a name is where the campus grid's point stands; else it is in the middle. Buildings that have
    no place stand in rows, and so do all where none has one.
    """

    places: tuple[str, ...] = ()

    def by_name(self) -> dict[str, tuple[int, int]]:
        """The places by name; ValueError where one is not written so."""
        found = {}
        for text in self.places:
            name, _, place = text.rpartition("=")
            across, down = (int(part) for part in place.split(","))
            if not (name.strip() and 0 <= across <= 100 and 0 <= down <= 100):
                raise ValueError(text)
            found[name.strip()] = (across, down)
        return found


@dataclass(frozen=True)
class OidcSettings:
    """The campus's OpenID provider, by which invited people may sign in; an empty issuer means none.

    issuer is its name as it gives it itself, such as https://login.campus.example/realms/campus; client_id is what it
    calls this site, whose secret lies in keys/oidc-client-secret. name is what the button calls it.
    """

    issuer: str = ""
    client_id: str = ""
    name: str = ""


@dataclass(frozen=True)
class PeopleSettings:
    """What takes two people (authority.people.proposals): one proposes, and another one approves.

    two_persons is "pages" (what is done on the pages; commands under the server's user act at once), "everywhere" (the
    commands refuse to act alone too), or "no" (one person may approve what it proposed itself).
    """

    two_persons: str = PAGES

    def refuse_alone(self, how: str) -> None:
        """TwoPeopleNeededError where a command may not do this at once; how: what to type in its place."""
        if self.two_persons == EVERYWHERE:
            raise TwoPeopleNeededError(f"this takes two people here: authority approvals propose {how}")


@dataclass(frozen=True)
class ValidatorSettings:
    """The Solana validator: `embedded` runs the one for development and small trials at host and port.

    airdrop gives lamports to whoever asks, and browsers answers the scripts of any web page: both for development.
    """

    embedded: bool = True
    url: str = "http://127.0.0.1:8899"
    host: str = "127.0.0.1"
    port: int = 8899
    airdrop: bool = False
    browsers: bool = False


@dataclass(frozen=True)
class PolicySettings:
    """The collector's own bounds, beside governance's parameters (codes 16 to 25, docs/PROTOCOL.md, "Receipt").

    clock_deviation_seconds: how far a meter's clock may be off its gateway's.
    """

    clock_deviation_seconds: int = 60


@dataclass(frozen=True)
class LogSettings:
    """The log's witnesses (C2SP tlog-witness): of each its submission prefix, a space, and its verifier key."""

    witnesses: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlertSettings:
    """Who is told of changes, by mail, by a webhook, or both; nobody where neither is named.

    Bills and invitations are mailed by the same relay, from mail_from; none where that is not set.

    smtp_security is "starttls", "tls" (from the first byte) or "none" (for a relay on this machine); smtp_user has its
    password in keys/smtp-password. The webhook is signed with keys/webhook-secret. settle_seconds: how long something
    stands, or is away, before that is told. digest: whether all that stands is told once a day, at digest_hour by the
    site's clock.
    """

    mail_to: tuple[str, ...] = ()
    mail_from: str = ""
    smtp_host: str = "localhost"
    smtp_port: int = 587
    smtp_security: str = "starttls"
    smtp_user: str = ""
    webhook_url: str = ""
    settle_seconds: int = 120
    digest: bool = True
    digest_hour: int = 7

    @property
    def mails_bills(self) -> bool:
        """Whether bills and invitations can be mailed: there is an address that they come from."""
        return bool(self.mail_from)

    @property
    def channels(self) -> tuple[str, ...]:
        """Those that are in use: mail, webhook."""
        return tuple(name for name, used in (("mail", self.mail_to), ("webhook", self.webhook_url)) if used)


@dataclass(frozen=True)
class BillingSettings:
    """Billing: `calendar` is "month" (of the site's zone), or "fixed" for periods of billing_period_epochs each.

    credit_limit is the most, in micro-credit, that one top-up or payout moves without being confirmed. currency is the
    ISO 4217 code of the money that a credit is worth one of; empty: payments are not taken in. statement_columns say
    what the bank calls the columns of its statement, each as WHAT=NAME (STATEMENT_COLUMNS); statement_decimal is the
    sign before an amount's decimals and statement_date the form of a date as in strptime, both empty where they are to
    be seen from the file. iban and bic (may be empty) are the department's account, from which members are paid and to
    which they pay. promptpay is its biller id for Thai QR codes, fifteen digits: the tax id, and a suffix of two.
    """

    calendar: str = "fixed"
    credit_limit: int = 1_000_000_000
    currency: str = ""
    statement_columns: tuple[str, ...] = ("id=id", "date=date", "amount=amount", "text=text")
    statement_decimal: str = ""
    statement_date: str = ""
    iban: str = ""
    bic: str = ""
    promptpay: str = ""


@dataclass(frozen=True)
class TransferSettings:
    """What members whose wallets are in custody give away on the pages, in micro-credits and Wh.

    credits_a_day and energy_a_day_wh are the most that one gives in 24 hours; above sign_in_above_credits and
    sign_in_above_wh a gift takes a sign-in of just now. take_back_seconds is how long a gift can be taken back.
    """

    credits_a_day: int = 100_000_000
    energy_a_day_wh: int = 100_000
    sign_in_above_credits: int = 10_000_000
    sign_in_above_wh: int = 10_000
    take_back_seconds: int = 180


@dataclass(frozen=True)
class ParameterSettings:
    """Governance's parameters at its initialization, which the collector's policy follows too.

    Prices are micro-credit per kWh, shares basis points, energies Wh (docs/ARCHITECTURE.md).
    """

    grace_seconds: int = 300
    clock_skew_seconds: int = 30
    nameplate_tolerance_bps: int = 1000
    storage_efficiency_bps: int = 9000
    feed_in_price: int = 80_000
    retail_price: int = 300_000
    wheeling: int = 20_000
    fee_bps: int = 100
    min_order_wh: int = 100
    max_order_wh: int = 1_000_000
    max_orders_per_member: int = 8
    cancel_cutoff_seconds: int = 60
    min_reference_volume_wh: int = 1_000
    billing_period_epochs: int = 2_976
    netting_epochs: int = 4

    @classmethod
    def for_epoch(cls, seconds: int) -> ParameterSettings:
        """The defaults, with the waits shortened or stretched in proportion to an epoch other than 900 s."""
        usual = EpochSettings().seconds

        def scaled(value: int) -> int:
            return -(-value * seconds // usual)

        default = cls()
        return cls(
            grace_seconds=scaled(default.grace_seconds),
            clock_skew_seconds=scaled(default.clock_skew_seconds),
            cancel_cutoff_seconds=scaled(default.cancel_cutoff_seconds),
        )


@dataclass(frozen=True)
class Settings:
    """The whole of authority.toml; each field is a table of it."""

    network: NetworkSettings = field(default_factory=NetworkSettings)
    epoch: EpochSettings = field(default_factory=EpochSettings)
    site: SiteSettings = field(default_factory=SiteSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    collector: CollectorSettings = field(default_factory=CollectorSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    web: WebSettings = field(default_factory=WebSettings)
    plan: PlanSettings = field(default_factory=PlanSettings)
    oidc: OidcSettings = field(default_factory=OidcSettings)
    people: PeopleSettings = field(default_factory=PeopleSettings)
    validator: ValidatorSettings = field(default_factory=ValidatorSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    log: LogSettings = field(default_factory=LogSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    billing: BillingSettings = field(default_factory=BillingSettings)
    transfers: TransferSettings = field(default_factory=TransferSettings)
    parameters: ParameterSettings = field(default_factory=ParameterSettings)

    @classmethod
    def from_toml(cls, text: str) -> Settings:
        """Read authority.toml; HomeConfigError names the table and the key that is wrong."""
        top = Table(read_text(text, _refuse), "", _refuse)
        settings = cls(**{table.name: _table(top, table.name) for table in fields(cls)})
        top.done()
        settings.check()
        return settings

    def check(self) -> None:
        """HomeConfigError where a value is outside what the system can work with."""
        for wrong, message in (
            (not 10 <= self.epoch.seconds <= 65_535, "[epoch] seconds must be 10 to 65535"),
            (not -90 <= self.site.latitude <= 90, "[site] latitude must be -90 to 90"),
            (not -180 <= self.site.longitude <= 180, "[site] longitude must be -180 to 180"),
            (
                self.site.language not in LANGUAGES,
                f"[site] language is one of {', '.join(LANGUAGES)}, not {self.site.language!r}",
            ),
            (
                not 0 <= self.site.grid_co2_g_per_kwh <= MOST_CO2_G_PER_KWH,
                f"[site] grid_co2_g_per_kwh must be 0 to {MOST_CO2_G_PER_KWH}",
            ),
            (
                bool(self.site.grid_co2_g_per_kwh) != bool(self.site.grid_co2_source.strip()),
                "[site] grid_co2_g_per_kwh and grid_co2_source, who says so, go together",
            ),
            (not _is_zone(self.site.zone), f"[site] zone must be an IANA time zone, not {self.site.zone!r}"),
            (not self.collector.names, "[collector] names must hold the name that gateways dial"),
            (self.collector.threads < 2, "[collector] threads must be 2 or more"),
            (not _is_origin(self.web.origin), "[web] origin must be like https://energy.campus.example, or empty"),
            (
                not 0 <= self.collector.verifiers <= MAX_VERIFIERS,
                f"[collector] verifiers must be 0 to {MAX_VERIFIERS}",
            ),
            (
                bool(self.oidc.issuer) and not _is_private_url(self.oidc.issuer),
                "[oidc] issuer is https://, or http:// of this very machine",
            ),
            (bool(self.oidc.issuer) != bool(self.oidc.client_id), "[oidc] issuer and client_id go together"),
            (self.people.two_persons not in TWO_PERSONS, f"[people] two_persons is one of {', '.join(TWO_PERSONS)}"),
            (not 1 <= self.web.processes <= 64, "[web] processes must be 1 to 64"),
            (self.web.threads < 1, "[web] threads must be 1 or more"),
            (
                any(len(each.split(" ")) != 2 for each in self.log.witnesses),
                "[log] witnesses are texts of a URL, a space, and a verifier key",
            ),
            (not _are_places(self.plan), "[plan] places are texts such as Dormitory A=20,35, from 0 to 100"),
            *_wrong_alerts(self.alerts),
            *_wrong_billing(self.billing),
            (self.transfers.take_back_seconds > 86_400, "[transfers] take_back_seconds must be 0 to 86400"),
            (self.parameters.grace_seconds > self.epoch.seconds, "[parameters] grace_seconds must fit in an epoch"),
            (
                self.parameters.cancel_cutoff_seconds >= self.epoch.seconds,
                "[parameters] cancel_cutoff_seconds must be less than an epoch",
            ),
        ):
            if wrong:
                raise HomeConfigError(f"{CONFIG_NAME}: {message}")
        for name, port in (
            ("collector", self.collector.port),
            ("mqtt", self.mqtt.port),
            ("web", self.web.port),
            ("validator", self.validator.port),
        ):
            if not 0 < port < 65_536:
                raise HomeConfigError(f"{CONFIG_NAME}: [{name}] port must be 1 to 65535")
        if self.validator.embedded and self.validator.port == 65_535:
            raise HomeConfigError(f"{CONFIG_NAME}: [validator] port must leave the next one for subscriptions")
        if self.network.id and not is_hex(self.network.id, 8):
            raise HomeConfigError(f"{CONFIG_NAME}: [network] id must be 16 hex digits")

    def to_toml(self, before: str = "") -> str:
        """authority.toml with every value written out; comments and order are those of the file `before`, if any."""
        document = tomlkit.parse(before or f"{FIRST_LINE}\n")
        for table in fields(self):
            if table.name not in document:
                document.add(tomlkit.nl())
                document.add(table.name, tomlkit.table())
            written = document[table.name]
            value = getattr(self, table.name)
            for key in fields(value):
                item = getattr(value, key.name)
                plain = list(item) if isinstance(item, tuple) else item
                if key.name not in written or written[key.name] != plain:
                    written[key.name] = plain
        return tomlkit.dumps(document)


_TABLES: Mapping[str, type[Any]] = {
    "network": NetworkSettings,
    "epoch": EpochSettings,
    "site": SiteSettings,
    "store": StoreSettings,
    "collector": CollectorSettings,
    "mqtt": MqttSettings,
    "web": WebSettings,
    "plan": PlanSettings,
    "oidc": OidcSettings,
    "people": PeopleSettings,
    "validator": ValidatorSettings,
    "policy": PolicySettings,
    "log": LogSettings,
    "alerts": AlertSettings,
    "billing": BillingSettings,
    "transfers": TransferSettings,
    "parameters": ParameterSettings,
}


def _are_places(plan: PlanSettings) -> bool:
    try:
        plan.by_name()
    except ValueError:
        return False
    return True


def _is_origin(text: str) -> bool:
    return not text or re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?", text) is not None


def _wrong_alerts(alerts: AlertSettings) -> Iterator[tuple[bool, str]]:
    """Each thing that may be wrong with [alerts], and what to say of it."""
    addresses = (*alerts.mail_to, alerts.mail_from) if alerts.mail_to or alerts.mail_from else ()
    yield not all(map(is_mailbox, addresses)), "[alerts] mail_to and mail_from are addresses such as a@b.example"
    yield alerts.smtp_security not in SMTP_SECURITIES, f"[alerts] smtp_security is one of {', '.join(SMTP_SECURITIES)}"
    yield (
        alerts.smtp_security == "none" and bool(alerts.smtp_user),
        "[alerts] smtp_user needs smtp_security: its password would be sent in the clear",
    )
    yield not 0 < alerts.smtp_port < 65_536, "[alerts] smtp_port must be 1 to 65535"
    sound = not alerts.webhook_url or _is_private_url(alerts.webhook_url)
    yield not sound, "[alerts] webhook_url is https://, or http:// of this very machine"
    yield not 0 <= alerts.settle_seconds <= 86_400, "[alerts] settle_seconds must be 0 to 86400"
    yield not 0 <= alerts.digest_hour <= 23, "[alerts] digest_hour must be 0 to 23"


def _wrong_billing(billing: BillingSettings) -> Iterator[tuple[bool, str]]:
    """Each thing that may be wrong with [billing], and what to say of it."""
    yield billing.calendar not in CALENDARS, f"[billing] calendar must be one of {', '.join(CALENDARS)}"
    currency = re.fullmatch("([A-Z]{3})?", billing.currency) is not None
    yield not currency, '[billing] currency is three capitals such as "EUR", or empty'
    kinds = [column.partition("=")[0] for column in billing.statement_columns]
    named = all(column.partition("=")[2].strip() for column in billing.statement_columns)
    sound = named and set(kinds) <= set(STATEMENT_COLUMNS) and {"date", "text"} <= set(kinds)
    sound = sound and all(kinds.count(kind) <= 1 for kind in STATEMENT_COLUMNS if kind != "text")
    sound = sound and ("amount" in kinds) != bool({"in", "out"} & set(kinds))
    message = (
        "are texts such as date=Booking date; date, text, and amount (or in and out) are needed, id should be there"
    )
    yield not sound, f"[billing] statement_columns {message}; they are {', '.join(STATEMENT_COLUMNS)}"
    wrong = bool(billing.iban) and not is_iban(compact(billing.iban))
    yield wrong, "[billing] iban is no IBAN: a digit is mistyped, missing or too many"
    yield bool(billing.bic) and not is_bic(billing.bic), "[billing] bic is eight or eleven letters and digits, or empty"
    biller = re.fullmatch("([0-9]{15})?", billing.promptpay) is not None
    yield not biller, "[billing] promptpay is the biller id of fifteen digits, or empty"
    yield billing.statement_decimal not in ("", ",", "."), '[billing] statement_decimal is ",", "." or empty'


def _is_private_url(text: str) -> bool:
    """Whether nobody on the way can read what is sent to a URL: https://, or http:// of this machine."""
    url = urlsplit(text)
    return bool(url.hostname) and (url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK_HOSTS))


def is_mailbox(text: str) -> bool:
    """Whether a text is an address that mail can be sent to, such as a@b.example (RFC 5321, without quoted parts).

    Nor with what a mail's head would take for an encoded word (RFC 2047), and read as other addresses than these.
    """
    local, _, domain = text.rpartition("@")
    fits = len(local) <= 64 and len(domain) <= 255 and "=?" not in local
    return fits and _LOCAL.fullmatch(local) is not None and _DOMAIN.fullmatch(domain) is not None


_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _table(top: Table, name: str) -> Any:
    defaults = _TABLES[name]()
    table = Table(top.take(name, {}), f"[{name}]", _refuse)
    read = {key.name: table.like(key.name, getattr(defaults, key.name)) for key in fields(defaults)}
    table.done()
    return type(defaults)(**read)


def _refuse(key: str, message: str) -> HomeError:
    return HomeConfigError(f"{CONFIG_NAME}: {key.replace('].', '] ')}: {message}".replace(": : ", ": "))
