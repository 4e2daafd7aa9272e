//! Name, renew or remove a delegate.
//!
//! The registry records who it is and until when, and the market and retire_energy heed that. So that tokens can move into escrow or be
//! burnt, the market's address is approved at SPL Token for as much as the member says, and no more. The delegate itself is not: it could
//! send the tokens anywhere, also past its term.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        log, now,
        units::{MicroCredits, UnixTime, WattHours},
        CheckedMut, Foreign, Signatory, TOKEN_PROGRAM,
    },
    pinocchio_token::instructions::{Approve, Revoke},
    registry_interface::{events::DelegateChanged, OwnWallet, RegistryError, User},
    trading_interface::MARKET,
};

/// A delegation's longest term: 366 days.
const LONGEST_TERM: i64 = 366 * 86_400;

/// A delegation.
pub struct Delegation {
    /// When it ends.
    pub until: UnixTime,
    /// Energy (Wh) that the delegate may have moved.
    pub energy_allowance: u64,
    /// Credits (micro-credits) that the delegate may have moved.
    pub credit_allowance: u64,
}

/// Accounts of set_delegate.
#[derive(Accounts)]
pub struct SetDelegate {
    /// The member's wallet.
    pub wallet: Signatory<OwnWallet>,
    /// The member's User.
    #[account(unsafe(dup))]
    pub user: CheckedMut<User>,
    /// The delegate; the system program's address (all zero) removes it.
    pub delegate: Foreign,
    /// The market, at [market] of the trading program: approved at SPL Token for the allowances.
    #[account(address = MARKET @ RegistryError::WrongMarket)]
    pub market: Foreign,
    /// The member's energy token account.
    #[account(unsafe(dup))]
    pub energy_token_account: Foreign,
    /// The member's credit token account.
    #[account(unsafe(dup))]
    pub credit_token_account: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ RegistryError::WrongProgram)]
    pub token_program: Foreign,
}

impl SetDelegate {
    pub(crate) fn execute(&mut self, delegation: Delegation) -> Result<()> {
        let user = &mut self.user;
        let wallet = self.wallet.account();
        if !address_eq(wallet.address(), &user.wallet) {
            return Err(RegistryError::NotWallet.into());
        }
        let (energy, credit) = (self.energy_token_account.account(), self.credit_token_account.account());
        if !address_eq(energy.address(), &user.energy_token_account) || !address_eq(credit.address(), &user.credit_token_account)
        {
            return Err(RegistryError::WrongTokenAccount.into());
        }
        let delegate = self.delegate.account();
        let (mut energy_allowance, mut credit_allowance) = (0, 0);
        if *delegate.address() == Address::default() {
            // A suspended member's, too.
            user.delegate_until = UnixTime(0);
            Revoke::new(energy, wallet).invoke()?;
            Revoke::new(credit, wallet).invoke()?;
        } else {
            user.require_active()?;
            let now = now()?;
            if delegation.until <= now
                || delegation.until.0 - now.0 > LONGEST_TERM
                || address_eq(delegate.address(), &user.wallet)
            {
                return Err(RegistryError::DelegationTermOutOfBounds.into());
            }
            user.delegate_until = delegation.until;
            (energy_allowance, credit_allowance) = (delegation.energy_allowance, delegation.credit_allowance);
            Approve::new(energy, self.market.account(), wallet, energy_allowance).invoke()?;
            Approve::new(credit, self.market.account(), wallet, credit_allowance).invoke()?;
        }
        user.delegate = *delegate.address();
        log(&DelegateChanged {
            wallet: user.member,
            delegate: user.delegate,
            until: user.delegate_until,
            energy_allowance: WattHours(energy_allowance),
            credit_allowance: MicroCredits(credit_allowance),
        });
        Ok(())
    }
}
