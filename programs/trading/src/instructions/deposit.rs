//! deposit: tokens come into a member's seat.

use {
    crate::token::{require_vault, transfer_as_market},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, now, Checked, CheckedMut, Foreign, Signatory, TOKEN_PROGRAM},
    pinocchio_token::instructions::Transfer,
    registry_interface::{User, WalletOrDelegate},
    trading_interface::{events::Deposited, Asset, Seats, SeatsMut, TradingError, MARKET},
};

/// Accounts of deposit.
#[derive(Accounts)]
pub struct Deposit {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory<WalletOrDelegate>,
    /// The member's User, at [user, wallet] of the registry.
    pub user: Checked<User>,
    /// The market, at [market]: for a delegate it moves the tokens, which the member has approved at SPL Token.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: Foreign,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// Where the tokens are: an account that the wallet may spend, or, for its delegate, the member's account that its User names.
    #[account(unsafe(dup))]
    pub source: Foreign,
    /// The market's vault of that token, at [energy_vault] or [credit_vault].
    #[account(unsafe(dup))]
    pub vault: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: Foreign,
}

impl Deposit {
    /// Deposit tokens; see [`crate::trading::deposit`].
    pub(crate) fn execute(&mut self, asset: Asset, amount: u64) -> Result<()> {
        if amount == 0 {
            return Err(TradingError::ZeroAmount.into());
        }
        let (source, vault) = (self.source.account(), self.vault.account());
        require_vault(vault, asset)?;
        let user = &self.user;
        let by_wallet = user.require_wallet_or_delegate(&self.authority, now()?)?;
        SeatsMut::of(&mut self.seats)?.bring(user.member_index, asset, amount)?;
        log(&Deposited { amount, member: user.member_index, asset: asset.into(), padding: [0; 3] });
        if by_wallet {
            Transfer::new(source, vault, self.authority.account(), amount).invoke()
        } else {
            let own = match asset {
                Asset::Energy => &user.energy_token_account,
                Asset::Credit => &user.credit_token_account,
            };
            if !address_eq(source.address(), own) {
                return Err(TradingError::WrongTokenAccount.into());
            }
            transfer_as_market(source, vault, self.market.account(), amount)
        }
    }
}
