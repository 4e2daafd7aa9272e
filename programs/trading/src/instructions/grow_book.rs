//! grow_book: the second part of a book; from then on it takes orders.

use {
    anchor_lang::{pinocchio::Resize, prelude::*},
    campus_common::{is_account, log},
    trading_interface::{events::EpochOpened, BookStatus, EpochBook, TradingError, BOOK_SPACE, ID, OPENING_SPACE},
};

/// Accounts of grow_book.
#[derive(Accounts)]
pub struct GrowBook {
    /// The book that open_epoch made, at [book, epoch].
    #[account(mut)]
    pub book: UncheckedAccount,
}

impl GrowBook {
    /// Bring the book to its full size; see [`crate::trading::grow_book`].
    pub(crate) fn execute(ctx: &mut Context<Self>) -> Result<()> {
        let mut view = *ctx.accounts.book.account();
        require!(!is_account::<EpochBook>(&view), TradingError::BookAlreadyGrown);
        require!(view.owned_by(&ID) && view.data_len() == OPENING_SPACE, TradingError::WrongBook);
        // SAFETY: nothing refers into the account's data; the rent of the full size is paid since open_epoch. That it holds a book
        // is seen below: a refusal undoes the growth.
        unsafe { view.resize_unchecked(BOOK_SPACE)? };

        let book = EpochBook::load_mut(&view)?;
        book.status = BookStatus::Open as u8;
        log(&EpochOpened {
            epoch: book.epoch,
            feed_in_price: book.feed_in_price,
            retail_price: book.retail_price,
            wheeling: book.wheeling,
        });
        book.invariant()
    }
}
