"""The physical units of a scaler_unit (COSEM Blue Book, interface class register) as text, and exact scaling."""

from __future__ import annotations

UNITS = {
    1: "a",
    2: "mo",
    3: "wk",
    4: "d",
    5: "h",
    6: "min",
    7: "s",
    8: "°",
    9: "°C",
    10: "currency",
    11: "m",
    12: "m/s",
    13: "m³",
    14: "m³",
    15: "m³/h",
    16: "m³/h",
    17: "m³/d",
    18: "m³/d",
    19: "l",
    20: "kg",
    21: "N",
    22: "Nm",
    23: "Pa",
    24: "bar",
    25: "J",
    26: "J/h",
    27: "W",
    28: "VA",
    29: "var",
    30: "Wh",
    31: "VAh",
    32: "varh",
    33: "A",
    34: "C",
    35: "V",
    36: "V/m",
    37: "F",
    38: "Ω",
    39: "Ωm²/m",
    40: "Wb",
    41: "T",
    42: "A/m",
    43: "H",
    44: "Hz",
    45: "1/Wh",
    46: "1/varh",
    47: "1/VAh",
    48: "V²h",
    49: "A²h",
    50: "kg/s",
    51: "S",
    52: "K",
    53: "1/(V²h)",
    54: "1/(A²h)",
    55: "1/m³",
    56: "%",
    57: "Ah",
    60: "Wh/m³",
    61: "J/m³",
    62: "mol%",
    63: "g/m³",
    64: "Pa s",
    65: "J/kg",
    66: "g/cm²",
    67: "atm",
    70: "dBm",
    71: "dBµV",
    72: "dB",
}
"""Symbol by number; 254 (other) and 255 (count, no unit) have none."""

UNIT_NUMBERS = {"W": 27, "VA": 28, "var": 29, "Wh": 30, "VAh": 31, "varh": 32, "A": 33, "V": 35, "Hz": 44, "": 255}
"""The units that a meter file of the emulator names."""

SCALERS_OF_WH = {"Wh": 0, "kWh": 3, "MWh": 6, "GWh": 9}
"""Power of ten that turns a value of this unit into watt-hours."""

SCALERS_OF_W = {"W": 0, "kW": 3, "MW": 6}
"""The same for watts."""


def unit_text(number: int) -> str | None:
    """`30` as `Wh`; None where the number names no unit, `unit N` for one that this table does not know."""
    if number in (0, 254, 255):
        return None
    return UNITS.get(number, f"unit {number}")


def scaled_text(value: int, scaler: int) -> str:
    """`value` times ten to the `scaler`, exactly, without an exponent: `scaled_text(1234567, -3)` is `1234.567`."""
    if scaler >= 0:
        return str(value) + "0" * scaler if value and scaler else str(value)
    if value < 0:
        return "-" + scaled_text(-value, scaler)
    digits = str(value)
    if len(digits) <= -scaler:
        digits = "0" * (1 - scaler - len(digits)) + digits
    return digits[:scaler] + "." + digits[scaler:]


def exact_text(text: str) -> str:
    """A float's shortest text (`1.5e-07`) without its exponent (`0.00000015`)."""
    mantissa, _, exponent = text.lower().partition("e")
    if not exponent:
        return text
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    sign = "-" if mantissa.startswith("-") else ""
    return sign + scaled_text(int(whole + fraction), int(exponent) - len(fraction))


def float_text(value: float) -> str:
    """A float as decimal text: no exponent, no trailing `.0`; `nan` and `inf` stay words."""
    text = exact_text(repr(value))
    return text[:-2] if text.endswith(".0") else text
