"""What the embedded validator adds to LiteSVM: its refusals, its time and its memory."""

from __future__ import annotations

import base64
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solders.account import Account
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    CreateLookupTableParams,
    ExtendLookupTableParams,
    TransferParams,
    create_lookup_table,
    extend_lookup_table,
    transfer,
)
from solders.transaction import Transaction, VersionedTransaction

from authority.validator.bank import (
    MAX_TRANSACTION_SIZE,
    Bank,
    SignatureRefusedError,
    TransactionRefusedError,
    UnhealthyError,
    UnsoundTransactionError,
    parse_transaction,
)
from authority.validator.errors import RpcError
from authority.validator.genesis import UPGRADEABLE_LOADER, Genesis, GenesisProgram, program_data_address
from authority.validator.ledger import Ledger, LedgerError
from authority.validator.methods import Methods

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")


def signed(
    machine: Any, instructions: list[Instruction], *more: Keypair, blockhash: Hash | None = None, tables: Any = ()
) -> VersionedTransaction:
    payer = machine.payer
    recent = machine.bank.latest_blockhash()[0] if blockhash is None else blockhash
    message = MessageV0.try_compile(payer.pubkey(), instructions, list(tables), recent)
    return VersionedTransaction(message, [payer, *more])


def pay(machine: Any, target: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=machine.payer.pubkey(), to_pubkey=target, lamports=lamports))


def refusal(machine: Any, transaction: VersionedTransaction) -> Any:
    with pytest.raises(TransactionRefusedError) as caught:
        machine.bank.process(transaction)
    return caught.value.error


class TestRefusals:
    def test_a_duplicate(self, machine: Any) -> None:
        transaction = signed(machine, [pay(machine, Pubkey(bytes(31) + b"\x07"), 10**7)])
        machine.bank.process(transaction)
        assert refusal(machine, transaction) == "AlreadyProcessed"
        machine.restart()
        assert refusal(machine, transaction) == "AlreadyProcessed"
        assert machine.bank.account(Pubkey(bytes(31) + b"\x07")).lamports == 10**7

    def test_an_unknown_blockhash(self, machine: Any) -> None:
        transaction = signed(machine, [pay(machine, MEMO, 1)], blockhash=Hash.default())
        assert refusal(machine, transaction) == "BlockhashNotFound"

    def test_a_blockhash_lives_150_slots(self, machine: Any) -> None:
        blockhash, last = machine.bank.latest_blockhash()
        machine.time.pass_slots(149)
        assert machine.bank.advance() == last
        assert machine.bank.blockhash_valid(blockhash)
        machine.bank.process(signed(machine, [pay(machine, MEMO, 1)], blockhash=blockhash))
        machine.time.pass_slots(1)
        assert not machine.bank.blockhash_valid(blockhash)
        assert refusal(machine, signed(machine, [pay(machine, MEMO, 2)], blockhash=blockhash)) == "BlockhashNotFound"

    def test_a_wrong_signature(self, machine: Any) -> None:
        good = signed(machine, [pay(machine, MEMO, 1)])
        bad = VersionedTransaction.populate(good.message, [Keypair().sign_message(b"something else")])
        with pytest.raises(SignatureRefusedError):
            machine.bank.process(bad)
        assert machine.bank.simulate(bad, verify_signatures=True).error == "SignatureFailure"
        assert machine.bank.simulate(bad, verify_signatures=False).error is None

    def test_more_than_1232_bytes(self, machine: Any) -> None:
        room = MAX_TRANSACTION_SIZE - len(bytes(signed(machine, [Instruction(MEMO, b"", [])]))) - 1
        largest = bytes(signed(machine, [Instruction(MEMO, b"x" * room, [])]))
        assert len(largest) == MAX_TRANSACTION_SIZE
        machine.bank.process(parse_transaction(largest))
        larger = bytes(signed(machine, [Instruction(MEMO, b"x" * (room + 1), [])]))
        with pytest.raises(UnsoundTransactionError, match="too large: 1233 bytes"):
            parse_transaction(larger)

    def test_bytes_that_follow(self, machine: Any) -> None:
        with pytest.raises(UnsoundTransactionError, match="bytes follow"):
            parse_transaction(bytes(signed(machine, [pay(machine, MEMO, 1)])) + b"\x00")

    def test_cut_short_anywhere(self, machine: Any) -> None:
        raw = bytes(signed(machine, [pay(machine, MEMO, 1)]))
        for length in range(len(raw)):
            with pytest.raises(UnsoundTransactionError):
                parse_transaction(raw[:length])

    @given(st.binary(max_size=300))
    def test_noise(self, raw: bytes) -> None:
        try:
            parse_transaction(raw)
        except UnsoundTransactionError:
            return

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(st.data())
    def test_one_changed_byte_never_moves_lamports(self, machine: Any, data: Any) -> None:
        target = Pubkey(bytes(31) + b"\x55")
        raw = bytearray(bytes(signed(machine, [pay(machine, target, 10**7)])))
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] ^= data.draw(st.integers(1, 255))
        with pytest.raises((UnsoundTransactionError, SignatureRefusedError, TransactionRefusedError)):
            machine.bank.process(parse_transaction(bytes(raw)))
        assert machine.bank.account(target) is None

    def test_a_payer_without_lamports_is_not_charged(self, machine: Any) -> None:
        poor = Keypair()
        message = MessageV0.try_compile(poor.pubkey(), [], [], machine.bank.latest_blockhash()[0])
        assert refusal(machine, VersionedTransaction(message, [poor])) == "AccountNotFound"
        assert machine.ledger.count() == 0


