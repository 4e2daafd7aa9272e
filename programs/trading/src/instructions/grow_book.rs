//! grow_book: a book of the ring is made, 10,240 bytes at a time.

use {
    crate::signers::Payer,
    anchor_lang::{prelude::*, realloc_account},
    campus_common::{borrow_mut, make_array, CampusAccount, Checked, Foreign, Signatory, SYSTEM_PROGRAM, VERSION},
    trading_interface::{book_space, BookStatus, EpochBook, Market, TradingError, BOOKS, BOOK_HEAD, BOOK_SEED},
};

/// What one instruction may add to an account.
const STEP: usize = 10_240;
const _: () = assert!(BOOK_HEAD <= STEP);

/// Accounts of grow_book.
#[derive(Accounts)]
pub struct GrowBook {
    /// Pays the rent.
    #[account(unsafe(dup))]
    pub payer: Signatory<Payer>,
    /// The market, at [market].
    pub market: Checked<Market>,
    /// The book, at [book, slot as u8].
    #[account(unsafe(dup))]
    pub book: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ TradingError::WrongSystemProgram)]
    pub system_program: Foreign,
}

impl GrowBook {
    /// Make the book, or bring it nearer to its full size; see [`crate::trading::grow_book`].
    pub(crate) fn execute(&mut self, slot: u8) -> Result<()> {
        if u32::from(slot) >= BOOKS {
            return Err(TradingError::UnknownSlot.into());
        }
        let (payer, view, orders_per_side) = (self.payer.account(), self.book.account(), self.market.orders_per_side);
        let space = book_space(orders_per_side);
        let mut book = if view.data_len() == 0 {
            let refusals = (TradingError::WrongBook, TradingError::WrongBook);
            let (mut book, bump) = make_array::<EpochBook>(payer, view, space.min(STEP), &[BOOK_SEED, &[slot]], refusals)?;
            book.version = VERSION;
            book.bump = bump;
            book.slot = slot;
            book.capacity = orders_per_side;
            book.set_status(BookStatus::Growing);
            book
        } else {
            let book = borrow_mut::<EpochBook>(view)?;
            if book.slot != slot {
                return Err(TradingError::WrongBook.into());
            }
            if !book.is(BookStatus::Growing) {
                return Err(TradingError::BookAlreadyGrown.into());
            }
            realloc_account(&mut { *view }, space.min(view.data_len() + STEP), payer, false)?;
            book
        };
        if view.data_len() == space {
            book.set_status(BookStatus::Vacant);
        }
        book.invariant()
    }
}
