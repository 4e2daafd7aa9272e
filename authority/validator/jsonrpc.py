"""JSON-RPC 2.0: the answer to one call or one batch, whichever door it came through.

HTTP's calls are those of `methods`, the WebSocket's those of `subscriptions`: each is a table of names here.
"""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager
from typing import Any, Protocol

from authority.validator.errors import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError

MAX_BATCH = 1_000
MAX_BATCH_ANSWER = 64 * 1024 * 1024
"""Characters of a batch's answers after which its further calls are refused."""

_log = logging.getLogger(__name__)


class Calls(Protocol):
    """The calls that a door takes."""

    def call(self, method: str, values: list[Any]) -> Any:
        """The result of one call, or RpcError."""

    def together(self) -> AbstractContextManager[None]:
        """Around the calls of a batch; RpcError at its end where none of it took effect."""


def answer(calls: Calls, body: bytes) -> str | None:
    """The answer to a request's body: an object, a list for a batch, or None where only notifications came."""
    one = _answer(calls, body)
    return one if one is None or isinstance(one, str) else _text(one)


def _text(answered: dict[str, Any]) -> str:
    return json.dumps(answered, separators=(",", ":"))


def _answer(calls: Calls, body: bytes) -> dict[str, Any] | str | None:
    try:
        request = json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return _failure(None, RpcError(PARSE_ERROR, "Parse error"))
    if not isinstance(request, list):
        return _answer_one(calls, request)
    if not request:
        return _failure(None, RpcError(INVALID_REQUEST, "Invalid request"))
    if len(request) > MAX_BATCH:
        return _failure(None, RpcError(INVALID_REQUEST, f"Invalid request: a batch has at most {MAX_BATCH} calls"))
    try:
        with calls.together():
            answers = _answers(calls, request)
    except RpcError as error:
        refused = (_refused(item, error) for item in request)
        answers = [_text(one) for one in refused if one is not None]
    return f"[{','.join(answers)}]" if answers else None


def _answers(calls: Calls, request: list[Any]) -> list[str]:
    answers: list[str] = []
    size = 0
    for item in request:
        if size > MAX_BATCH_ANSWER:
            message = f"the batch's answers have more than {MAX_BATCH_ANSWER} bytes: ask for less at once"
            one = _refused(item, RpcError(INVALID_REQUEST, message))
        else:
            one = _answer_one(calls, item)
        if one is not None:
            answers.append(_text(one))
            size += len(answers[-1])
    return answers


def _refused(request: Any, error: RpcError) -> dict[str, Any] | None:
    """The refusal of a call for what is wrong with its whole batch."""
    if isinstance(request, dict) and "id" not in request:
        return None
    call_id = request.get("id") if isinstance(request, dict) else None
    named = call_id if isinstance(call_id, str | int | float) and not isinstance(call_id, bool) else None
    return _failure(named, error)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _answer_one(calls: Calls, request: Any) -> dict[str, Any] | None:
    if not isinstance(request, dict):
        return _failure(None, RpcError(INVALID_REQUEST, "Invalid request"))
    known = "id" in request
    call_id = request.get("id")
    if isinstance(call_id, bool) or not isinstance(call_id, str | int | float | None):
        return _failure(None, RpcError(INVALID_REQUEST, "Invalid request: id must be a string, a number or null"))
    method = request.get("method")
    if request.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return _failure(call_id, RpcError(INVALID_REQUEST, "Invalid request"))
    params = request.get("params")
    if not isinstance(params, list | dict | None):
        return _failure(call_id, RpcError(INVALID_REQUEST, "Invalid request: params must be a list"))
    try:
        if params is not None and not isinstance(params, list):
            raise RpcError(INVALID_PARAMS, "`params` should be an array")
        result = calls.call(method, params or [])
    except RpcError as error:
        return _failure(call_id, error) if known else None
    except Exception:  # noqa: BLE001 (a fault of ours is -32603 to the client and a traceback in the log)
        _log.exception("a call failed", extra={"fields": {"method": method}})
        return _failure(call_id, RpcError(INTERNAL_ERROR, "Internal error")) if known else None
    return {"jsonrpc": "2.0", "result": result, "id": call_id} if known else None


def _failure(call_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": error.to_json(), "id": call_id}
