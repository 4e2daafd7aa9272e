"""Members: list, show, add, suspend, resume, rename, name a delegate. Leaving and new wallets have own files."""

from __future__ import annotations

import os
import struct
from typing import Any

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority import typed
from authority.chain import accounts, programs
from authority.enrolment import wallets
from authority.enrolment.plan import MAX_BUILDING_BYTES
from authority.enrolment.registration import Registration
from authority.enrolment.steps import Done
from authority.errors import OutOfRangeError
from authority.log import log
from authority.operations.chain_state import MemberOnChain, full_name, member_of, member_on_chain
from authority.operations.desk import ACTIVE, CLOSED, STATUS_WORDS, SUSPENDED, Desk
from authority.operations.errors import LeftError, NameInvalidError, NotOnChainError, WalletInvalidError
from authority.refusals import ConflictError
from authority.store.billing import IssuedBill
from authority.store.market import StandingOrderPolicy
from authority.store.metering import Meter
from authority.store.people import FORMER_MEMBER, User, user_named

MAX_NAME = 64
LONGEST_TERM = 366 * 86_400
"""A delegation's longest term, seconds (registry, set_delegate)."""
MAX_ALLOWANCE = 2**63 - 1


def listed(desk: Desk) -> list[dict[str, Any]]:
    """Every member, those who left included; the store's words alone."""
    with desk.app.store.read() as session:
        meters: dict[int, int] = {}
        for user_id in session.scalars(select(Meter.user_id)):
            meters[user_id] = meters.get(user_id, 0) + 1
        return [
            {
                "member": user.name,
                "building": user.building,
                "public": user.public,
                "dwelling": user.dwelling,
                "meters": meters.get(user.id, 0),
                "wallet": "own" if user.sealed_key is None else "in custody",
                "on_chain": user.registered_at is not None,
                "left_at": user.left_at,
            }
            for user in session.scalars(select(User).order_by(User.name))
        ]


def shown(desk: Desk, name: str) -> dict[str, Any]:
    """One member with balances (Wh, micro-credits), orders, meters and bills. NotFoundError."""
    with desk.app.store.read() as session:
        user = member_of(session, name)
        policy = session.get(StandingOrderPolicy, user.id)
        bills = session.scalars(select(IssuedBill).where(IssuedBill.wallet == user.wallet).order_by(IssuedBill.number))
        meters = session.scalars(select(Meter).where(Meter.user_id == user.id).order_by(Meter.gateway_name, Meter.name))
        told: dict[str, Any] = {
            "member": user.name,
            "building": user.building,
            "public": user.public,
            "dwelling": user.dwelling,
            "address": user.wallet,
            "wallet": user.signs_as,
            "custody": user.sealed_key is not None,
            "left_at": user.left_at,
            "meters": [
                {"meter": full_name(each), "role": each.role, "state": each.state, "installation": each.installation_n}
                for each in meters
            ],
            "bills": [
                {"bill": each.number, "period": each.period, "due": each.due, "issued_at": each.issued_at}
                for each in bills
            ],
            "standing_order": None
            if policy is None
            else {
                "sell_at": policy.sell_at,
                "buy_at": policy.buy_at,
                "reserve_wh": policy.reserve_wh,
                "feed_in_above_wh": policy.feed_in_above_wh,
            },
        }
    found = member_on_chain(desk.client, user)
    told["chain"] = None if found is None else _chain(found)
    return told


def _chain(found: MemberOnChain) -> dict[str, Any]:
    user, energy, balances = found.user, found.energy, found.balances
    delegate = (
        None if user.delegate == Pubkey.default() else {"delegate": str(user.delegate), "ends": user.delegate_until}
    )
    proposed = None
    if user.next_wallet_from:
        proposed = {"wallet": str(user.next_wallet), "from_epoch": user.next_wallet_from}
    return {
        "status": STATUS_WORDS.get(user.status, str(user.status)),
        "member_index": user.member_index,
        "energy_wh": {
            "wallet": balances.wallet_wh,
            "seat": balances.seat_wh,
            "in_orders": balances.locked_wh,
            "all": balances.energy,
        },
        "credit": {
            "wallet": balances.wallet_credit,
            "seat": balances.seat_credit,
            "in_orders": balances.locked_credit,
            "all": balances.credit,
        },
        "orders": list(balances.orders),
        "minted_wh": 0 if energy is None else energy.minted,
        "withdrawn_wh": 0 if energy is None else energy.withdrawn,
        "settled_until": None if energy is None or not energy.boundary else energy.boundary,
        "delegate": delegate,
        "proposed_wallet": proposed,
    }