class TestLanding:
    def test_legacy_transactions(self, machine: Any) -> None:
        message = Message.new_with_blockhash(
            [pay(machine, Pubkey(bytes(31) + b"\x07"), 10**7)],
            machine.payer.pubkey(),
            machine.bank.latest_blockhash()[0],
        )
        legacy = Transaction([machine.payer], message, message.recent_blockhash)
        machine.bank.process(parse_transaction(bytes(legacy)))
        assert machine.bank.account(Pubkey(bytes(31) + b"\x07")).lamports == 10**7

    def test_a_failure_lands_and_pays_its_fee(self, machine: Any) -> None:
        before = machine.bank.account(machine.payer.pubkey()).lamports
        transaction = signed(machine, [pay(machine, MEMO, 10**17)])
        outcome = machine.bank.process(transaction)
        assert outcome.error == {"InstructionError": [0, {"Custom": 1}]}
        machine.restart()
        assert machine.bank.account(machine.payer.pubkey()).lamports == before - 5_000
        status = machine.ledger.status(bytes(transaction.signatures[0]))
        assert status.error == {"InstructionError": [0, {"Custom": 1}]}

    def test_rent_must_be_covered(self, machine: Any) -> None:
        outcome = machine.bank.process(signed(machine, [pay(machine, Keypair().pubkey(), 1)]))
        assert outcome.error == {"InsufficientFundsForRent": {"account_index": 1}}

    def test_an_emptied_account_is_gone_from_the_ledger(self, machine: Any) -> None:
        other = Keypair()
        machine.bank.process(signed(machine, [pay(machine, other.pubkey(), 10**9)]))
        back = transfer(TransferParams(from_pubkey=other.pubkey(), to_pubkey=machine.payer.pubkey(), lamports=10**9))
        machine.bank.process(signed(machine, [back], other))
        assert machine.bank.account(other.pubkey()) is None
        machine.restart()
        assert machine.bank.account(other.pubkey()) is None

    def test_simulation_changes_nothing(self, machine: Any) -> None:
        target = Keypair().pubkey()
        outcome = machine.bank.simulate(signed(machine, [pay(machine, target, 10**7)]), verify_signatures=True)
        assert (outcome.error, outcome.post_balances[1]) == (None, 10**7)
        assert machine.bank.account(target) is None
        assert machine.ledger.count() == 0


