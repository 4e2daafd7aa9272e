//! Every refusal of the trading program: one code a cause, each telling what to do.

campus_common::refusals! {
    /// Refusals of the trading program; codes from 6500.
    TradingError from 6500 {
        // Accounts
        #[msg("The market account is not the trading program's Market: pass its address [market].")]
        WrongMarket,
        #[msg("There is no market yet: the operator makes it with initialize_market.")]
        MarketNotInitialized,
        #[msg("The seats account is not the trading program's Seats: pass its address [seats].")]
        WrongSeats,
        #[msg("The book account is not the EpochBook of this epoch: pass the address [book, epoch mod 16].")]
        WrongBook,
        #[msg("The token account is not the one that the User names for this token: pass the account stored in the User.")]
        WrongTokenAccount,
        #[msg("The vault is not the market's vault of this token: pass [energy_vault] for energy, [credit_vault] for credits.")]
        WrongVault,
        #[msg("The fee account is not the one that the Market names: pass the account stored in the Market.")]
        WrongFeeAccount,
        #[msg("The mint is not the energy_token program's: pass its addresses [energy_mint] and [credit_mint].")]
        WrongMint,
        #[msg("The checkpoint is not the oracle's EpochCheckpoint of the slot's earlier book: checkpoint that epoch first, then pass [epoch, n].")]
        WrongCheckpoint,
        // 6509 was an earlier release's, and a code is given out once.
        #[msg("The program account is not SPL Token: pass TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA.")]
        WrongTokenProgram = 10,
        #[msg("The program account is not the system program: pass 11111111111111111111111111111111.")]
        WrongSystemProgram,
        // Signatures
        #[msg("Only the oracle program may clear a book: call its trigger_clearing.")]
        NotTheOracle,
        #[msg("The oracle's address did not sign: only its program can, in trigger_clearing.")]
        OracleMustSign,
        #[msg("Only the energy token program may do that: call its retire_energy, or have it mint.")]
        NotTheEnergyToken,
        #[msg("The energy token program's mint authority did not sign: only that program can.")]
        EnergyTokenMustSign,
        #[msg("Who pays the rent must sign: add the payer's signature.")]
        PayerMustSign,
        // The market and its accounts
        #[msg("The market was initialised before: there is one market and it is made once.")]
        MarketExists,
        #[msg("A side holds 1 to 4,096 orders: choose a number in between.")]
        CapacityOutOfBounds,
        #[msg("The reference price must lie between the feed-in and the retail price.")]
        ReferencePriceOutOfBounds,
        #[msg("The fee account must be an initialised account of the credit mint that is not frozen.")]
        UnusableFeeAccount,
        #[msg("The fee account must be its owner's associated token account of the credit mint: anyone can recreate that where it is closed.")]
        FeeAccountNotAssociated,
        #[msg("No fees wait to be withdrawn: come back after a clearing.")]
        NoFees,
        #[msg("No such slot: the ring has books 0 to 15.")]
        UnknownSlot,
        #[msg("The book has its full size already: leave it.")]
        BookAlreadyGrown,
        #[msg("The book lacks a part of its size: send grow_book for its slot until it has it.")]
        BookNotGrown,
        #[msg("There are seats for all members and 250 more: add some when they are taken.")]
        SeatsSuffice,
        #[msg("The member has no seat yet: anyone may add seats with grow_seats.")]
        NoSeat,
        // The life of a book
        #[msg("A book opens for the current epoch, or for the next one once the current one's is open: pass one of these.")]
        EpochNotOpenable,
        #[msg("The book of this epoch was opened before: use it.")]
        BookExists,
        #[msg("The slot's earlier book is not final: clear it, or refund it when it is due.")]
        SlotOccupied,
        #[msg("The checkpoint pins another book: its hash must be that of the slot's final book.")]
        BookHashMismatch,
        #[msg("The book takes no orders: it is not open.")]
        BookNotOpen,
        #[msg("The epoch has not begun: place the order when it has.")]
        EpochNotBegun,
        #[msg("In the last seconds of an epoch orders are neither placed nor cancelled: wait for the clearing, or use the next epoch's book.")]
        AfterCutoff,
        #[msg("The epoch is not over: clear the book after its end.")]
        EpochNotOver,
        #[msg("An earlier book waits to be cleared or refunded: books follow one another in that.")]
        EarlierBookUnsettled,
        #[msg("The book was cleared or refunded before: there is nothing to do.")]
        AlreadyCleared,
        #[msg("The book is not due for a refund: one that was never cleared is, eight epochs after its end.")]
        NotRefundable,
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
        #[msg("The book has no order with this side, price and number: read the book again.")]
        NoSuchOrder,
        #[msg("The order belongs to another member: name one of your own.")]
        OrderOfAnotherMember,
        // Seats
        #[msg("No such asset: 0 is energy, 1 credits.")]
        UnknownAsset,
        #[msg("The amount is zero: name how much.")]
        ZeroAmount,
        #[msg("The seat has less energy that is free: deposit some, or cancel an ask.")]
        NotEnoughEnergy,
        #[msg("The seat has less credit that is free: deposit some, or cancel a bid.")]
        NotEnoughCredit,
        #[msg("The member's token account cannot receive: it is closed, frozen or no longer the member's; its wallet may name another.")]
        UnusableTokenAccount,
        #[msg("A vault is no place to withdraw to: name a token account of your own.")]
        WithdrawToVault,
        #[msg("Unknown bits: 1 stands for energy, 2 for credits.")]
        UnknownPayout,
        // Self-checks: a bug in a program, never the client's doing
        #[msg("The market would break an invariant: nothing was changed; report this.")]
        MarketInvariant,
        #[msg("The seats would break an invariant: nothing was changed; report this.")]
        SeatsInvariant,
        #[msg("The book would break an invariant: nothing was changed; report this.")]
        BookInvariant,
        #[msg("The auction's result failed its own check: nothing was changed; report this.")]
        UnfairClearing,
        #[msg("Payments would exceed what the book has locked: nothing was changed; report this.")]
        LockedShort,
        #[msg("The vault would hold less than the seats and books say: nothing was changed; report this.")]
        VaultShort,
    }
}
