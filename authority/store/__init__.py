"""The authority's durable store: SQLAlchemy models, one module per concern, over SQLite or PostgreSQL.

`Store.open(url)` migrates and opens. Read the models where you need them:
- authority.store.people: User, Installation
- authority.store.metering: Gateway, Meter, MeterKey, Frame, ParkedFrame, Incident, LivePower
- authority.store.enrolments: Claim, Enrolment, EnrolmentMeter
- authority.store.log: LogState, LogLeaf, LogTile, Checkpoint, Act
- authority.store.leases: Lease
"""

from authority.store import enrolments, leases, log, metering, people
from authority.store.engine import Store, StoreError

__all__ = ["Store", "StoreError", "enrolments", "leases", "log", "metering", "people"]
