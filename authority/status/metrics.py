"""The status for Prometheus: the same facts and problems as gauges, looked at afresh at most every ten seconds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authority.status.facts import Facts
from authority.status.judgement import problems

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 10.0


class Metrics:
    """Text in Prometheus's exposition format; `look` gathers the facts."""

    def __init__(self, look: Callable[[], Facts], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._look, self._monotonic = look, monotonic
        self._lock = threading.Lock()
        self._newest: tuple[float, bytes] | None = None

    def text(self) -> bytes:
        """All metrics now; what `look` raises is raised."""
        with self._lock:
            if self._newest is None or self._monotonic() - self._newest[0] > FRESH_SECONDS:
                registry = CollectorRegistry()
                registry.register(_Gauges(self._look()))
                self._newest = self._monotonic(), generate_latest(registry)
            return self._newest[1]


class _Gauges(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts, chain = self._facts, self._facts.chain
        codes = Counter(problem.code for problem in problems(facts))
        yield _by(
            "campus_problems", "Things that wait for a person", ["code"], [((code,), n) for code, n in codes.items()]
        )
        yield _one("campus_up", "Whether the store could be read", 1)
        yield _one("campus_epochs_behind", "Epochs that wait for their checkpoint", facts.epochs_behind)
        yield _one("campus_alerts", "What settlement could not do", len(facts.alerts))
        yield _by("campus_held_readings", "Readings that wait for a decision", ["code"], _counts(facts.held_by_code))
        yield _one("campus_disk_free_bytes", "Room on the home's disk", facts.disk_free)
        yield _one("campus_chain_up", "Whether the validator answers", int(chain.error is None))
        for name, what, value in (
            ("campus_chain_slot", "The newest confirmed slot", chain.slot),
            ("campus_chain_lag_seconds", "How far the chain's clock is behind", _since(facts, chain.clock)),
            ("campus_chain_missing_checkpoints", "Checkpoints the chain lacks", len(chain.missing_checkpoints)),
            ("campus_operator_lamports", "What the operator has for fees and rent", chain.lamports),
            ("campus_operator_days_left", "How long that lasts", chain.days_left),
            ("campus_backup_age_seconds", "Since the last backup", _since(facts, facts.backup_at)),
            (
                "campus_server_certificate_seconds",
                "Left of the server certificate",
                _left(facts, facts.server_certificate_ends),
            ),
        ):
            if value is not None:
                yield _one(name, what, value)
        yield _by("campus_process_up", "Singular processes that run", ["process"], _counts(facts.running))
        gateways = [gateway for gateway in facts.gateways if gateway.state == "enrolled"]
        for name, what, values in (
            ("campus_gateway_online", "Connected, by its own word", [(g.name, int(g.online)) for g in gateways]),
            (
                "campus_gateway_age_seconds",
                "Since it was heard",
                [(g.name, _since(facts, g.seen_at)) for g in gateways],
            ),
            ("campus_gateway_problems", "What it says is wrong", [(g.name, len(g.problems)) for g in gateways]),
            (
                "campus_gateway_certificate_seconds",
                "Left of its certificate",
                [(g.name, _left(facts, g.certificate_ends)) for g in gateways],
            ),
        ):
            yield _by(name, what, ["gateway"], [((label,), value) for label, value in values if value is not None])
        for name, what, readings in (
            (
                "campus_meter_age_seconds",
                "Since its last reading's interval end",
                [_since(facts, m.last_interval_end) for m in facts.meters],
            ),
            ("campus_meter_waiting_readings", "On their way to the chain", [m.waiting for m in facts.meters]),
        ):
            labelled = [((m.gateway, m.name), value) for m, value in zip(facts.meters, readings, strict=True)]
            yield _by(
                name, what, ["gateway", "meter"], [(names, value) for names, value in labelled if value is not None]
            )


def _counts(values: object) -> list[tuple[tuple[str, ...], float]]:
    assert isinstance(values, dict)  # noqa: S101
    return [((str(name),), float(value)) for name, value in values.items()]


def _since(facts: Facts, at: int | None) -> int | None:
    return None if at is None else facts.time - at


def _left(facts: Facts, at: int | None) -> int | None:
    return None if at is None else at - facts.time


def _one(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _by(name: str, what: str, labels: list[str], values: list[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=labels)
    for names, value in values:
        family.add_metric(list(names), value)
    return family
