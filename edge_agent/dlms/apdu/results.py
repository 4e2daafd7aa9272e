"""The numbers with which a peer says no: data-access-result, action-result, and the errors made of them."""

from __future__ import annotations

from edge_agent.dlms.errors import DataAccessError

SUCCESS = 0
HARDWARE_FAULT = 1
TEMPORARY_FAILURE = 2
READ_WRITE_DENIED = 3
OBJECT_UNDEFINED = 4
OBJECT_CLASS_INCONSISTENT = 9
OBJECT_UNAVAILABLE = 11
TYPE_UNMATCHED = 12
SCOPE_OF_ACCESS_VIOLATED = 13
DATA_BLOCK_UNAVAILABLE = 14
LONG_GET_ABORTED = 15
NO_LONG_GET_IN_PROGRESS = 16
LONG_SET_ABORTED = 17
NO_LONG_SET_IN_PROGRESS = 18
DATA_BLOCK_NUMBER_INVALID = 19
OTHER_REASON = 250

DATA_ACCESS_RESULTS = {
    1: "hardware_fault",
    2: "temporary_failure",
    3: "read_write_denied",
    4: "object_undefined",
    9: "object_class_inconsistent",
    11: "object_unavailable",
    12: "type_unmatched",
    13: "scope_of_access_violated",
    14: "data_block_unavailable",
    15: "long_get_aborted",
    16: "no_long_get_in_progress",
    17: "long_set_aborted",
    18: "no_long_set_in_progress",
    19: "data_block_number_invalid",
    250: "other_reason",
}


def access_error(result: int, what: str) -> DataAccessError:
    """The error for a data-access-result or action-result other than success."""
    code = DATA_ACCESS_RESULTS.get(result, f"result_{result}")
    return DataAccessError(code, f"the meter refused {what}: {code.replace('_', ' ')}", result)