class TestMemory:
    def test_nothing_is_lost_by_a_restart(self, machine: Any) -> None:
        target = Keypair().pubkey()
        transaction = signed(machine, [pay(machine, target, 10**7), Instruction(MEMO, b"kept", [])])
        machine.bank.process(transaction)
        waiting = signed(machine, [pay(machine, target, 10**7 + 1)])
        genesis, slot = machine.bank.hashes.genesis_hash(), machine.bank.advance()
        landed = machine.ledger.landed(bytes(transaction.signatures[0]))
        machine.restart()
        assert machine.bank.hashes.genesis_hash() == genesis
        assert machine.bank.advance() >= slot
        assert machine.ledger.landed(bytes(transaction.signatures[0])) == landed
        assert any("kept" in line for line in landed.meta["logMessages"])
        assert [mention.status.number for mention in machine.ledger.mentions(target, 10, None, None)] == [1]
        # A blockhash that was handed out before the restart is still good.
        machine.bank.process(waiting)
        assert machine.bank.account(target).lamports == 2 * 10**7 + 1

    def test_a_write_that_fails_leaves_no_trace(self, machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """And holds nothing up once there is room again, without a restart."""
        target = Keypair().pubkey()
        methods = Methods(machine.bank)
        raw = base64.b64encode(bytes(signed(machine, [pay(machine, target, 10**7)]))).decode()

        def full(*_: Any) -> int:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as disk:
            disk.setattr(machine.ledger, "record", full)
            disk.setattr(machine.ledger, "touch", full)
            for _ in range(2):
                with pytest.raises(RpcError, match="disk is full"):
                    methods.call("sendTransaction", [raw, {"encoding": "base64"}])
            assert machine.bank.account(target) is None
            with pytest.raises(RpcError, match="Node is unhealthy"):
                methods.call("getHealth", [])
        assert methods.call("getHealth", []) == "ok"
        methods.call("sendTransaction", [raw, {"encoding": "base64"}])
        assert machine.bank.account(target).lamports == 10**7

    def test_one_commit_is_all_or_nothing(self, machine: Any) -> None:
        """A commit that breaks in the middle leaves neither the transaction nor its accounts."""
        machine.ledger._connection.execute("DROP TABLE mention")
        target = Keypair().pubkey()
        with pytest.raises(UnhealthyError):
            machine.bank.process(signed(machine, [pay(machine, target, 10**7)]))
        assert machine.ledger.count() == 0
        assert target not in {address for address, _ in machine.ledger.accounts()}

    def test_a_group_is_one_commit_and_a_part_of_it_is_nothing(self, machine: Any) -> None:
        """Its first half is run already when the ledger breaks: it never happened, to the ledger and to the runtime."""
        first, second = Keypair().pubkey(), Keypair().pubkey()

        def group() -> None:
            with machine.bank.together():
                machine.bank.process(signed(machine, [pay(machine, first, 10**7)]))
                assert machine.bank.account(first).lamports == 10**7
                broken = "CREATE TRIGGER broken BEFORE INSERT ON landed BEGIN SELECT RAISE(ABORT, 'broken'); END"
                machine.ledger._connection.execute(broken)
                for lamports in (10**7, 10**6):  # nor does anything land that follows
                    with pytest.raises(UnhealthyError):
                        machine.bank.process(signed(machine, [pay(machine, second, lamports)]))

        with pytest.raises(UnhealthyError):
            group()
        assert machine.ledger.count() == 0
        assert machine.bank.account(first) is None
        with machine.bank.together():
            for lamports in (10**7, 2 * 10**7):
                machine.bank.process(signed(machine, [pay(machine, first, lamports)]))
        assert machine.ledger.count() == 2
        assert machine.bank.account(first).lamports == 3 * 10**7

    @pytest.mark.parametrize("table", ["mention", "account"])
    def test_a_group_whose_end_cannot_be_written_is_nothing(self, machine: Any, table: str) -> None:
        """What a group's transactions name and change is written at its end: when that fails, none of them landed."""
        target = Keypair().pubkey()

        def group() -> None:
            with machine.bank.together():
                machine.bank.process(signed(machine, [pay(machine, target, 10**7)]))
                machine.ledger._connection.execute(f"ALTER TABLE {table} RENAME TO gone")

        with pytest.raises(UnhealthyError):
            group()
        assert machine.ledger.count() == 0
        assert machine.bank.account(target) is None
        machine.bank.process(signed(machine, [pay(machine, target, 10**7)]))
        assert len(machine.ledger.mentions(target, 10, None, None)) == 1

    def test_a_group_can_be_asked_about_before_its_end(self, machine: Any) -> None:
        """What its transactions name and hold is told as it stands by then."""
        target = Keypair().pubkey()
        with machine.bank.together():
            for times in (1, 2):
                machine.bank.process(signed(machine, [pay(machine, target, times * 10**7)]))
                assert len(machine.ledger.mentions(target, 10, None, None)) == times
                held = dict(machine.ledger.accounts())
                assert held[target].lamports == sum(range(times + 1)) * 10**7
        assert dict(machine.ledger.accounts())[target].lamports == 3 * 10**7

    def test_what_fails_in_preflight_is_charged_nothing(self, machine: Any) -> None:
        before = machine.bank.account(machine.payer.pubkey()).lamports
        too_much = signed(machine, [pay(machine, Keypair().pubkey(), 2 * before)])
        with pytest.raises(TransactionRefusedError) as refused:
            machine.bank.process(too_much, preflight=True)
        assert refused.value.outcome is not None
        assert refused.value.outcome.logs
        assert machine.bank.account(machine.payer.pubkey()).lamports == before
        assert machine.ledger.count() == 0
        assert machine.bank.process(too_much).error == refused.value.error  # without, it lands and pays its fee
        assert machine.bank.account(machine.payer.pubkey()).lamports < before

    def test_the_ledger_is_durable_by_its_settings(self, machine: Any) -> None:
        connection = machine.ledger._connection
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2

    def test_two_validators_cannot_share_a_ledger(self, machine: Any) -> None:
        with pytest.raises(LedgerError) as caught:
            Ledger(machine.directory)
        assert caught.value.code == "ledger_in_use"

    def test_a_damaged_ledger_is_named(self, machine: Any) -> None:
        machine.ledger.close()
        machine.ledger.path.write_bytes(b"not a database" * 1000)
        with pytest.raises(LedgerError) as caught:
            Ledger(machine.directory)
        assert caught.value.code == "ledger_unreadable"
        Ledger(machine.directory, reset=True).close()
        machine.start()

    @pytest.mark.parametrize(
        "damage",
        [
            "DELETE FROM property WHERE name = 'seed'",
            "DELETE FROM property WHERE name = 'genesis_milliseconds'",
            "UPDATE property SET value = x'00' WHERE name = 'seed'",
            "UPDATE account SET address = x'0102' WHERE rowid = 1",
            "UPDATE account SET owner = x''",
            "UPDATE account SET lamports = -5",
            "UPDATE account SET lamports = 'many'",
            "UPDATE account SET data = 'text'",
            "DROP TABLE account",
            "ALTER TABLE landed DROP COLUMN meta",
            "PRAGMA user_version = 0",
        ],
    )
    def test_a_ledger_with_a_hole_is_named(self, machine: Any, damage: str) -> None:
        connection = machine.ledger._connection
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(damage)
        machine.ledger.close()
        with pytest.raises(LedgerError, match="start again from nothing with --reset") as caught:
            machine.start()
        assert caught.value.code == "ledger_unreadable"
        machine.ledger.close()
        Ledger(machine.directory, reset=True).close()
        machine.start()

    @pytest.mark.parametrize("version", [0, 1])
    def test_the_database_of_another_program_is_left_alone(self, machine: Any, version: int) -> None:
        machine.ledger.close()
        machine.ledger.path.unlink()
        other = sqlite3.connect(machine.ledger.path)
        other.executescript(f"CREATE TABLE users (name TEXT); PRAGMA user_version = {version}")
        other.close()
        with pytest.raises(LedgerError, match="the database of another program"):
            Ledger(machine.directory)
        other = sqlite3.connect(machine.ledger.path)
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("users",)]
        other.close()
        Ledger(machine.directory, reset=True).close()
        machine.start()

    def test_damaged_pages_are_found_at_the_start(self, machine: Any) -> None:
        for number in range(40):
            machine.bank.process(signed(machine, [pay(machine, Keypair().pubkey(), 10**7 + number)]))
        machine.ledger.close()
        content = bytearray(machine.ledger.path.read_bytes())
        for start in range(8_192, len(content), 4_096):
            content[start : start + 64] = b"\xa5" * 64
        machine.ledger.path.write_bytes(content)
        with pytest.raises(LedgerError) as caught:
            Ledger(machine.directory)
        assert caught.value.code == "ledger_unreadable"
        Ledger(machine.directory, reset=True).close()
        machine.start()

    def test_a_page_that_goes_bad_later_is_told_to_the_caller(
        self, machine: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def damaged(*_: Any) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        monkeypatch.setattr(machine.ledger, "landed", damaged)
        with pytest.raises(RpcError, match="the ledger could not be read: database disk image is malformed") as caught:
            machine.methods.call("getTransaction", [str(Signature.default())])
        assert caught.value.number == -32603

    @pytest.mark.parametrize("name", ["lock", "ledger.db"])
    def test_a_directory_in_its_place(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        with pytest.raises(LedgerError, match="look at the disk") as caught:
            Ledger(tmp_path)
        assert caught.value.code == "ledger_unwritable"

    def test_a_ledger_of_another_version_is_named(self, machine: Any) -> None:
        machine.ledger._connection.execute("PRAGMA user_version = 99")
        machine.ledger.close()
        with pytest.raises(LedgerError) as caught:
            Ledger(machine.directory)
        assert caught.value.code == "ledger_version"
        Ledger(machine.directory, reset=True).close()
        machine.start()


class TestTime:
    def test_programs_see_the_wall_clock(self, machine: Any) -> None:
        data = bytes(machine.bank.account(CLOCK).data)
        slot, _, epoch, leader_epoch, unix_time = struct.unpack("<QqQQq", data)
        assert (slot, epoch, leader_epoch, unix_time) == (1, 0, 1, 1_800_000_000)
        machine.time.pass_slots(10)
        slot, *_, unix_time = struct.unpack("<QqQQq", bytes(machine.bank.account(CLOCK).data))
        assert (slot, unix_time) == (11, 1_800_000_004)

    def test_neither_slot_nor_time_goes_back(self, machine: Any) -> None:
        machine.time.pass_slots(1_000)
        machine.bank.process(signed(machine, [pay(machine, Keypair().pubkey(), 10**7)]))
        slot, now = machine.bank.advance(), machine.time.wall
        machine.time.wall -= 86_400
        assert machine.bank.advance() == slot
        machine.time.monotonic += 4
        assert machine.bank.advance() == slot + 10
        machine.restart()
        assert machine.bank.advance() > slot
        unix_time = struct.unpack("<QqQQq", bytes(machine.bank.account(CLOCK).data))[4]
        assert unix_time == int(now)

    def test_a_block_has_the_time_that_its_transactions_saw_also_where_the_clock_jumps(self, machine: Any) -> None:
        seen = []
        for seconds in (0, 0, 1, 3_600, 0):  # no time passes by the monotonic clock, by which slots go
            machine.time.wall += seconds
            machine.bank.process(signed(machine, [pay(machine, Keypair().pubkey(), 10**7)]))
            seen.append(struct.unpack("<QqQQq", bytes(machine.bank.account(CLOCK).data))[::4])
        assert [slot for slot, _ in seen] == [1, 1, 2, 3, 3]
        assert all(machine.bank.block_time(slot) == unix_time for slot, unix_time in seen)
        machine.time.pass_slots(3)
        assert machine.bank.advance() == 4

    def test_slots_pass_while_it_is_off(self, machine: Any) -> None:
        machine.time.wall += 3_600
        machine.restart()
        assert machine.bank.advance() == 9_001

    def test_block_hashes_differ_and_stay(self, machine: Any) -> None:
        hashes = [machine.bank.hashes.blockhash(slot) for slot in range(100)]
        assert len(set(map(str, hashes))) == 100
        machine.restart()
        assert [machine.bank.hashes.blockhash(slot) for slot in range(100)] == hashes


class TestLookupTables:
    def make(self, machine: Any, addresses: list[Pubkey]) -> Pubkey:
        payer = machine.payer.pubkey()
        create, table = create_lookup_table(
            CreateLookupTableParams(
                authority_address=payer, payer_address=payer, recent_slot=machine.bank.advance() - 1
            )
        )
        extend = extend_lookup_table(
            ExtendLookupTableParams(
                lookup_table_address=table, authority_address=payer, payer_address=payer, new_addresses=addresses
            )
        )
        assert machine.bank.process(signed(machine, [create, extend])).error is None
        return table

    def use(self, machine: Any, table: Pubkey, addresses: list[Pubkey], lamports: int) -> VersionedTransaction:
        from solders.address_lookup_table_account import AddressLookupTableAccount

        held = AddressLookupTableAccount(table, addresses)
        return signed(machine, [pay(machine, addresses[1], lamports)], tables=[held])

    def test_addresses_are_usable_from_the_next_slot_on(self, machine: Any) -> None:
        addresses = [Keypair().pubkey() for _ in range(3)]
        table = self.make(machine, addresses)
        assert refusal(machine, self.use(machine, table, addresses, 10**7)) == "InvalidAddressLookupTableIndex"
        machine.time.pass_slots(1)
        transaction = self.use(machine, table, addresses, 10**7)
        outcome = machine.bank.process(transaction)
        assert outcome.error is None
        assert outcome.loaded.writable == (addresses[1],)
        machine.restart()
        assert machine.bank.account(addresses[1]).lamports == 10**7
        machine.bank.process(self.use(machine, table, addresses, 10**7 + 1))
        assert [mention.status.number for mention in machine.ledger.mentions(addresses[1], 9, None, None)] == [3, 2]

    def test_a_table_that_is_not_there(self, machine: Any) -> None:
        machine.time.pass_slots(5)
        absent = self.use(machine, Keypair().pubkey(), [Keypair().pubkey() for _ in range(2)], 10**7)
        assert refusal(machine, absent) == "AddressLookupTableNotFound"
        other = self.use(machine, MEMO, [Keypair().pubkey() for _ in range(2)], 10**7)
        assert refusal(machine, other) == "InvalidAddressLookupTableOwner"


class TestUpgradeablePrograms:
    """With programs that LiteSVM brings: the memo program, upgraded to the associated token program."""

    PROGRAM = Pubkey.from_string("CampusGovernance1111111111111111111111111119")

    @pytest.fixture
    def upgrade_authority(self) -> Keypair:
        return Keypair.from_seed(bytes(31) + b"\x02")

    @pytest.fixture
    def with_program(self, machine: Any, upgrade_authority: Keypair, tmp_path: Any) -> Any:
        elf = bytes(LiteSVM().get_account(MEMO).data)
        program = GenesisProgram(self.PROGRAM, elf, upgrade_authority.pubkey())
        made = type(machine)(tmp_path / "other", machine.payer, genesis=Genesis((program,)))
        yield made
        made.ledger.close()

    def test_stand_with_their_upgrade_authority(self, with_program: Any, upgrade_authority: Keypair) -> None:
        bank = with_program.bank
        program, data = bank.account(self.PROGRAM), bank.account(program_data_address(self.PROGRAM))
        assert (program.owner, program.executable) == (UPGRADEABLE_LOADER, True)
        assert bytes(program.data) == b"\x02\0\0\0" + bytes(program_data_address(self.PROGRAM))
        assert bytes(data.data[:45]) == b"\x03\0\0\0" + bytes(8) + b"\x01" + bytes(upgrade_authority.pubkey())

    def test_run_and_run_again_after_a_restart(self, with_program: Any) -> None:
        for text in (b"one", b"two"):
            outcome = with_program.bank.process(signed(with_program, [Instruction(self.PROGRAM, text, [])]))
            assert outcome.error is None
            assert any(text.decode() in line for line in outcome.logs)
            with_program.restart()

    def test_are_upgraded_by_their_authority_and_stay_so(self, with_program: Any, upgrade_authority: Keypair) -> None:
        """The new ELF is the memo program too, with another byte in a section that does not run."""
        bank = with_program.bank
        elf = bytes(LiteSVM().get_account(MEMO).data)
        buffer = Keypair().pubkey()
        data = struct.pack("<IB", 1, 1) + bytes(upgrade_authority.pubkey()) + elf[:-1] + b"\x01"
        bank._svm.set_account(buffer, Account(10**10, data, UPGRADEABLE_LOADER))
        payer = with_program.payer
        upgrade = Instruction(
            UPGRADEABLE_LOADER,
            struct.pack("<I", 3),
            [
                AccountMeta(program_data_address(self.PROGRAM), is_signer=False, is_writable=True),
                AccountMeta(self.PROGRAM, is_signer=False, is_writable=True),
                AccountMeta(buffer, is_signer=False, is_writable=True),
                AccountMeta(payer.pubkey(), is_signer=False, is_writable=True),
                AccountMeta(RENT, is_signer=False, is_writable=False),
                AccountMeta(CLOCK, is_signer=False, is_writable=False),
                AccountMeta(upgrade_authority.pubkey(), is_signer=True, is_writable=False),
            ],
        )
        with_program.time.pass_slots(3)
        assert bank.process(signed(with_program, [upgrade], upgrade_authority)).error is None
        with_program.restart()
        stored = bytes(with_program.bank.account(program_data_address(self.PROGRAM)).data)
        assert stored[4:12] == struct.pack("<Q", 4)
        assert stored[45:] == elf[:-1] + b"\x01"
        run = with_program.bank.process(signed(with_program, [Instruction(self.PROGRAM, b"still", [])]))
        assert run.error is None

    def test_one_that_was_closed_is_gone_after_a_restart_too(
        self, with_program: Any, upgrade_authority: Keypair
    ) -> None:
        close = Instruction(
            UPGRADEABLE_LOADER,
            struct.pack("<I", 5),
            [
                AccountMeta(program_data_address(self.PROGRAM), is_signer=False, is_writable=True),
                AccountMeta(with_program.payer.pubkey(), is_signer=False, is_writable=True),
                AccountMeta(upgrade_authority.pubkey(), is_signer=True, is_writable=False),
                AccountMeta(self.PROGRAM, is_signer=False, is_writable=True),
            ],
        )
        with_program.time.pass_slots(3)
        assert with_program.bank.process(signed(with_program, [close], upgrade_authority)).error is None
        held = with_program.bank.account(self.PROGRAM)
        for _ in range(2):
            with_program.restart()
            assert with_program.bank.account(self.PROGRAM) == held
            with_program.time.pass_slots(3)
            run = signed(with_program, [Instruction(self.PROGRAM, b"closed", [])])
            outcome = with_program.bank.simulate(run, verify_signatures=True)
            assert outcome.error in ({"InstructionError": [0, "UnsupportedProgramId"]}, "InvalidProgramForExecution")

    def test_one_that_is_damaged_on_the_disk_is_named(self, with_program: Any) -> None:
        connection = with_program.ledger._connection
        connection.execute("UPDATE account SET data = substr(data, 1, 500) WHERE length(data) > 500")
        with_program.ledger.close()
        with pytest.raises(LedgerError, match=str(self.PROGRAM)) as caught:
            with_program.start()
        assert caught.value.code == "ledger_unreadable"


def test_a_genesis_is_read_once(machine: Any) -> None:
    """A later genesis changes nothing: the ledger remembers its own."""
    machine.ledger.close()
    machine.ledger = Ledger(machine.directory)
    machine.bank = Bank(machine.ledger, Genesis(balances={TOKEN: 1, Keypair().pubkey(): 10**9}))
    assert machine.bank.account(machine.payer.pubkey()).lamports == 10**15


def test_signatures_of_the_bank_are_the_transactions_own(machine: Any) -> None:
    transaction = signed(machine, [pay(machine, Keypair().pubkey(), 10**7)])
    machine.bank.process(transaction)
    assert Signature.from_bytes(machine.ledger.landed_in(1)[0].signature) == transaction.signatures[0]
