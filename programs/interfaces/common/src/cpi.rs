//! Calls of one campus program into another, on fixed arrays: Anchor's generated path costs some 6,000 compute units more.

use anchor_lang::{
    pinocchio::{
        cpi::{invoke_signed_unchecked, CpiAccount, Signer},
        instruction::{InstructionAccount, InstructionView},
    },
    AccountView, Address,
};

/// An account that a call passes on, by what the called program may do with it.
#[derive(Clone, Copy)]
pub enum Passed<'a> {
    /// Signs, with the seeds of the call; it is not written.
    Signer(&'a AccountView),
    /// Is read.
    Readonly(&'a AccountView),
    /// Is written.
    Writable(&'a AccountView),
}

impl<'a> Passed<'a> {
    /// As the instruction names it.
    #[inline(always)]
    fn named(self) -> InstructionAccount<'a> {
        match self {
            Self::Signer(view) => InstructionAccount::readonly_signer(view.address()),
            Self::Readonly(view) => InstructionAccount::readonly(view.address()),
            Self::Writable(view) => InstructionAccount::writable(view.address()),
        }
    }

    /// As the runtime takes it.
    #[inline(always)]
    fn view(self) -> CpiAccount<'a> {
        match self {
            Self::Signer(view) | Self::Readonly(view) | Self::Writable(view) => CpiAccount::from(view),
        }
    }

    /// Whether the caller holds a reference into what the called program may write.
    #[inline(always)]
    fn is_in_use(self) -> bool {
        matches!(self, Self::Writable(view) if view.is_borrowed())
    }
}

/// Call `program` with these accounts, in the instruction's order, and this data; `signer` holds the seeds of the one that signs. A refusal
/// ends the transaction.
///
/// # Panics
/// Where an account that the call may write is being read or written by the caller: a bug of the calling program.
#[inline(always)]
pub fn call<const N: usize>(program: &Address, accounts: [Passed; N], data: &[u8], signer: Signer) {
    assert!(!accounts.iter().any(|account| account.is_in_use()));
    let named = accounts.map(Passed::named);
    let views = accounts.map(Passed::view);
    let instruction = InstructionView { program_id: program, accounts: &named, data };
    // SAFETY: no reference is held into the data of an account that the call may write.
    unsafe { invoke_signed_unchecked(&instruction, &views, &[signer]) };
}
