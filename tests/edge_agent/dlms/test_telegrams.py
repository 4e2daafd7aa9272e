"""Real telegrams on both interpreters: the whole way from hex to values."""

from edge_agent.dlms.push.telegram import Keys, decode_telegrams

FOLDER = __file__.rsplit("/", 1)[0] + "/telegrams/" if "/" in __file__ else "telegrams/"

SAYS = {
    "hdlc_norway_han_1phase": ("hdlc", 9, "1-0:31.7.0.255", "9.3", "A"),
    "hdlc_kamstrup_omnipower": ("hdlc", 32, "1-1:1.8.0.255", "6307498", None),
    "hdlc_landis_gyr_e450": ("hdlc", 16, "1-0:1.8.0.255", "4408736", None),
    "raw_salzburg_netz": ("raw", 15, "1-0:1.8.0.255", "1327456", "Wh"),
}


def _hex(name):
    with open(FOLDER + name) as file:
        text = file.read()
    return bytes.fromhex("".join([c for c in text if c in "0123456789abcdefABCDEF"]))


def _keys(name):
    try:
        return Keys(_hex(name + ".key"), _hex(name + ".gak"))
    except OSError:
        return Keys()


def test_real_telegrams():
    for name, (link, count, code, value, unit) in SAYS.items():
        telegrams = decode_telegrams(_hex(name + ".log"), "auto", _keys(name))
        assert len(telegrams) == 1, name
        telegram = telegrams[0]
        assert not telegram.errors, (name, telegram.errors)
        assert telegram.link == link
        assert len(telegram.values) == count, (name, len(telegram.values))
        assert (telegram.values[code].value, telegram.values[code].unit) == (value, unit)


def test_wrong_keys_and_damage():
    data = _hex("hdlc_kamstrup_omnipower.log")
    telegram = decode_telegrams(data, "auto", Keys(bytes(16), bytes(16)))[0]
    assert [error.code for error in telegram.errors] == ["wrong_key"]
    telegram = decode_telegrams(data[:100] + b"\x00" + data[101:], "auto", _keys("hdlc_kamstrup_omnipower"))[0]
    assert telegram.errors[0].code == "bad_fcs"
    assert telegram.values == {}


def test_the_layouts_on_file_are_sound():
    from edge_agent.dlms.axdr import ARRAY, BOOLEAN, OCTET_STRING, UINT32
    from edge_agent.dlms.obis import obis_bytes
    from edge_agent.dlms.push.interpret import interpret
    from edge_agent.dlms.push.layouts import find_layout, load

    layouts = load().lists
    assert layouts
    for count, described in layouts.items():
        for layout in described:
            assert len(layout.columns) == len(layout.types) == count
            assert layout.first is not None or None not in layout.types  # else it would take anything
            values = []
            for kind in layout.types:
                kind = UINT32 if kind is None else kind  # noqa: PLW2901
                values.append((kind, {OCTET_STRING: b"1", BOOLEAN: True, ARRAY: []}.get(kind, 1)))
            if layout.first is not None:
                first = layout.first.replace("*", "1").replace("#", "1")
                time = b"\x07\xea\x06\x01\x01\x0c\x00\x00\x00\xff\xc4\x00"
                values[0] = (OCTET_STRING, obis_bytes(first) if ":" in first else first.encode())
                if layout.first == "@":
                    values[0] = (OCTET_STRING, time)
            assert find_layout((2, values)) is layout or find_layout((2, values)).columns == layout.columns
            assert len(interpret((2, values)).values) == len([column for column in layout.columns if column])
            for at, kind in enumerate(layout.types):
                if kind is not None:
                    other = values[:at] + [(0, None)] + values[at + 1 :]  # noqa: RUF005 - MicroPython
                    assert find_layout((2, other)) is not layout
