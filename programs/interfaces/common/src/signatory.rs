//! An account that must sign.

use {
    anchor_lang::{AccountView, Address, AnchorAccount, Result},
    core::ops::Deref,
};

/// An account that must sign: the IDL says so, and the handler refuses where it has not, with an error of its own. Anchor's `Signer`
/// refuses with an error that does not say whose signature is missing.
pub struct Signatory {
    view: AccountView,
}

impl AnchorAccount for Signatory {
    type Data = AccountView;
    const IS_SIGNER: bool = true;

    #[inline(always)]
    fn load(view: AccountView) -> Result<Self> {
        Ok(Self { view })
    }

    #[inline(always)]
    fn account(&self) -> &AccountView {
        &self.view
    }
}

impl Deref for Signatory {
    type Target = AccountView;

    #[inline(always)]
    fn deref(&self) -> &AccountView {
        &self.view
    }
}

impl AsRef<AccountView> for Signatory {
    #[inline(always)]
    fn as_ref(&self) -> &AccountView {
        &self.view
    }
}

impl AsRef<Address> for Signatory {
    #[inline(always)]
    fn as_ref(&self) -> &Address {
        self.view.address()
    }
}

#[cfg(feature = "idl-build")]
impl anchor_lang::IdlAccountType for Signatory {
    const __IDL_IS_SIGNER: bool = true;
}
