"""/api/v1/me/energy.csv and .xlsx, and /api/v1/me/bills/NUMBER.csv: what is shown there as tables, the same figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import IO, Any

from apiflask import APIBlueprint
from flask import Response

from authority.api import energy_table, gate, tags, workbook
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS, EnergyQuery
from authority.api.member import Energy, Members
from authority.app import App
from authority.people.roles import OF_A_MEMBER, READ_ENERGY, READ_MONEY, SEES_BILLS, MemberAccount

RULES: Mapping[str, Rule] = {
    "me_files.energy_csv": Rule(OF_A_MEMBER, READ_ENERGY),
    "me_files.energy_xlsx": Rule(OF_A_MEMBER, READ_ENERGY),
    "me_files.bill_csv": Rule(SEES_BILLS, READ_MONEY),
}
CHUNK = 64 * 1024
ABOUT = (
    "A row for each step, with its beginning and end on the site's clock and their offset, the six flows, what was "
    "bought and sold, for how many seconds of it all meters were heard, and how many of how many meters. Cells of what "
    "is not known are empty. The columns add up to the total of `/api/v1/me/energy`. At most 31 days by quarter, 92 by "
    "day."
)


def _answers(content_type: str, schema: Mapping[str, Any]) -> dict[int | str, Any]:
    told = {"description": "The table.", "content": {content_type.partition(";")[0]: {"schema": schema}}}
    return {200: told, 400: "The query is wrong.", **dict[int | str, Any](NOT_YOURS.items())}


BILL_CSV_ANSWERS: dict[int | str, Any] = {
    200: {"description": "The table.", "content": {"text/csv": {"schema": {"type": "string"}}}},
    409: "The bill is not as it was issued.",
    **dict[int | str, Any](NOT_YOURS.items()),
}
CSV_EXAMPLE = (
    f"{','.join(energy_table.COLUMNS)}\r\n"
    "2026-06-21T12:00:00+02:00,2026-06-21T12:15:00+02:00,400,0,0,100,0,300,0,0,300,60000,900,2,2\r\n"
)


def blueprint(app: App, members: Members) -> APIBlueprint:
    """The resources over the query layer."""
    me = APIBlueprint("me_files", __name__, url_prefix="/api/v1/me", tag="Me")

    def found(query: dict[str, Any]) -> tuple[MemberAccount, Energy, int]:
        """Whose energy, what there is of it, and until when is known what was traded."""
        its = gate.own_member(app, "energy")
        first: date = query["first"] or members.today()
        energy = members.energy(its, first, query["last"] or first, query["step"])
        with app.store.read() as session:
            return its, energy, energy_table.traded_until(session, members.epoch_seconds, app.clock())

    @me.get("/energy.csv")
    @me.input(EnergyQuery, location="query", arg_name="query")
    @me.doc(
        operation_id="get_my_energy_csv",
        summary="Energy and trades as CSV",
        description=f"{ABOUT} In Wh and micro-credits.",
        responses=_answers(energy_table.CSV_TYPE, {"type": "string", "examples": [CSV_EXAMPLE]}),
    )
    def energy_csv(query: dict[str, Any]) -> Response:
        its, energy, until = found(query)
        tag = energy_table.digest(energy, its.name, members.zone, until, "csv")
        if (same := tags.unchanged(tag, tags.PRIVATE)) is not None:
            return same
        lines = energy_table.csv_lines(energy.steps, members.zone, until)
        return _sent((line.encode() for line in lines), energy, "csv", energy_table.CSV_TYPE, tag)

    @me.get("/energy.xlsx")
    @me.input(EnergyQuery, location="query", arg_name="query")
    @me.doc(
        operation_id="get_my_energy_xlsx",
        summary="Energy and trades as XLSX",
        description=f"{ABOUT} In kWh and credits. A second sheet has the total.",
        responses=_answers(workbook.CONTENT_TYPE, {"type": "string", "format": "binary"}),
    )
    def energy_xlsx(query: dict[str, Any]) -> Response:
        its, energy, until = found(query)
        tag = energy_table.digest(energy, its.name, members.zone, until, "xlsx")
        if (same := tags.unchanged(tag, tags.PRIVATE)) is not None:
            return same
        file = energy_table.xlsx(energy, its.name, members.zone, until)
        response = _sent(read(file), energy, "xlsx", workbook.CONTENT_TYPE, tag)
        response.call_on_close(file.close)
        return response

    @me.get("/bills/<int:number>.csv")
    @me.doc(
        operation_id="get_my_bill_csv",
        summary="One bill as CSV",
        description="A row for each line, in Wh and micro-credits, with the epochs and the leaves of the log that it "
        "is made of; positive where the member pays.",
        responses=BILL_CSV_ANSWERS,
    )
    def bill_csv(number: int) -> Response:
        text = members.bill_csv(gate.account_of_bills(app), number)
        kept = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="bill-{number}.csv"'}
        return Response(text, headers=kept, content_type=energy_table.CSV_TYPE)

    return me


def _sent(chunks: Iterator[bytes], energy: Energy, kind: str, content_type: str, tag: str) -> Response:
    name = energy_table.file_name(energy, kind)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    response = Response(chunks, headers=headers, content_type=content_type)
    response.set_etag(tag, weak=True)
    return tags.tagged(response, tags.PRIVATE)


def read(file: IO[bytes]) -> Iterator[bytes]:
    """An open file, a part at a time."""
    while data := file.read(CHUNK):
        yield data