def add(
    desk: Desk, name: str, building: str, *, public: bool = False, dwelling: bool = True, wallet: str | None = None
) -> Done:
    """A new member, in the store and on the chain; its wallet is made and kept here, unless it has one of its own.

    public and dwelling are as User has them.

    NameInvalidError, WalletInvalidError, ConflictError where the name is another's.
    """
    done, name = desk.begin("add", name), typed.line(name)
    check_name(name)
    if not building.strip() or len(building.encode()) > MAX_BUILDING_BYTES or not building.isprintable():
        raise NameInvalidError(f"a building's name is 1 to {MAX_BUILDING_BYTES} bytes of text")
    own = None if wallet is None else address_of(wallet)
    with desk.app.store.read() as session:
        user = user_named(session, name)
    if user is not None and (user.building != building or (own is not None and str(own) != user.wallet)):
        raise ConflictError(f"there is a member {name!r} already, with another building or wallet")
    if user is None:
        if desk.dry_run:
            desk.note(done, f"member {name}", "would be added")
            return done
        made, sealed = (str(own), None) if own is not None else wallets.make(desk.app.home.wallet_key, os.urandom)
        with desk.app.store.write() as session:
            user = User(name=name, building=building, public=public, dwelling=dwelling, wallet=made, sealed_key=sealed)
            session.add(user)
            session.flush()
            log.record_act(session, "member_added", desk.actor, desk.app.clock(), {"wallet": made})
            session.refresh(user)
            session.expunge(user)
        desk.note(done, f"member {name}", "added", changed=True)
    done.facts["address"] = user.wallet
    if user.registered_at is not None:
        desk.note(done, "chain", "has it already")
    elif desk.dry_run:
        desk.note(done, "chain", "would get it")
    else:
        Registration(desk.app, desk.client, actor=desk.actor, report=lambda _: None).member(user)
        desk.note(done, "chain", "has it, with its token accounts and a seat in the market", changed=True)
    return done


def check_name(name: str) -> None:
    """NameInvalidError for what no member can be called."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise NameInvalidError(f"a member's name is 1 to {MAX_NAME} printable characters")
    if name.startswith(FORMER_MEMBER):
        raise NameInvalidError(f"{FORMER_MEMBER!r} begins the names of members that have left: choose another name")


def address_of(text: str) -> Pubkey:
    """An address in base58; WalletInvalidError."""
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise WalletInvalidError(f"{text!r} is no public key in base58") from error


def present(desk: Desk, name: str) -> tuple[User, MemberOnChain]:
    """A member that has not left, with the chain's word; NotFoundError, LeftError, NotOnChainError."""
    with desk.app.store.read() as session:
        user = member_of(session, name)
    require_there(user)
    found = member_on_chain(desk.client, user)
    if found is None:
        raise NotOnChainError(
            f"{name} is not on the chain yet: authority members add {name!r} --building {user.building!r}"
        )
    return user, found


def require_there(user: User) -> None:
    """LeftError for a member that has left."""
    if user.left_at is not None:
        raise LeftError(f"{user.name} has left: a member that comes back is added anew")


def suspend(desk: Desk, name: str) -> Done:
    """End a member's part in the market; its energy is still settled and its own. Undone by resume."""
    return _set_status(desk, "suspend", name, SUSPENDED)


def resume(desk: Desk, name: str) -> Done:
    """Let a suspended member trade again."""
    return _set_status(desk, "resume", name, ACTIVE)


def _set_status(desk: Desk, act: str, name: str, status: accounts.Status) -> Done:
    done = desk.begin(act, name)
    user, found = present(desk, name)
    set_status(desk, done, user, found.user, status)
    return done


def set_status(desk: Desk, done: Done, user: User, account: accounts.User, status: accounts.Status) -> None:
    """Bring a member's status on the chain to this one; logged."""
    which, word = f"member {user.name}", STATUS_WORDS[status]
    if account.status == status:
        desk.note(done, which, f"was {word} before")
    elif account.status == CLOSED:
        raise LeftError(f"{user.name} is closed on the chain for good")
    elif desk.dry_run:
        desk.note(done, which, f"would be {word}")
    else:
        address = programs.user_address(account.member)
        signature = desk.send(desk.instruction("registry", "set_user_status", {"status": status}, user=address))
        data = {"reason": desk.reason, "signature": signature, "status": word, "wallet": user.wallet}
        desk.log("member_status_set", data)
        desk.note(done, which, word, changed=True)


