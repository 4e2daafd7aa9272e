"""What subscribers are told: the Notifier over a real bank, with clocks that move when the test says."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from authority.validator.bank import UnhealthyError
from authority.validator.encoding import VERSION_INFO
from authority.validator.subscriptions import MAX_SLOTS_TOLD, MAX_SUBSCRIPTIONS, Notifier

PATIENCE = 60


class Client:
    """A connection's place: what it is sent can be read, in order."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._sent: queue.SimpleQueue[str] = queue.SimpleQueue()

    def send(self, text: str) -> None:
        self._sent.put(text)

    def ask(self, body: Any) -> None:
        """Send a request, and wait until it is answered with all that follows from it."""
        done = threading.Event()
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._notifier.request(self, raw, done.set)
        assert done.wait(PATIENCE)

    def call(self, method: str, *params: Any) -> Any:
        """The result of a call, or its error's code."""
        self.ask({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        answer = self.next()
        return answer["result"] if "result" in answer else answer["error"]["code"]

    def next(self) -> Any:
        """The next message."""
        return json.loads(self._sent.get(timeout=PATIENCE))

    def told(self) -> Any:
        """Subscription and result of the next notification."""
        message = self.next()
        return message["params"]["subscription"], message["params"]["result"]

    def rest(self) -> list[Any]:
        """All that was sent up to now."""
        self.ask(b'{"jsonrpc":"2.0","id":"last","method":"nothing"}')
        messages = []
        while (message := self.next()).get("id") != "last":
            messages.append(message)
        return messages


@pytest.fixture
def notifier(machine: Any) -> Iterator[Notifier]:
    made = Notifier(machine.bank)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(notifier: Notifier) -> Client:
    return Client(notifier)


def payment(machine: Any, to: Pubkey, lamports: int, payer: Keypair | None = None) -> VersionedTransaction:
    key = payer or machine.payer
    pay = transfer(TransferParams(from_pubkey=key.pubkey(), to_pubkey=to, lamports=lamports))
    return VersionedTransaction(
        MessageV0.try_compile(key.pubkey(), [pay], [], machine.bank.latest_blockhash()[0]), [key]
    )


def name(transaction: VersionedTransaction) -> str:
    return str(transaction.signatures[0])


@pytest.mark.finding("authority-05")
@pytest.mark.finding("authority-06")
class TestSignatures:
    def test_one_that_lands_is_told_once(self, machine: Any, client: Client) -> None:
        sent = payment(machine, Keypair().pubkey(), 10**9)
        number = client.call("signatureSubscribe", name(sent))
        machine.bank.process(sent)
        slot = machine.bank.ledger.status(bytes(sent.signatures[0])).slot
        assert client.told() == (number, {"context": {"slot": slot}, "value": {"err": None}})
        assert client.call("signatureUnsubscribe", number) == -32602  # it has ended with what it was told
        assert client.rest() == []

    def test_one_that_has_landed_is_told_at_once(self, machine: Any, client: Client) -> None:
        """Whoever sends first and subscribes then would wait for ever, since what lands is final here."""
        sent = payment(machine, Keypair().pubkey(), 10**9)
        machine.bank.process(sent)
        machine.time.pass_slots(400)
        number = client.call("signatureSubscribe", name(sent), {"commitment": "finalized"})
        told, result = client.told()
        assert (told, result["value"]) == (number, {"err": None})
        assert client.call("signatureUnsubscribe", number) == -32602

    def test_it_survives_a_restart(self, machine: Any) -> None:
        sent = payment(machine, Keypair().pubkey(), 10**9)
        machine.bank.process(sent)
        machine.restart()
        notifier = Notifier(machine.bank)
        notifier.start()
        client = Client(notifier)
        client.call("signatureSubscribe", name(sent))
        assert client.told()[1]["value"] == {"err": None}
        notifier.stop()

    def test_a_failure_that_landed_has_its_error(self, machine: Any, client: Client) -> None:
        sent = payment(machine, Keypair().pubkey(), 2**63)
        client.call("signatureSubscribe", name(sent), {"enableReceivedNotification": True})
        machine.bank.process(sent)
        assert client.told()[1]["value"] == "receivedSignature"
        assert client.told()[1]["value"] == {"err": {"InstructionError": [0, {"Custom": 1}]}}

    def test_what_the_disk_lost_is_not_told(self, machine: Any, client: Client) -> None:
        """Of a group whose commit broke nothing has happened, so nobody hears of it."""
        target = Keypair().pubkey()
        lost, kept = payment(machine, target, 10**9), payment(machine, target, 2 * 10**9)
        client.call("signatureSubscribe", name(lost))
        number = client.call("accountSubscribe", str(target))

        def group() -> None:
            with machine.bank.together():
                machine.bank.process(lost)
                machine.ledger._connection.execute("ALTER TABLE mention RENAME TO gone")  # written at the group's end
                machine.bank.process(kept)

        with pytest.raises(UnhealthyError):
            group()
        assert client.rest() == []
        with machine.bank.together():
            machine.bank.process(kept)
        told, result = client.told()
        assert (told, result["value"]["lamports"]) == (number, 2 * 10**9)


class TestAccounts:
    def test_of_many_changes_in_a_slot_the_last_is_told(self, machine: Any, client: Client) -> None:
        target = Keypair().pubkey()
        number = client.call("accountSubscribe", str(target), {"encoding": "base64"})
        with machine.bank.together():
            for lamports in (10**9, 10**9 + 1, 10**9 + 2):
                machine.bank.process(payment(machine, target, lamports))
        notes = client.rest()
        assert notes[-1]["params"]["subscription"] == number
        assert notes[-1]["params"]["result"]["value"]["lamports"] == 3 * 10**9 + 3
        assert len(notes) == 1

    def test_one_that_is_gone_is_told_empty(self, machine: Any, client: Client) -> None:
        holder = Keypair()
        machine.bank.process(payment(machine, holder.pubkey(), 10**9))
        client.call("accountSubscribe", str(holder.pubkey()), {"encoding": "base64"})
        machine.bank.process(payment(machine, machine.payer.pubkey(), 10**9 - 5_000, holder))
        assert client.told()[1]["value"] == {
            "lamports": 0,
            "data": ["", "base64"],
            "owner": str(Pubkey.default()),
            "executable": False,
            "rentEpoch": 0,
            "space": 0,
        }

    def test_what_did_not_change_is_not_told(self, machine: Any, client: Client) -> None:
        target = Keypair().pubkey()
        client.call("accountSubscribe", str(target))
        machine.bank.process(payment(machine, target, 2**63))  # it lands, and fails
        machine.bank.simulate(payment(machine, target, 10**9), verify_signatures=True)
        assert client.rest() == []

    def test_a_programs_accounts_pass_its_filters(self, machine: Any, client: Client) -> None:
        system = str(Pubkey.default())
        everything = client.call("programSubscribe", system, {"filters": [{"dataSize": 0}]})
        client.call("programSubscribe", system, {"filters": [{"dataSize": 1}]})
        target = Keypair().pubkey()
        machine.bank.process(payment(machine, target, 10**9))
        told = [(note["params"]["subscription"], note["params"]["result"]["value"]) for note in client.rest()]
        assert {number for number, _ in told} == {everything}
        assert {value["pubkey"] for _, value in told} == {str(target), str(machine.payer.pubkey())}


class TestLogs:
    def test_all_and_those_of_an_address(self, machine: Any, client: Client) -> None:
        first, second = Keypair().pubkey(), Keypair().pubkey()
        everything = client.call("logsSubscribe", "all")
        of_one = client.call("logsSubscribe", {"mentions": [str(first)]}, {"commitment": "processed"})
        sent = [payment(machine, first, 10**9), payment(machine, second, 10**9)]
        for transaction in sent:
            machine.bank.process(transaction)
        told = [(note["params"]["subscription"], note["params"]["result"]["value"]) for note in client.rest()]
        assert [(number, value["signature"]) for number, value in told] == [
            (everything, name(sent[0])),
            (of_one, name(sent[0])),
            (everything, name(sent[1])),
        ]
        assert told[0][1]["logs"][0].startswith("Program 11111111111111111111111111111111 invoke")


def test_the_version_is_told_here_too(client: Client) -> None:
    assert client.call("getVersion") == VERSION_INFO
    assert client.call("getVersion", 7) == -32602
    assert client.call("getHealth") == -32601


class TestSlots:
    def test_each_is_told(self, machine: Any, client: Client) -> None:
        before = machine.bank.advance()
        slots, roots = client.call("slotSubscribe"), client.call("rootSubscribe")
        machine.time.pass_slots(2)
        told = [(note["params"]["subscription"], note["params"]["result"]) for note in client.rest()]
        told += [(note["params"]["subscription"], note["params"]["result"]) for note in client.rest()]
        assert told == [
            (slots, {"slot": before + 1, "parent": before, "root": before}),
            (roots, before),
            (slots, {"slot": before + 2, "parent": before + 1, "root": before + 1}),
            (roots, before + 1),
        ]

    def test_what_becomes_of_each_is_told(self, machine: Any, client: Client) -> None:
        before = machine.bank.advance()
        number = client.call("slotsUpdatesSubscribe")
        machine.bank.process(payment(machine, Keypair().pubkey(), 10**9))
        machine.time.pass_slots(1)
        notes = client.rest() + client.rest()
        assert {(note["method"], note["params"]["subscription"]) for note in notes} == {
            ("slotsUpdatesNotification", number)
        }
        times = {slot: machine.bank.block_time(slot) * 1000 for slot in (before, before + 1)}
        stats = {
            "numTransactionEntries": 1,
            "numSuccessfulTransactions": 1,
            "numFailedTransactions": 0,
            "maxTransactionsPerEntry": 1,
        }
        assert [note["params"]["result"] for note in notes] == [
            {"slot": before, "timestamp": times[before], "stats": stats, "type": "frozen"},
            {"slot": before + 1, "timestamp": times[before + 1], "parent": before, "type": "createdBank"},
            {"slot": before, "timestamp": times[before], "type": "optimisticConfirmation"},
            {"slot": before, "timestamp": times[before], "type": "root"},
        ]
        assert client.call("slotsUpdatesUnsubscribe", number) is True

    def test_after_a_long_pause_the_newest_are_told(self, machine: Any, client: Client) -> None:
        client.call("slotSubscribe")
        machine.time.pass_slots(1_000_000)
        client.rest()
        notes = client.rest()
        newest = machine.bank.advance()
        assert [note["params"]["result"]["slot"] for note in notes] == list(
            range(newest - MAX_SLOTS_TOLD + 1, newest + 1)
        )


class TestRequests:
    def test_a_batch_is_answered_before_what_follows_from_it(self, machine: Any, client: Client) -> None:
        sent = payment(machine, Keypair().pubkey(), 10**9)
        machine.bank.process(sent)
        call = {"jsonrpc": "2.0", "method": "signatureSubscribe", "params": [name(sent)]}
        client.ask([{**call, "id": 1}, {"jsonrpc": "2.0", "method": "ping"}, {**call, "id": 2}])
        first, second = client.next()
        assert (first["id"], second["id"]) == (1, 2)
        assert {client.told()[0], client.told()[0]} == {first["result"], second["result"]}

    def test_the_same_has_one_number_and_what_differs_another(self, client: Client, notifier: Notifier) -> None:
        key, other = str(Keypair().pubkey()), Client(notifier)
        number = client.call("accountSubscribe", key, {"commitment": "confirmed"})
        assert client.call("accountSubscribe", key, {"commitment": "confirmed"}) == number
        assert other.call("accountSubscribe", key, {"commitment": "confirmed"}) == number
        assert client.call("accountSubscribe", key, {"commitment": "processed"}) != number
        assert client.call("accountSubscribe", key, {"commitment": "confirmed", "encoding": "base64"}) != number

    def test_the_end_of_one_leaves_the_others(self, machine: Any, client: Client, notifier: Notifier) -> None:
        target, other = Keypair().pubkey(), Client(notifier)
        number = client.call("accountSubscribe", str(target))
        assert other.call("accountSubscribe", str(target)) == number
        assert client.call("accountUnsubscribe", number) is True
        machine.bank.process(payment(machine, target, 10**9))
        assert client.rest() == []
        assert other.told()[0] == number
        notifier.leave(other)
        machine.bank.process(payment(machine, target, 2 * 10**9))
        assert client.rest() == []
        assert other._sent.empty()

    def test_a_connection_has_a_bound(self, client: Client, notifier: Notifier) -> None:
        for number in range(MAX_SUBSCRIPTIONS):
            key = str(Pubkey.from_bytes(number.to_bytes(32, "big")))
            call = {"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": [key]}
            client.ask(call)
            assert "result" in client.next()
        assert client.call("slotSubscribe") == -32603
        assert client.call("accountSubscribe", str(Pubkey.from_bytes(bytes(32)))) > 0  # it has that one
        assert isinstance(Client(notifier).call("slotSubscribe"), int)

    def test_nobody_costs_the_bank_nothing(self, machine: Any, client: Client, notifier: Notifier) -> None:
        number = client.call("accountSubscribe", str(Keypair().pubkey()))
        assert machine.bank._follower is not None
        client.call("accountUnsubscribe", number)
        assert machine.bank._follower is None

    @given(body=st.binary(max_size=200))
    def test_any_bytes_have_an_answer_or_none(self, shared: Client, body: bytes) -> None:
        shared.ask(body)
        assert all(message.get("error", {}).get("code") != -32603 for message in shared.rest() if "error" in message)

    @given(data=st.data())
    def test_any_parameters_have_a_result_or_a_known_error(self, shared: Client, data: Any) -> None:
        value = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=90),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
            max_leaves=6,
        )
        kind = data.draw(st.sampled_from(["account", "program", "logs", "signature", "slot", "root", "slotsUpdates"]))
        params = data.draw(st.lists(value, max_size=3))
        answered = shared.call(kind + data.draw(st.sampled_from(["Subscribe", "Unsubscribe"])), *params)
        assert answered != -32603


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One client for many examples; its bank stands still."""
    from authority.validator.bank import Bank
    from authority.validator.genesis import Genesis
    from authority.validator.ledger import Ledger

    ledger = Ledger(tmp_path_factory.mktemp("validator"))
    notifier = Notifier(Bank(ledger, Genesis(), wall=lambda: 1_800_000_000.0, monotonic=lambda: 50.0))
    notifier.start()
    yield Client(notifier)
    notifier.stop()
    ledger.close()
