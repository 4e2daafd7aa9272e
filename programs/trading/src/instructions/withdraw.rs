//! withdraw: tokens leave a member's seat.

use {
    crate::token::{require_vault, transfer_as_market},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, now, Checked, CheckedMut, Foreign, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{can_receive, CREDIT_MINT, ENERGY_MINT},
    registry_interface::{User, WalletOrDelegate},
    trading_interface::{events::Withdrawn, Asset, Seats, SeatsMut, TradingError, MARKET},
};

/// Accounts of withdraw.
#[derive(Accounts)]
pub struct Withdraw {
    /// The member's wallet, its delegate within its term, or anyone where the seat allows its payout.
    pub authority: Signatory<WalletOrDelegate>,
    /// The member's User, at [user, wallet] of the registry.
    pub user: Checked<User>,
    /// The market, at [market], owner of the vaults.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: Foreign,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// Where the tokens go: for the wallet any token account, else the member's own, that its User names.
    #[account(unsafe(dup))]
    pub destination: Foreign,
    /// The market's vault of that token, at [energy_vault] or [credit_vault].
    #[account(unsafe(dup))]
    pub vault: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: Foreign,
}

impl Withdraw {
    /// Withdraw tokens; see [`crate::trading::withdraw`]. No pause and no suspension stops it: what is free in a seat is the member's.
    pub(crate) fn execute(&mut self, asset: Asset, amount: u64) -> Result<()> {
        if amount == 0 {
            return Err(TradingError::ZeroAmount.into());
        }
        let (destination, vault) = (self.destination.account(), self.vault.account());
        require_vault(vault, asset)?;
        if address_eq(destination.address(), vault.address()) {
            return Err(TradingError::WithdrawToVault.into());
        }
        let user = &self.user;
        let mut seats = SeatsMut::of(&mut self.seats)?;
        let member = user.member_index;

        if !address_eq(self.authority.address(), &user.wallet) {
            if seats.seat(member)?.payout & asset.bit() == 0 {
                user.require_wallet_or_delegate(&self.authority, now()?)?;
            }
            let (own, mint) = match asset {
                Asset::Energy => (&user.energy_token_account, &ENERGY_MINT),
                Asset::Credit => (&user.credit_token_account, &CREDIT_MINT),
            };
            if !address_eq(destination.address(), own) {
                return Err(TradingError::WrongTokenAccount.into());
            }
            if !can_receive(destination, mint, &user.wallet) {
                return Err(TradingError::UnusableTokenAccount.into());
            }
        }

        seats.fetch(member, asset, amount)?;
        log(&Withdrawn { destination: *destination.address(), amount, member, asset: asset.into(), padding: [0; 3] });
        transfer_as_market(vault, destination, self.market.account(), amount)
    }
}
