"""Topics, paths and names are those of docs/PROTOCOL.md."""

import re
from pathlib import Path

import pytest

from edge_agent.wire import paths, topics
from edge_agent.wire.names import is_name

PROTOCOL = (Path(__file__).parents[3] / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")


def test_the_topics_are_the_protocols_and_have_its_quality_of_service():
    rows = re.findall(r"^\| `(ami/v1/\S+)` \| to the (\w+) \| .* \| (\d), (yes|no) \|$", PROTOCOL, re.MULTILINE)
    assert {(topic, direction, int(qos)) for topic, direction, qos, _ in rows} == {
        (topics.topic(kind, "{gateway}", "{meter}"), direction, topics.QOS[kind])
        for direction, kinds in (("authority", topics.FROM_GATEWAYS), ("gateway", topics.TO_GATEWAYS))
        for kind in kinds
    }


@pytest.mark.parametrize("kind", topics.QOS)
def test_a_topic_is_read_as_it_was_written(kind):
    meter = "solar" if kind in topics.OF_A_METER else None
    assert topics.parse(topics.topic(kind, "hall", "solar")) == (kind, "hall", meter)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "ami/v1",
        "ami/v1/status",
        "ami/v1//status",
        "ami/v2/hall/status",
        "xami/v1/hall/status",
        "ami/v1/hall/solar/status",
        "ami/v1/hall/reading",
        "ami/v1/hall//reading",
        "ami/v1/hall/solar/x/reading",
        "ami/v1/hall/other",
    ],
)
def test_other_topics_are_not_ours(topic):
    assert topics.parse(topic) is None


def test_the_paths_are_the_protocols():
    written = set(re.findall(r"^\| `(?:GET|POST) (\S+)`", PROTOCOL, re.MULTILINE))
    assert written == {
        paths.CA,
        paths.ENROLMENTS,
        paths.proofs("{enrolment}"),
        paths.enrolment("{enrolment}"),
        paths.readings("{gateway}"),
        paths.live("{gateway}"),
        paths.status("{gateway}"),
        paths.head("{gateway}", "{meter}"),
        paths.certificate("{gateway}"),
    }


@pytest.mark.parametrize("name", ["a", "0", "dormitory-a", "b.2_c", "x" * 63])
def test_names_that_fit_a_topic_a_path_and_a_certificate(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "A", "-a", ".a", "a/b", "a+", "#", "a b", "ä", "a\n", "x" * 64, "authority-", "authority-collector", 7, None],
)
def test_names_that_do_not(name):
    assert not is_name(name)
