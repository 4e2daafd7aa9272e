"""The gateway's log: edge_agent.wire.log under the name `edge_agent`."""

from __future__ import annotations

from edge_agent.wire.log import StructuredLog

_log = StructuredLog("edge_agent")
logger = _log.logger
log, info, warning, error = _log.log, _log.info, _log.warning, _log.error
