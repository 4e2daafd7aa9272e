//! Every refusal of the trading program: one code a cause, each telling what to do.

use anchor_lang::prelude::*;

/// Refusals of the trading program; codes from 6500.
#[error_code(offset = 6500)]
#[derive(Debug, PartialEq, Eq)]
pub enum TradingError {
    // Accounts
    #[msg("The market account is not the trading program's Market: pass its address [market].")]
    WrongMarket,
    #[msg("There is no market yet: the operator makes it with initialize_market.")]
    MarketNotInitialized,
    #[msg("The book account is not the EpochBook of this epoch: pass the address [book, epoch].")]
    WrongBook,
    #[msg("The order belongs to another member: pass the User whose member index the order names.")]
    WrongMember,
    #[msg("The token account is not the one that the User names for this token: pass the account stored in the User.")]
    WrongTokenAccount,
    #[msg("The vault is not the market's vault of this token: pass [energy_vault] for asks, [credit_vault] for bids.")]
    WrongVault,
    #[msg("The fee account is not the one that the Market names: pass the account stored in the Market.")]
    WrongFeeAccount,
    #[msg("The mint is not the energy_token program's: pass its addresses [energy_mint] and [credit_mint].")]
    WrongMint,
    #[msg("The checkpoint is not the oracle's EpochCheckpoint of this epoch: checkpoint the epoch first, then pass [epoch, n].")]
    WrongCheckpoint,
    #[msg("The rent goes back to whoever paid it: pass the book's rent payer.")]
    WrongRentPayer,
    #[msg("The program account is not SPL Token: pass TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA.")]
    WrongTokenProgram,
    #[msg("The program account is not the system program: pass 11111111111111111111111111111111.")]
    WrongSystemProgram,
    // Signatures
    #[msg("Only the oracle program may clear a book: call its trigger_clearing.")]
    NotTheOracle,
    #[msg("The oracle's address did not sign: only its program can, in trigger_clearing.")]
    OracleMustSign,
    #[msg("Who pays the book's rent must sign: add the payer's signature.")]
    PayerMustSign,
    // Life of the market and of a book
    #[msg("The market was initialised before: there is one market and it is made once.")]
    MarketExists,
    #[msg("A book opens for the current or the next epoch only: pass one of these.")]
    EpochNotOpenable,
    #[msg("The book of this epoch exists already: use it.")]
    BookExists,
    #[msg("The book has its full size already: go on to place orders.")]
    BookAlreadyGrown,
    #[msg("The book lacks its second half: send grow_book, in the transaction of open_epoch.")]
    BookNotGrown,
    #[msg("The book takes no orders any more: it was cleared or is being refunded.")]
    BookNotOpen,
    #[msg("The epoch has not begun: place the order when it has.")]
    EpochNotBegun,
    #[msg("The epoch is over: place the order in the current epoch's book.")]
    EpochOver,
    #[msg("Orders can't be cancelled in the last seconds of an epoch: wait for the clearing.")]
    CancelTooLate,
    #[msg("The epoch is not over: clear the book after its end.")]
    EpochNotOver,
    #[msg("The book was cleared before: settle its orders.")]
    AlreadyCleared,
    #[msg("The book is not due for a refund: one that was never cleared is, eight epochs after its end.")]
    NotRefundable,
    #[msg("The book was neither cleared nor refunded: settle its orders after that.")]
    NotSettleable,
    #[msg("Orders of the book are unsettled or its fees unpaid: settle all, with a fee account that can receive, then close.")]
    BookNotFinal,
    #[msg("The checkpoint pins another book: its hash must be SHA-256 of the final book's data.")]
    BookHashMismatch,
    // Orders
    #[msg("No such side: 0 is a bid, 1 an ask.")]
    UnknownSide,
    #[msg("The price is below the feed-in price: the grid pays more, feed in instead.")]
    PriceBelowFeedIn,
    #[msg("The price is above the retail price: the grid is cheaper, buy there instead.")]
    PriceAboveRetail,
    #[msg("The quantity is below the smallest order of this book: order more.")]
    OrderTooSmall,
    #[msg("The quantity is above the largest order of this book: split it.")]
    OrderTooLarge,
    #[msg("The member has as many orders in this book as it may: cancel one first.")]
    TooManyOrders,
    #[msg("The order would trade with the member's own on the other side: cancel that one or change the price.")]
    CrossesOwnOrder,
    #[msg("The side is full of orders at least as good: offer a better price.")]
    BookFull,
    #[msg("The side's quantities would pass 4,294,967,295 Wh: order less.")]
    SideTooLarge,
    #[msg("The side is full and the worst order gives way: append its owner's User and token account, and retry if it changed meanwhile.")]
    EvictionAccountsMissing,
    #[msg("The member has no order with this side, price and quantity in the book: read the book again.")]
    NoSuchOrder,
    #[msg("No order has this number: bids are 0 to 511, asks 512 to 1023, both from the best.")]
    OrderOutOfRange,
    #[msg("The order is settled already: leave it out.")]
    OrderAlreadySettled,
    #[msg("Append the User, energy account and credit account of each order's member, once for adjacent orders of one member.")]
    SettlementAccountsMissing,
    #[msg("None of these orders can be paid: recreate the members' token accounts (anyone may), then settle again.")]
    NothingSettled,
    #[msg("Nothing to settle: name at least one order, or none where only the fees are unpaid.")]
    NothingToSettle,
    // Values
    #[msg("The reference price must lie between the feed-in and the retail price.")]
    ReferencePriceOutOfBounds,
    #[msg("The fee account must be an initialised account of the credit mint that is not frozen.")]
    UnusableFeeAccount,
    // Self-checks: a bug in the program, never the client's doing
    #[msg("The market would break an invariant: nothing was changed; report this.")]
    MarketInvariant,
    #[msg("The book would break an invariant: nothing was changed; report this.")]
    BookInvariant,
    #[msg("The auction's result failed its own check: nothing was changed; report this.")]
    UnfairClearing,
    #[msg("A payment would exceed what the book has in escrow: nothing was changed; report this.")]
    EscrowShort,
    // Of the fee account again, last so that the codes before it stay
    #[msg("The fee account must be its owner's associated token account of the credit mint: anyone can recreate that where it is closed.")]
    FeeAccountNotAssociated,
    // burn_delegated
    #[msg("Only the energy token program can call burn_delegated: a delegate retires through retire_energy.")]
    NotTheEnergyToken,
    #[msg("The energy token program's mint authority must sign: only that program can call burn_delegated.")]
    EnergyTokenMustSign,
}