def rename(desk: Desk, name: str, new: str) -> Done:
    """Call a member otherwise, from now on: the log and the chain know it by its address alone."""
    done, new = desk.begin("rename", name), typed.line(new)
    check_name(new)
    with desk.app.store.read() as session:
        other = user_named(session, new)
        if user_named(session, name) is None and other is not None:
            desk.note(done, f"member {name}", f"is called {new} already")
            return done
        user = member_of(session, name)
    require_there(user)
    if other is not None and other.id != user.id:
        raise ConflictError(f"there is a member {new!r} already")
    if not desk.dry_run and other is None:
        with desk.app.store.write() as session:
            session.get_one(User, user.id).name = new
            log.record_act(session, "member_renamed", desk.actor, desk.app.clock(), {"wallet": user.wallet})
    desk.note(done, f"member {name}", f"{'would be' if desk.dry_run else 'is'} called {new}", changed=other is None)
    done.facts["next"] = [f"write {new!r} into the campus plan, in [[user]] and in its meters"]
    return done


def make_delegate_key(desk: Desk, name: str) -> Done:
    """Make a key that is kept here, for a member with a key of its own to name as its delegate."""
    done = desk.begin("delegate-key", name)
    if desk.dry_run:
        desk.note(done, f"member {name}", "would have a key made for a delegate")
        return done
    with desk.app.store.write() as session:
        user = member_of(session, name)
        require_there(user)
        address = wallets.add(session, desk.app.home, user, os.urandom, desk.app.clock())
        data = {"key": address, "reason": desk.reason, "wallet": user.wallet}
        log.record_act(session, "wallet_key_made", desk.actor, desk.app.clock(), data)
    done.facts["key"] = address
    desk.note(done, f"member {name}", f"may name {address} by the registry's set_delegate", changed=True)
    return done


def approve(account: Pubkey, owner: Pubkey, amount: int) -> Instruction:
    """SPL Token's Approve: the market may move so much out of a member's token account, for its delegate."""
    metas = [
        AccountMeta(account, is_signer=False, is_writable=True),
        AccountMeta(programs.market_address(), is_signer=False, is_writable=False),
        AccountMeta(owner, is_signer=True, is_writable=False),
    ]
    return Instruction(programs.TOKEN_PROGRAM, _APPROVE.pack(4, amount), metas)


_APPROVE = struct.Struct("<BQ")


def delegate(
    desk: Desk, name: str, address: str | None, *, until: int = 0, energy_wh: int = 0, credit: int = 0
) -> Done:
    """Name or renew who may place, cancel and retire for a member until a time; None removes the delegate.

    energy_wh and credit are what the market may move for it from the member's own accounts into its seat, approved at
    SPL Token; what was approved before stays where nothing is given. Only for wallets in custody
    here: others sign it themselves (NotCustodialError). OutOfRangeError.
    """
    done = desk.begin("delegate", name)
    user, found = present(desk, name)
    wanted = Pubkey.default() if address is None else address_of(address)
    now = desk.client.clock().unix_timestamp
    if address is not None:
        if not now < until <= now + LONGEST_TERM:
            raise OutOfRangeError("a delegation ends later than now, and within 366 days")
        if not 0 <= energy_wh <= MAX_ALLOWANCE or not 0 <= credit <= MAX_ALLOWANCE:
            raise OutOfRangeError(f"an allowance is 0 to {MAX_ALLOWANCE}")
    which = f"member {name}"
    if address is None and found.user.delegate == wanted:
        desk.note(done, which, "had no delegate")
        return done
    said = "no delegate" if address is None else f"the delegate {address}"
    if desk.dry_run:
        desk.note(done, which, f"would have {said}")
        return done
    key = wallets.unseal(desk.app.home, user)
    named = {"wallet": key.pubkey(), "user": programs.user_address(found.user.member), "delegate": wanted}
    instructions = [desk.client.instruction("registry", "set_delegate", {"until": until}, named)]
    for account, amount in (
        (found.user.energy_token_account, energy_wh),
        (found.user.credit_token_account, credit),
    ):
        if amount:
            instructions.append(approve(account, key.pubkey(), amount))
    signature = desk.client.send(instructions, [key], payer=desk.operator)
    data = {"delegate": str(wanted), "reason": desk.reason, "signature": str(signature), "until": until}
    desk.log("delegate_set", {**data, "wallet": user.wallet})
    desk.note(done, which, f"has {said}", changed=True)
    return done
