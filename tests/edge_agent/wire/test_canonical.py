import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.wire.canonical import NotCanonicalError, canonical_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_has_one_spelling_and_comes_back(value):
    spelled = canonical_json(value)
    assert json.loads(spelled) == value
    assert canonical_json(json.loads(spelled)) == spelled


def test_keys_are_sorted_tokens_are_close_and_text_is_utf_8():
    assert canonical_json({"b": [1, None, True], "a": "Zürich"}) == '{"a":"Zürich","b":[1,null,true]}'.encode()


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        {"\udfff": 1},
        nested(100_000),
        1.0,
        float("nan"),
        {"a": [0.5]},
        {1: "a"},
        {None: 1},
        b"bytes",
        {"a": {2}},
    ],
)
def test_what_has_no_spelling_is_refused(value):
    with pytest.raises(NotCanonicalError):
        canonical_json(value)
