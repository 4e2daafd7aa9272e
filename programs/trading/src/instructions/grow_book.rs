//! grow_book: a book of the ring is made, 10,240 bytes at a time.

use {
    crate::rent::{grow, make},
    anchor_lang::{find_and_verify_program_address, prelude::*},
    campus_common::{Signatory, SYSTEM_PROGRAM, VERSION},
    trading_interface::{book_space, BookMut, BookStatus, EpochBook, Market, TradingError, BOOKS, BOOK_HEAD, BOOK_SEED, MARKET},
};

/// What one instruction may add to an account.
const STEP: usize = 10_240;
const _: () = assert!(BOOK_HEAD <= STEP);

/// Accounts of grow_book.
#[derive(Accounts)]
pub struct GrowBook {
    /// Pays the rent.
    #[account(mut, unsafe(dup))]
    pub payer: Signatory,
    /// The market, at [market].
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The book, at [book, slot as u8].
    #[account(mut, unsafe(dup))]
    pub book: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ TradingError::WrongSystemProgram)]
    pub system_program: UncheckedAccount,
}

impl GrowBook {
    /// Make the book, or bring it nearer to its full size; see [`crate::trading::grow_book`].
    pub(crate) fn execute(ctx: &mut Context<Self>, slot: u8) -> Result<()> {
        require!(ctx.accounts.payer.is_signer(), TradingError::PayerMustSign);
        require!(u32::from(slot) < BOOKS, TradingError::UnknownSlot);
        let market = Market::load(ctx.accounts.market.account())?;
        let (payer, view) = (ctx.accounts.payer.account(), ctx.accounts.book.account());
        let space = book_space(market.orders_per_side);
        if view.data_len() == 0 {
            let seeds: [&[u8]; 2] = [BOOK_SEED, &[slot]];
            let bump = find_and_verify_program_address(&seeds, &trading_interface::ID, view.address())
                .map_err(|_| TradingError::WrongBook)?;
            let head: &mut EpochBook = make(payer, view, space.min(STEP), &[BOOK_SEED, &[slot], &[bump]])?;
            head.version = VERSION;
            head.bump = bump;
            head.slot = slot;
            head.capacity = market.orders_per_side;
            head.set_status(BookStatus::Growing);
        } else {
            let head: &mut EpochBook = campus_common::load_mut(view, TradingError::WrongBook)?;
            require!(head.slot == slot, TradingError::WrongBook);
            require!(head.is(BookStatus::Growing), TradingError::BookAlreadyGrown);
            grow(payer, view, space.min(view.data_len() + STEP))?;
        }
        if view.data_len() < space {
            return campus_common::load::<EpochBook>(view, TradingError::WrongBook)?.invariant();
        }
        let book = BookMut::load(view)?;
        book.head.set_status(BookStatus::Vacant);
        book.head.invariant()
    }
}
