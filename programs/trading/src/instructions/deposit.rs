//! deposit: tokens come into a member's seat.

use {
    crate::token::{require_vault, transfer_as_market},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, Signatory, TOKEN_PROGRAM},
    pinocchio_token::instructions::Transfer,
    registry_interface::User,
    trading_interface::{events::Deposited, Asset, SeatsMut, TradingError, MARKET, SEATS},
};

/// Accounts of deposit.
#[derive(Accounts)]
pub struct Deposit {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory,
    /// The member's User, at [user, wallet] of the registry.
    pub user: UncheckedAccount,
    /// The market, at [market]: for a delegate it moves the tokens, which the member has approved at SPL Token.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// Where the tokens are: an account that the wallet may spend, or, for its delegate, the member's account that its User names.
    #[account(mut, unsafe(dup))]
    pub source: UncheckedAccount,
    /// The market's vault of that token, at [energy_vault] or [credit_vault].
    #[account(mut, unsafe(dup))]
    pub vault: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl Deposit {
    /// Deposit tokens; see [`crate::trading::deposit`].
    pub(crate) fn execute(ctx: &mut Context<Self>, asset: Asset, amount: u64) -> Result<()> {
        require!(amount > 0, TradingError::ZeroAmount);
        let (authority, source, vault) =
            (ctx.accounts.authority.account(), ctx.accounts.source.account(), ctx.accounts.vault.account());
        require_vault(vault, asset)?;
        let user = User::load(ctx.accounts.user.account())?;
        let by_wallet = user.require_wallet_or_delegate(authority, campus_common::now()?)?;
        let mut seats = SeatsMut::load(ctx.accounts.seats.account())?;
        seats.bring(user.member_index, asset, amount)?;
        log(&Deposited { amount, member: user.member_index, asset: asset as u32 });
        seats.invariant()?;
        if by_wallet {
            Transfer::new(source, vault, authority, amount).invoke()
        } else {
            let own = match asset {
                Asset::Energy => &user.energy_token_account,
                Asset::Credit => &user.credit_token_account,
            };
            require!(address_eq(source.address(), own), TradingError::WrongTokenAccount);
            transfer_as_market(source, vault, ctx.accounts.market.account(), amount)
        }
    }
}
