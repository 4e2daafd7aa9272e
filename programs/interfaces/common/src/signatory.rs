//! An account that must sign.

use {
    anchor_lang::{AccountView, Address, AnchorAccount, Error, Result},
    core::{marker::PhantomData, ops::Deref},
};

/// In what capacity somebody signs: names the refusal where the signature is missing. Anchor's `Signer` does not say whose is.
pub trait Capacity {
    /// Refusal where the account has not signed.
    fn missing() -> Error;
}

/// An account that must sign: the IDL says so, and it is refused with the capacity's own error where it has not.
pub struct Signatory<C> {
    view: AccountView,
    capacity: PhantomData<C>,
}

impl<C: Capacity> AnchorAccount for Signatory<C> {
    type Data = AccountView;
    const IS_SIGNER: bool = true;

    #[inline(always)]
    fn load(view: AccountView) -> Result<Self> {
        if !view.is_signer() {
            return Err(C::missing());
        }
        Ok(Self { view, capacity: PhantomData })
    }

    #[inline(always)]
    fn account(&self) -> &AccountView {
        &self.view
    }
}

impl<C> Deref for Signatory<C> {
    type Target = AccountView;

    #[inline(always)]
    fn deref(&self) -> &AccountView {
        &self.view
    }
}

impl<C> AsRef<AccountView> for Signatory<C> {
    #[inline(always)]
    fn as_ref(&self) -> &AccountView {
        &self.view
    }
}

impl<C> AsRef<Address> for Signatory<C> {
    #[inline(always)]
    fn as_ref(&self) -> &Address {
        self.view.address()
    }
}

#[cfg(feature = "idl-build")]
impl<C> anchor_lang::IdlAccountType for Signatory<C> {
    const __IDL_IS_SIGNER: bool = true;
}
