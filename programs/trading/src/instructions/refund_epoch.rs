//! refund_epoch: a book that nobody cleared gives everything back.

use {
    super::clear_epoch::finish_if_empty,
    anchor_lang::prelude::*,
    campus_common::log,
    trading_interface::{events::EpochRefunded, BookStatus, EpochBook, TradingError},
};

/// Accounts of refund_epoch.
#[derive(Accounts)]
pub struct RefundEpoch {
    /// The book, at [book, epoch].
    #[account(mut)]
    pub book: UncheckedAccount,
}

impl RefundEpoch {
    /// Begin the refund; see [`crate::trading::refund_epoch`]. No order is filled, so that settling returns every escrow whole.
    pub(crate) fn execute(ctx: &mut Context<Self>) -> Result<()> {
        let now = campus_common::now()?;
        let book = EpochBook::load_mut(ctx.accounts.book.account())?;
        require!(book.status == BookStatus::Open as u8, TradingError::NotRefundable);
        require!(now >= book.refundable_from(), TradingError::NotRefundable);
        book.status = BookStatus::Refunding as u8;
        book.cleared_at = now;
        log(&EpochRefunded {
            energy: book.energy_escrow,
            credits: book.credit_escrow,
            epoch: book.epoch,
            orders: book.order_count(),
        });
        finish_if_empty(book);
        book.invariant()
    }
}
