"""/api/v1/indicators.csv and .xlsx: the campus in figures as tables, for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from authority.api import indicator_table, tags, workbook
from authority.api.energy_table import CSV_TYPE
from authority.api.indicators import CampusIndicators, Indicators, IndicatorsQuery
from authority.api.me_files import read

ABOUT = (
    "A row for each step, with its beginning and end on the site's clock and their offset. Cells of what is not known, "
    "or of too few members, are empty. At most 92 days by day, 366 by month."
)


def _answers(content_type: str, schema: Mapping[str, Any]) -> dict[int | str, Any]:
    told = {"description": "The table.", "content": {content_type.partition(";")[0]: {"schema": schema}}}
    return {200: told, 400: "The query is wrong."}


def blueprint(indicators: CampusIndicators) -> APIBlueprint:
    """The resources over the query layer."""
    public = APIBlueprint("indicator_files", __name__, url_prefix="/api/v1", tag="Public")

    @public.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PUBLIC)

    def found(query: dict[str, Any]) -> Indicators:
        first: date = query["first"] or indicators.today()
        return indicators.over(first, query["last"] or first, query["step"])

    @public.get("/indicators.csv")
    @public.input(IndicatorsQuery, location="query", arg_name="query")
    @public.doc(
        operation_id="get_indicators_csv",
        summary="The campus's indicators as CSV",
        description=f"{ABOUT} In Wh and micro-credits.",
        responses=_answers(CSV_TYPE, {"type": "string"}),
    )
    def as_csv(query: dict[str, Any]) -> Response:
        told = found(query)
        text = "".join(indicator_table.csv_lines(told.steps, indicators.zone))
        return _sent(text, told, "csv", CSV_TYPE)

    @public.get("/indicators.xlsx")
    @public.input(IndicatorsQuery, location="query", arg_name="query")
    @public.doc(
        operation_id="get_indicators_xlsx",
        summary="The campus's indicators as XLSX",
        description=f"{ABOUT} In kWh and credits. A second sheet has all of it together.",
        responses=_answers(workbook.CONTENT_TYPE, {"type": "string", "format": "binary"}),
    )
    def as_xlsx(query: dict[str, Any]) -> Response:
        told = found(query)
        tag = indicator_table.digest(told, indicators.zone, "xlsx")
        if (same := tags.unchanged(tag, tags.PUBLIC)) is not None:
            return same
        file = indicator_table.xlsx(told, indicators.zone)
        response = _sent(read(file), told, "xlsx", workbook.CONTENT_TYPE)
        response.call_on_close(file.close)
        response.set_etag(tag, weak=True)
        return response

    return public


def _sent(body: Any, told: Indicators, kind: str, content_type: str) -> Response:
    kept = f'attachment; filename="{indicator_table.file_name(told, kind)}"'
    return Response(body, headers={"Content-Disposition": kept}, content_type=content_type)
