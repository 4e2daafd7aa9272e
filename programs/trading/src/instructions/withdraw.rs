//! withdraw: tokens leave a member's seat.

use {
    crate::token::{require_vault, transfer_as_market},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{can_receive, CREDIT_MINT, ENERGY_MINT},
    registry_interface::User,
    trading_interface::{events::Withdrawn, Asset, SeatsMut, TradingError, MARKET, SEATS},
};

/// Accounts of withdraw.
#[derive(Accounts)]
pub struct Withdraw {
    /// The member's wallet, its delegate within its term, or anyone where the seat allows its payout.
    pub authority: Signatory,
    /// The member's User, at [user, wallet] of the registry.
    pub user: UncheckedAccount,
    /// The market, at [market], owner of the vaults.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// Where the tokens go: for the wallet any token account, else the member's own, that its User names.
    #[account(mut, unsafe(dup))]
    pub destination: UncheckedAccount,
    /// The market's vault of that token, at [energy_vault] or [credit_vault].
    #[account(mut, unsafe(dup))]
    pub vault: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl Withdraw {
    /// Withdraw tokens; see [`crate::trading::withdraw`]. No pause and no suspension stops it: what is free in a seat is the member's.
    pub(crate) fn execute(ctx: &mut Context<Self>, asset: Asset, amount: u64) -> Result<()> {
        require!(amount > 0, TradingError::ZeroAmount);
        let (authority, destination, vault) =
            (ctx.accounts.authority.account(), ctx.accounts.destination.account(), ctx.accounts.vault.account());
        require_vault(vault, asset)?;
        require!(!address_eq(destination.address(), vault.address()), TradingError::WithdrawToVault);
        let user = User::load(ctx.accounts.user.account())?;
        let mut seats = SeatsMut::load(ctx.accounts.seats.account())?;
        let member = user.member_index;

        let by_wallet = authority.is_signer() && address_eq(authority.address(), &user.wallet);
        if !by_wallet {
            if seats.seat(member)?.payout & asset.bit() == 0 {
                user.require_wallet_or_delegate(authority, campus_common::now()?)?;
            }
            let (own, mint) = match asset {
                Asset::Energy => (&user.energy_token_account, &ENERGY_MINT),
                Asset::Credit => (&user.credit_token_account, &CREDIT_MINT),
            };
            require!(address_eq(destination.address(), own), TradingError::WrongTokenAccount);
            require!(can_receive(destination, mint, &user.wallet), TradingError::UnusableTokenAccount);
        }

        seats.fetch(member, asset, amount)?;
        log(&Withdrawn { destination: *destination.address(), amount, member, asset: asset as u32 });
        seats.invariant()?;
        transfer_as_market(vault, destination, ctx.accounts.market.account(), amount)
    }
}
