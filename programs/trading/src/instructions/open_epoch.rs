//! open_epoch: the first part of a book, with the parameters of its epoch.

use {
    anchor_lang::{create_account_signed, find_and_verify_program_address, prelude::*, system_program},
    campus_common::{units::Epoch, Signatory, SYSTEM_PROGRAM, VERSION},
    governance_interface::{Config, Pause, CONFIG_ADDRESS},
    trading_interface::{BookStatus, EpochBook, TradingError, BOOK_SEED, BOOK_SPACE, ID, OPENING_SPACE},
};

/// Accounts of open_epoch.
#[derive(Accounts)]
pub struct OpenEpoch {
    /// Pays the rent of the whole book, and gets it back when the book is closed.
    #[account(mut)]
    pub payer: Signatory,
    /// Governance's Config, at [config].
    #[account(address = CONFIG_ADDRESS @ governance_interface::GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The book to make, at [book, epoch].
    #[account(mut)]
    pub book: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ TradingError::WrongSystemProgram)]
    pub system_program: UncheckedAccount,
}

impl OpenEpoch {
    /// Make the book's first part; see [`crate::trading::open_epoch`].
    pub(crate) fn execute(ctx: &mut Context<Self>, epoch: Epoch) -> Result<()> {
        require!(ctx.accounts.payer.is_signer(), TradingError::PayerMustSign);
        let config = Config::load(ctx.accounts.config.account())?;
        config.require_running(Pause::ORDERS)?;
        let now = campus_common::now()?;
        let current = config.epoch(now);
        require!(epoch == current || Some(epoch.0) == current.0.checked_add(1), TradingError::EpochNotOpenable);

        let mut view = *ctx.accounts.book.account();
        let number = epoch.0.to_le_bytes();
        let bump =
            find_and_verify_program_address(&[BOOK_SEED, &number], &ID, view.address()).map_err(|_| TradingError::WrongBook)?;
        require!(view.data_len() == 0, TradingError::BookExists);
        create_account_signed(ctx.accounts.payer.account(), &view, OPENING_SPACE, &ID, &[BOOK_SEED, &number, &[bump]])?;
        let shortfall = Rent::get()?.try_minimum_balance(BOOK_SPACE)?.saturating_sub(view.lamports());
        system_program::transfer(
            CpiContext::new(
                ctx.accounts.system_program.address(),
                system_program::Transfer { from: ctx.accounts.payer.cpi_handle_mut(), to: ctx.accounts.book.cpi_handle_mut() },
            ),
            shortfall,
        )?;

        let parameters = config.parameters(epoch);
        // SAFETY: the account was made just now with room for the discriminator and all fields before the orders; nothing else refers
        // into its data. Fields are written one by one through a pointer, for the book is not whole yet; the others stay zero.
        unsafe {
            let data = view.data_mut_ptr();
            data.copy_from_nonoverlapping(EpochBook::DISCRIMINATOR.as_ptr(), 8);
            let book = data.add(8) as *mut EpochBook;
            macro_rules! write {
                ($($field:ident: $value:expr),+ $(,)?) => {
                    $(core::ptr::addr_of_mut!((*book).$field).write($value);)+
                };
            }
            write! {
                version: VERSION,
                bump: bump,
                status: BookStatus::Growing as u8,
                epoch: epoch,
                opens_at: epoch.start(config.epoch_seconds),
                closes_at: epoch.end(config.epoch_seconds),
                rent_payer: *ctx.accounts.payer.address(),
                epoch_seconds: config.epoch_seconds,
                feed_in_price: parameters.feed_in_price,
                retail_price: parameters.retail_price,
                wheeling: parameters.wheeling,
                min_order: parameters.min_order_wh,
                max_order: parameters.max_order_wh,
                cancel_cutoff_seconds: parameters.cancel_cutoff_seconds,
                min_reference_volume: parameters.min_reference_volume_wh,
                fee_bps: parameters.fee_bps,
                max_orders_per_member: parameters.max_orders_per_member,
            }
        }
        Ok(())
    }
}

const _: () = assert!(8 + core::mem::offset_of!(EpochBook, bids) <= OPENING_SPACE);
