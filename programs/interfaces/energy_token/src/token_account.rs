//! Whether a member's token account can take what is minted or paid to it.

use {
    anchor_lang::{address_eq, prelude::*},
    pinocchio_token::state::Account,
};

/// Whether `account` is a token account of `mint` that is neither closed nor frozen and still belongs to `wallet`. An associated account
/// can be given away (SetAuthority): what went there would be somebody else's.
#[inline(always)]
pub fn can_receive(account: &AccountView, mint: &Address, wallet: &Address) -> bool {
    // SAFETY: nothing writes the account's data while this program looks at it.
    let Ok(account) = (unsafe { Account::from_account_view_unchecked(account) }) else {
        return false;
    };
    account.is_initialized() && !account.is_frozen() && address_eq(account.mint(), mint) && address_eq(account.owner(), wallet)
}
