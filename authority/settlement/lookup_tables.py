"""Address lookup tables: a meter's and a member's accounts enter one when they are first seen.

With them four readings, or sixteen orders of different members, fit one transaction. Without them (a table that is not
yet usable) fewer do; nothing else depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateLookupTableParams, create_lookup_table
from sqlalchemy import delete, func, select

from authority.chain.client import ChainClient
from authority.chain.errors import TransportError
from authority.store import Store
from authority.store.settlement import LookupEntry
from authority.store.settlement import LookupTable as TableRow

CAPACITY = 256


class LookupTables:
    """The operator's lookup tables, remembered in the store from before they are made.

    common are addresses that every table begins with.
    """

    def __init__(
        self,
        client: ChainClient,
        operator: Keypair,
        store: Store,
        common: Sequence[Pubkey],
        clock: Callable[[], int],
    ) -> None:
        self.client = client
        self.operator = operator
        self.store = store
        self.common = tuple(common)
        self.clock = clock
        self._table_of: dict[Pubkey, Pubkey] = {}
        self._usable: dict[Pubkey, AddressLookupTableAccount] = {}
        self._extended: set[Pubkey] = set()
        self._loaded = False

    def ensure(self, groups: Sequence[Sequence[Pubkey]]) -> None:
        """Have every group's addresses in a table, each group in one; does nothing where they are. ChainError."""
        self._load()
        missing = [group for group in groups if any(address not in self._table_of for address in group)]
        while missing:
            # as many groups at once as the table takes: on a cluster each extension takes a second or so
            table, room = self._room_for(len(missing[0]))
            batch: list[Pubkey] = []
            while missing and len(batch) + len(missing[0]) <= room:
                batch += missing.pop(0)
            self.client.extend_lookup_table(table, [*self.common, *batch], self.operator, payer=self.operator)
            self._note(table, batch)
            self._extended.add(table)
        for table in list(self._extended):
            # what an extension added is not waited for: until it can be used, transactions carry whole addresses
            with suppress(TransportError):
                self._usable[table] = self.client.wait_for_lookup_table(table, timeout=0)
                self._extended.discard(table)

    @property
    def grow(self) -> bool:
        """Whether some hold addresses that are not usable yet."""
        return bool(self._extended)

    def holding(self, addresses: Iterable[Pubkey]) -> list[AddressLookupTableAccount]:
        """The tables that hold any of these addresses."""
        tables: set[Pubkey] = set()
        for address in addresses:
            table = self._table_of.get(address)
            if table is not None and table in self._usable:
                tables.add(table)
                if len(tables) == len(self._usable):
                    break  # the others lie in none but these
        return [self._usable[table] for table in sorted(tables, key=bytes)]

    def forget(self) -> None:
        """Take the tables over from the store again."""
        self._loaded = False
        self._table_of, self._usable, self._extended = {}, {}, set()

    def _load(self) -> None:
        """Take over the store's tables once, and forget those that the chain does not have."""
        if self._loaded:
            return
        with self.store.read() as session:
            tables = session.scalars(select(TableRow.address)).all()
            entries = session.execute(select(LookupEntry.address, LookupEntry.table)).all()
        gone = []
        for text in tables:
            table = Pubkey.from_string(text)
            if self.client.lookup_table(table) is None:
                gone.append(text)
            else:
                self._extended.add(table)
        if gone:
            with self.store.write() as session:
                session.execute(delete(LookupEntry).where(LookupEntry.table.in_(gone)))
                session.execute(delete(TableRow).where(TableRow.address.in_(gone)))
        self._table_of = {
            Pubkey.from_string(address): Pubkey.from_string(table) for address, table in entries if table not in gone
        }
        self._loaded = True

    def _room_for(self, count: int) -> tuple[Pubkey, int]:
        """A table with room for so many addresses, a new one where there is none, and how many it takes.

        The chain says what a table holds: of a table whose making failed it knows nothing, and of one that was extended
        before a crash it knows more than the store.
        """
        with self.store.read() as session:
            sizes = session.execute(
                select(TableRow.address, func.count(LookupEntry.address))
                .outerjoin(LookupEntry, LookupEntry.table == TableRow.address)
                .group_by(TableRow.address)
                .order_by(TableRow.created_at, TableRow.address)
            ).all()
        made = set()
        for address, noted in sizes:
            made.add(address)
            if count > CAPACITY - len(self.common) - noted:
                continue
            held = self.client.lookup_table(Pubkey.from_string(address))
            if held is None:
                made.remove(address)
            elif count <= (room := CAPACITY - len({*self.common, *held.addresses})):
                return Pubkey.from_string(address), room
        operator = self.operator.pubkey()
        slot = self.client.slot("finalized")
        while True:
            parameters = CreateLookupTableParams(authority_address=operator, payer_address=operator, recent_slot=slot)
            creation, table = create_lookup_table(parameters)
            if str(table) not in made:
                break
            slot -= 1  # a table's address is its slot's: one that was filled within a slot has taken this one
        with self.store.write() as session:
            session.merge(TableRow(address=str(table), created_at=self.clock()))
        self.client.send([creation], [self.operator], payer=self.operator)
        return table, CAPACITY - len(self.common)

    def _note(self, table: Pubkey, group: Sequence[Pubkey]) -> None:
        with self.store.write() as session:
            for address in group:
                session.merge(LookupEntry(address=str(address), table=str(table)))
        self._table_of.update(dict.fromkeys(group, table))
