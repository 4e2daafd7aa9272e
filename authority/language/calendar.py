"""Dates as people write them. Machines have ISO 8601 and the Gregorian year everywhere, whatever is read here.

Thai counts years by the Buddhist era, 543 ahead, as bills and offices in Thailand do; its names of months and days are
CLDR's. A test holds the tables against Babel's copy of CLDR.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Dates:
    """A language's dates: months in full and short, days from Monday on, how far ahead the year is.

    forms: formats that are written in another way than in English, by the English one.
    clock: what stands before a time of day that follows a date, and after it; None is as the format has it.
    """

    months: tuple[str, ...]
    short_months: tuple[str, ...]
    days: tuple[str, ...]
    year_offset: int = 0
    forms: Mapping[str, str] = field(default_factory=dict)
    clock: tuple[str, str] | None = None

    def written(self, when: date, form: str) -> str:
        """A date, or a moment, by a format of strftime's: names and year are the language's."""
        names = {
            "%A": self.days[when.weekday()],
            "%B": self.months[when.month - 1],
            "%b": self.short_months[when.month - 1],
            "%Y": f"{when.year + self.year_offset:04d}",
        }
        form = self.forms.get(form, form)
        if self.clock is not None:
            before, after = self.clock
            form = re.sub(r",? (%H:%M(?::%S)?)$", rf"{before}\1{after}", form)
        return when.strftime(re.sub("%[ABbY]", lambda found: names[found[0]].replace("%", "%%"), form))


ENGLISH_DATES = Dates(
    months=(
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
    short_months=("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    days=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
)  # fmt: skip

THAI_DATES = Dates(
    months=(
        "มกราคม", "กุมภาพันธ์", "มีนาคม", "เมษายน", "พฤษภาคม", "มิถุนายน",
        "กรกฎาคม", "สิงหาคม", "กันยายน", "ตุลาคม", "พฤศจิกายน", "ธันวาคม",
    ),
    short_months=("ม.ค.", "ก.พ.", "มี.ค.", "เม.ย.", "พ.ค.", "มิ.ย.", "ก.ค.", "ส.ค.", "ก.ย.", "ต.ค.", "พ.ย.", "ธ.ค."),
    days=("วันจันทร์", "วันอังคาร", "วันพุธ", "วันพฤหัสบดี", "วันศุกร์", "วันเสาร์", "วันอาทิตย์"),
    year_offset=543,
    forms={"%A, %-d %B %Y": "%Aที่ %-d %B %Y"},
    clock=(" ", " น."),
)  # fmt: skip
