//! close_epoch: a final, checkpointed book leaves the chain, and its rent returns.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::log,
    oracle_interface::EpochCheckpoint,
    trading_interface::{events::EpochClosed, BookStatus, EpochBook, TradingError},
};

/// Accounts of close_epoch.
#[derive(Accounts)]
pub struct CloseEpoch {
    /// The book, at [book, epoch].
    #[account(mut)]
    pub book: UncheckedAccount,
    /// The oracle's checkpoint of the epoch, at [epoch, n] of the oracle program.
    pub checkpoint: UncheckedAccount,
    /// Who paid the book's rent.
    #[account(mut)]
    pub rent_payer: UncheckedAccount,
}

impl CloseEpoch {
    /// Close the book; see [`crate::trading::close_epoch`]. What it held is in the audit log: its bytes are a leaf whose hash the
    /// checkpoint pins.
    pub(crate) fn execute(ctx: &mut Context<Self>) -> Result<()> {
        let mut view = *ctx.accounts.book.account();
        let book = EpochBook::load(&view)?;
        require!(book.status == BookStatus::Final as u8, TradingError::BookNotFinal);
        require!(address_eq(ctx.accounts.rent_payer.address(), &book.rent_payer), TradingError::WrongRentPayer);
        let checkpoint: &EpochCheckpoint = campus_common::load(ctx.accounts.checkpoint.account(), TradingError::WrongCheckpoint)?;
        require!(checkpoint.epoch == book.epoch, TradingError::WrongCheckpoint);
        // SAFETY: nothing writes the book's data here.
        let book_hash = sha256(unsafe { view.borrow_unchecked() });
        require!(book_hash == checkpoint.book_hash, TradingError::BookHashMismatch);
        book.invariant()?;

        let epoch = book.epoch;
        let rent = view.lamports();
        let mut payer = *ctx.accounts.rent_payer.account();
        payer.set_lamports(payer.lamports().checked_add(rent).ok_or(ProgramError::ArithmeticOverflow)?);
        view.set_lamports(0);
        // SAFETY: `book` is not used from here on.
        unsafe { view.close_unchecked() };
        log(&EpochClosed { book_hash, rent, epoch, reserved: 0 });
        Ok(())
    }
}
