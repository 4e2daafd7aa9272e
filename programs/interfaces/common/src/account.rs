//! Checked, zero-copy access to accounts: owner, length (or a greater one: a later release may add to it), discriminator, and
//! who holds a reference to the data.
//!
//! An `AccountView` can be copied, and a client can name one account in two places of an instruction. So that no handler ever holds
//! two references of which one writes, each access is entered in the borrow state that the runtime's account header keeps (Pinocchio's
//! and Anchor's own accessors use the same byte): a reader excludes writers until the instruction ends, a writer excludes everybody until
//! it is dropped. Whoever comes second is refused with the account type's `GIVEN_TWICE`.

use {
    anchor_lang::{
        address_eq, bytemuck::Pod, create_account_with_signers, find_program_address, pinocchio::account::NOT_BORROWED,
        AccountView, Address, AnchorAccount, Discriminator, Error, Owner, Result,
    },
    core::{
        marker::PhantomData,
        mem::{align_of, size_of},
        ops::{Deref, DerefMut},
    },
};

/// Length of an Anchor account's discriminator.
const DISCRIMINATOR: usize = 8;

/// An account type of the campus programs: how it is told from others, and what holds of it.
pub trait CampusAccount: Owner + Discriminator + Pod {
    /// The errors of the program that owns it.
    type Refusal: Into<Error>;
    /// Refusal of an account that is another, or not writable where it must be.
    const NOT_THIS: Self::Refusal;
    /// Refusal of an account that the instruction has in another place already.
    const GIVEN_TWICE: Self::Refusal;
    /// Address of the one account of this type, where there is but one, and the refusal of another address.
    const PLACE: Option<(Address, Self::Refusal)> = None;
    /// That address in base58, for the IDL.
    const PLACE_TEXT: Option<&'static str> = None;

    /// What holds after every instruction that changes the account.
    fn invariant(&self) -> Result<()>;
}

/// An account type behind which elements of one kind follow: the account is a head, then an array.
pub trait CampusArray: CampusAccount {
    /// What follows.
    type Element: Pod;
    /// Refusal of an account that is too short for what its head counts.
    const CUT_SHORT: Self::Refusal;

    /// How many elements the head says follow.
    fn elements(&self) -> usize;
}

/// Bytes of an account of a `T` and so many elements.
pub const fn array_space<T: CampusArray>(elements: usize) -> usize {
    DISCRIMINATOR + size_of::<T>() + elements * size_of::<T::Element>()
}

/// Whether `view` is an account of type `T`: its owner, its length and its discriminator.
#[inline(always)]
pub fn is_account<T: Owner + Discriminator + Pod>(view: &AccountView) -> bool {
    let owner: Address = T::OWNER;
    has_layout::<T>(view) && address_eq(view.owner(), &owner)
}

/// Whether `view` has the length and the discriminator of a `T`.
#[inline(always)]
fn has_layout<T: Discriminator>(view: &AccountView) -> bool {
    if view.data_len() < DISCRIMINATOR + size_of::<T>() {
        return false;
    }
    // SAFETY: the data pointer is valid for `data_len` bytes throughout the instruction, and account data starts on an 8-byte boundary.
    let discriminator = unsafe { *(view.data_ptr() as *const u64) };
    let expected = T::DISCRIMINATOR;
    let expected = u64::from_le_bytes([
        expected[0],
        expected[1],
        expected[2],
        expected[3],
        expected[4],
        expected[5],
        expected[6],
        expected[7],
    ]);
    discriminator == expected
}

/// Refuse another owner, length or discriminator; of a singleton, another address, which says the owner: none but that program makes an account
/// there.
#[inline(always)]
fn check<T: CampusAccount>(view: &AccountView) -> Result<()> {
    let holds = match T::PLACE {
        Some((address, refusal)) => {
            if !address_eq(view.address(), &address) {
                return Err(refusal.into());
            }
            has_layout::<T>(view)
        }
        None => is_account::<T>(view),
    };
    if !holds {
        return Err(T::NOT_THIS.into());
    }
    Ok(())
}

/// The account's data as a `T`.
#[inline(always)]
fn data<T>(view: &AccountView) -> *mut T {
    let mut view = *view;
    // SAFETY: every caller has checked that the account is longer than a discriminator.
    unsafe { view.data_mut_ptr().add(DISCRIMINATOR) as *mut T }
}

/// Enter a reader that stays to the end of the instruction, or refuse.
#[inline(always)]
fn enter_reader<T: CampusAccount>(view: &AccountView) -> Result<()> {
    let header = { *view }.account_mut_ptr();
    // SAFETY: the header is valid for the whole instruction, and no reference to it is handed out. The state counts the readers that may
    // still enter; 0 means a writer, 1 that no more may.
    unsafe {
        let state = (*header).borrow_state;
        if state <= 1 {
            return Err(T::GIVEN_TWICE.into());
        }
        (*header).borrow_state = state - 1;
    }
    Ok(())
}

/// Enter a writer, or refuse.
#[inline(always)]
fn enter_writer<T: CampusAccount>(view: &AccountView) -> Result<()> {
    if !view.is_writable() {
        return Err(T::NOT_THIS.into());
    }
    let header = { *view }.account_mut_ptr();
    // SAFETY: as in `enter_reader`.
    unsafe {
        if (*header).borrow_state != NOT_BORROWED {
            return Err(T::GIVEN_TWICE.into());
        }
        (*header).borrow_state = 0;
    }
    Ok(())
}

/// Read an account of type `T`; refuses where it is another, or is being written.
#[inline(always)]
pub fn borrow<T: CampusAccount>(view: &AccountView) -> Result<&T> {
    check::<T>(view)?;
    enter_reader::<T>(view)?;
    // SAFETY: length and discriminator were checked; `T` is Pod with an alignment of at most 8, which account data has; no writer
    // can enter any more.
    Ok(unsafe { &*data::<T>(view) })
}

/// As [`borrow`], of an account whose address is known to hold a `T`, from an account that was checked: owner and discriminator are not
/// compared again, its length is.
#[inline(always)]
pub fn borrow_known<T: CampusAccount>(view: &AccountView) -> Result<&T> {
    if view.data_len() < DISCRIMINATOR + size_of::<T>() {
        return Err(T::NOT_THIS.into());
    }
    enter_reader::<T>(view)?;
    // SAFETY: the account is long enough, and a Pod of any bytes is sound.
    Ok(unsafe { &*data::<T>(view) })
}

/// As [`borrow`], with the account's bytes, discriminator included; refuses an account that is too short for what its head counts.
#[inline(always)]
pub fn borrow_array<T: CampusArray>(view: &AccountView) -> Result<(&T, &[u8])> {
    let head = borrow::<T>(view)?;
    Ok((head, bytes(head, view)?))
}

/// Write an account of type `T`; refuses where it is another, is not writable, or is being read or written elsewhere.
#[inline(always)]
pub fn borrow_mut<T: CampusAccount>(view: &AccountView) -> Result<Writing<'_, T>> {
    check::<T>(view)?;
    enter_writer::<T>(view)?;
    Ok(Writing::new(view))
}

/// An account that is being written; nobody else has a reference to it meanwhile.
pub struct Writing<'a, T: CampusAccount> {
    view: AccountView,
    account: PhantomData<&'a mut T>,
}

impl<'a, T: CampusAccount> Writing<'a, T> {
    /// Of an account that was checked, and entered as its only writer.
    #[inline(always)]
    fn new(view: &'a AccountView) -> Self {
        Self { view: *view, account: PhantomData }
    }
}

impl<T: CampusAccount> Deref for Writing<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the account was checked, and this is its only writer.
        unsafe { &*data::<T>(&self.view) }
    }
}

impl<T: CampusAccount> DerefMut for Writing<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: likewise, and `self` is borrowed exclusively.
        unsafe { &mut *data::<T>(&self.view) }
    }
}

impl<T: CampusAccount> Drop for Writing<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the header outlives the instruction, and this was the only reference into the account.
        unsafe { (*self.view.account_mut_ptr()).borrow_state = NOT_BORROWED };
    }
}

/// An account that the instruction reads: type, owner and, of a singleton, address are checked before the handler runs.
pub struct Checked<T> {
    view: AccountView,
    account: PhantomData<T>,
}

/// An account that the instruction writes: as [`Checked`], writable, and its `invariant()` is called when the handler is done.
///
/// The field is marked `#[account(unsafe(dup))]`, which is Anchor's word for `mut` without its own refusal of an account given twice; the
/// borrow state refuses it here, with the account type's own error.
pub struct CheckedMut<T> {
    view: AccountView,
    account: PhantomData<T>,
}

impl<T: CampusAccount> AnchorAccount for Checked<T> {
    type Data = T;

    #[inline(always)]
    fn load(view: AccountView) -> Result<Self> {
        check::<T>(&view)?;
        enter_reader::<T>(&view)?;
        Ok(Self { view, account: PhantomData })
    }

    #[inline(always)]
    fn account(&self) -> &AccountView {
        &self.view
    }
}

impl<T: CampusAccount> Deref for Checked<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: `load` checked the account and entered a reader that stays.
        unsafe { &*data::<T>(&self.view) }
    }
}

impl<T: CampusArray> CheckedMut<T> {
    /// The account's bytes, discriminator included; refuses an account that is too short for what its head counts.
    #[inline(always)]
    pub fn bytes(&self) -> Result<&[u8]> {
        bytes::<T>(self, &self.view)
    }

    /// The head and the elements behind it; refuses an account that is too short for what its head counts.
    #[inline(always)]
    pub fn parts(&mut self) -> Result<(&mut T, &mut [T::Element])> {
        const { assert!(align_of::<T::Element>() <= 8 && (DISCRIMINATOR + size_of::<T>()) % align_of::<T::Element>() == 0) };
        let elements = self.elements();
        if self.view.data_len() < array_space::<T>(elements) {
            return Err(T::CUT_SHORT.into());
        }
        let head = data::<T>(&self.view);
        // SAFETY: this is the account's only writer, and `self` is borrowed exclusively; it is long enough for the elements, which are Pod,
        // aligned as asserted, and begin where the head ends.
        unsafe { Ok((&mut *head, core::slice::from_raw_parts_mut(head.add(1) as *mut T::Element, elements))) }
    }
}

/// The bytes of an account that `head`, a reference into it, keeps from being written.
#[inline(always)]
fn bytes<'a, T: CampusArray>(head: &'a T, view: &AccountView) -> Result<&'a [u8]> {
    if view.data_len() < array_space::<T>(head.elements()) {
        return Err(T::CUT_SHORT.into());
    }
    // SAFETY: the data is valid for its length throughout the instruction, and nobody writes it as long as `head` is borrowed.
    Ok(unsafe { core::slice::from_raw_parts(view.data_ptr(), view.data_len()) })
}

impl<T: CampusAccount> AnchorAccount for CheckedMut<T> {
    type Data = T;

    /// Enters the writer, which stays as long as the instruction: so a second `load` of a copied view is refused.
    #[inline(always)]
    fn load(view: AccountView) -> Result<Self> {
        check::<T>(&view)?;
        enter_writer::<T>(&view)?;
        Ok(Self { view, account: PhantomData })
    }

    #[inline(always)]
    unsafe fn load_mut(view: AccountView) -> Result<Self> {
        Self::load(view)
    }

    #[inline(always)]
    fn account(&self) -> &AccountView {
        &self.view
    }

    #[inline(always)]
    fn exit(&mut self) -> Result<()> {
        self.invariant()
    }
}

impl<T: CampusAccount> Deref for CheckedMut<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: `load` checked the account and entered the only writer.
        unsafe { &*data::<T>(&self.view) }
    }
}

impl<T: CampusAccount> DerefMut for CheckedMut<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: likewise, and `self` is borrowed exclusively.
        unsafe { &mut *data::<T>(&self.view) }
    }
}

/// An account of another program, or none's: by its address it is the one that it must be (an `address` constraint, or the handler compares
/// it), and what it holds is for the program that is called with it to check.
pub struct Foreign {
    view: AccountView,
}

impl AnchorAccount for Foreign {
    type Data = AccountView;

    #[inline(always)]
    fn load(view: AccountView) -> Result<Self> {
        Ok(Self { view })
    }

    /// Where it is not writable, the called program says so.
    #[inline(always)]
    unsafe fn load_mut(view: AccountView) -> Result<Self> {
        Self::load(view)
    }

    #[inline(always)]
    fn account(&self) -> &AccountView {
        &self.view
    }
}

impl Deref for Foreign {
    type Target = AccountView;

    #[inline(always)]
    fn deref(&self) -> &AccountView {
        &self.view
    }
}

/// An account that the instruction makes, at an address of the program.
pub struct Fresh<T> {
    view: AccountView,
    account: PhantomData<T>,
}

impl<T> AnchorAccount for Fresh<T> {
    type Data = AccountView;

    #[inline(always)]
    fn load(view: AccountView) -> Result<Self> {
        Ok(Self { view, account: PhantomData })
    }

    /// Whether it is writable is asked once its address is known to be the one to make.
    #[inline(always)]
    unsafe fn load_mut(view: AccountView) -> Result<Self> {
        Self::load(view)
    }

    #[inline(always)]
    fn account(&self) -> &AccountView {
        &self.view
    }
}

impl<T> Deref for Fresh<T> {
    type Target = AccountView;

    #[inline(always)]
    fn deref(&self) -> &AccountView {
        &self.view
    }
}

impl<T: CampusAccount> Fresh<T> {
    /// Make the account; see [`make`].
    #[inline(always)]
    pub fn make(
        &self,
        payer: &AccountView,
        seeds: &[&[u8]],
        refusals: (impl Into<Error>, impl Into<Error>),
    ) -> Result<(Writing<'_, T>, u8)> {
        make(payer, &self.view, seeds, refusals)
    }
}

impl<T: CampusArray> Fresh<T> {
    /// Make the account with room for so many elements; see [`make_array`].
    #[inline(always)]
    pub fn make_array(
        &self,
        payer: &AccountView,
        space: usize,
        seeds: &[&[u8]],
        refusals: (impl Into<Error>, impl Into<Error>),
    ) -> Result<(Writing<'_, T>, u8)> {
        make_array(payer, &self.view, space, seeds, refusals)
    }
}

/// Make an account of type `T` at the canonical address of `seeds`, rent paid by `payer`; the account is zero but for its
/// discriminator. Returns it for writing, with its bump.
///
/// Refuses with the first refusal where `target` lies elsewhere and with the second where the account was made before. Lamports that
/// somebody sent to the address beforehand do not stand in the way.
pub fn make<'a, T: CampusAccount>(
    payer: &AccountView,
    target: &'a AccountView,
    seeds: &[&[u8]],
    refusals: (impl Into<Error>, impl Into<Error>),
) -> Result<(Writing<'a, T>, u8)> {
    make_of(payer, target, DISCRIMINATOR + size_of::<T>(), seeds, refusals)
}

/// As [`make`], of an account of `space` bytes: its head and, as far as they fit a first instruction, its elements.
pub fn make_array<'a, T: CampusArray>(
    payer: &AccountView,
    target: &'a AccountView,
    space: usize,
    seeds: &[&[u8]],
    refusals: (impl Into<Error>, impl Into<Error>),
) -> Result<(Writing<'a, T>, u8)> {
    make_of(payer, target, space.max(array_space::<T>(0)), seeds, refusals)
}

/// [`make`] of any size that holds a `T`.
fn make_of<'a, T: CampusAccount>(
    payer: &AccountView,
    target: &'a AccountView,
    space: usize,
    seeds: &[&[u8]],
    refusals: (impl Into<Error>, impl Into<Error>),
) -> Result<(Writing<'a, T>, u8)> {
    let (wrong_address, exists) = refusals;
    let owner: Address = T::OWNER;
    let (address, bump) = find_program_address(seeds, &owner);
    if !address_eq(&address, target.address()) {
        return Err(wrong_address.into());
    }
    if !target.owned_by(&crate::SYSTEM_PROGRAM) || target.data_len() != 0 {
        return Err(exists.into());
    }
    if !target.is_writable() {
        return Err(T::NOT_THIS.into());
    }
    let bump_seed = [bump];
    let mut signer_seeds: [&[u8]; 4] = [&[]; 4];
    signer_seeds[..seeds.len()].copy_from_slice(seeds);
    signer_seeds[seeds.len()] = &bump_seed;
    create_account_with_signers(payer, target, space, &owner, Some(&signer_seeds[..=seeds.len()]), None)?;
    enter_writer::<T>(target)?;
    // SAFETY: the account was just made with this length, and nobody else has a reference into it.
    unsafe { core::ptr::copy_nonoverlapping(T::DISCRIMINATOR.as_ptr(), { *target }.data_mut_ptr(), DISCRIMINATOR) };
    Ok((Writing::new(target), bump))
}

#[cfg(feature = "idl-build")]
mod idl {
    use super::{CampusAccount, Checked, CheckedMut, Foreign, Fresh};

    impl anchor_lang::IdlAccountType for Foreign {}

    impl<T: CampusAccount> anchor_lang::IdlAccountType for Checked<T> {
        const __IDL_ADDRESS: Option<&'static str> = T::PLACE_TEXT;
    }

    impl<T: CampusAccount> anchor_lang::IdlAccountType for CheckedMut<T> {
        const __IDL_ADDRESS: Option<&'static str> = T::PLACE_TEXT;
    }

    impl<T: CampusAccount> anchor_lang::IdlAccountType for Fresh<T> {
        const __IDL_ADDRESS: Option<&'static str> = T::PLACE_TEXT;
    }
}

#[cfg(test)]
mod tests {
    use {
        super::*,
        anchor_lang::{bytemuck, pinocchio::account::RuntimeAccount},
    };

    const OWNER: Address = Address::new_from_array([7; 32]);

    /// A counter account as the runtime lays it out, with room for two elements.
    #[repr(C, align(8))]
    struct Input {
        header: RuntimeAccount,
        discriminator: [u8; DISCRIMINATOR],
        counter: Counter,
        elements: [u64; 2],
    }

    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    #[bytemuck(crate = "anchor_lang::bytemuck")]
    #[repr(C)]
    struct Counter {
        value: u64,
    }

    impl Owner for Counter {
        const OWNER: Address = OWNER;
    }

    impl Discriminator for Counter {
        const DISCRIMINATOR: &'static [u8] = b"counters";
    }

    #[derive(Debug)]
    struct Code(u32);

    impl From<Code> for Error {
        fn from(code: Code) -> Self {
            Error::Custom(code.0)
        }
    }

    impl CampusAccount for Counter {
        type Refusal = Code;
        const NOT_THIS: Code = Code(1);
        const GIVEN_TWICE: Code = Code(2);

        fn invariant(&self) -> Result<()> {
            Ok(())
        }
    }

    /// It counts its elements.
    impl CampusArray for Counter {
        type Element = u64;
        const CUT_SHORT: Code = Code(3);

        fn elements(&self) -> usize {
            self.value as usize
        }
    }

    /// A counter account, for as long as `test` runs.
    fn with_counter(writable: bool, test: impl FnOnce(AccountView)) {
        let mut input = Input {
            header: RuntimeAccount {
                borrow_state: NOT_BORROWED,
                is_writable: writable as u8,
                owner: OWNER,
                data_len: array_space::<Counter>(2) as u64,
                ..RuntimeAccount::default()
            },
            discriminator: *b"counters",
            counter: Counter { value: 0 },
            elements: [11, 12],
        };
        // SAFETY: the data follows the header, and both outlive the test.
        test(unsafe { AccountView::new_unchecked(&raw mut input as *mut RuntimeAccount) });
    }

    /// What a caller without unsafe code can do.
    #[forbid(unsafe_code)]
    mod callers {
        use super::*;

        fn refused<T>(result: Result<T>, code: u32) {
            assert_eq!(result.err(), Some(Error::Custom(code)));
        }

        #[test]
        fn nobody_holds_two_references_of_which_one_writes() {
            with_counter(true, |view| {
                let copy = view;
                let mut first = borrow_mut::<Counter>(&view).unwrap();
                first.value = 5;
                refused(borrow_mut::<Counter>(&copy), 2);
                refused(borrow::<Counter>(&copy), 2);
                refused(CheckedMut::<Counter>::load(copy), 2);
                refused(Checked::<Counter>::load(copy), 2);
                drop(first);
                assert_eq!(borrow_mut::<Counter>(&copy).unwrap().value, 5);
            });
        }

        #[test]
        fn a_checked_account_is_written_by_one_place_alone() {
            with_counter(true, |view| {
                let mut first = CheckedMut::<Counter>::load(view).unwrap();
                first.value = 6;
                refused(CheckedMut::<Counter>::load(view), 2);
                refused(borrow::<Counter>(&view), 2);
                drop(first);
                refused(borrow_mut::<Counter>(&view), 2);
            });
        }

        #[test]
        fn readers_share_and_exclude_writers_to_the_end() {
            with_counter(true, |view| {
                let (first, second) = (borrow::<Counter>(&view).unwrap(), Checked::<Counter>::load(view).unwrap());
                assert_eq!(first.value, second.value);
                refused(borrow_mut::<Counter>(&view), 2);
                refused(CheckedMut::<Counter>::load(view), 2);
            });
        }

        #[test]
        fn elements_are_as_many_as_the_head_counts_and_the_account_holds() {
            with_counter(true, |view| {
                let mut counter = CheckedMut::<Counter>::load(view).unwrap();
                assert_eq!(counter.parts().unwrap().1, [] as [u64; 0]);
                counter.value = 2;
                let (head, elements) = counter.parts().unwrap();
                assert_eq!((head.value, &*elements), (2, &[11, 12][..]));
                elements[1] = 13;
                head.value = 1;
                assert_eq!(counter.parts().unwrap().1, [11]);
                assert_eq!(counter.bytes().unwrap().len(), array_space::<Counter>(2));
                assert_eq!(counter.bytes().unwrap()[24..], [13, 0, 0, 0, 0, 0, 0, 0]);
                counter.value = 3;
                refused(counter.parts(), 3);
                refused(counter.bytes(), 3);
            });
        }

        #[test]
        fn an_array_that_is_read_is_not_written() {
            with_counter(true, |view| {
                borrow_mut::<Counter>(&view).unwrap().value = 2;
                let (head, bytes) = borrow_array::<Counter>(&view).unwrap();
                assert_eq!((head.value, bytes.len()), (2, array_space::<Counter>(2)));
                refused(borrow_mut::<Counter>(&view), 2);
            });
            with_counter(true, |view| {
                borrow_mut::<Counter>(&view).unwrap().value = 3;
                refused(borrow_array::<Counter>(&view), 3);
            });
        }

        #[test]
        fn the_readers_are_counted_to_their_most() {
            with_counter(true, |view| {
                for _ in 0..254 {
                    borrow::<Counter>(&view).unwrap();
                }
                refused(borrow::<Counter>(&view), 2);
                refused(borrow_mut::<Counter>(&view), 2);
            });
        }

        #[test]
        fn what_is_not_writable_is_only_read() {
            with_counter(false, |view| {
                refused(borrow_mut::<Counter>(&view), 1);
                refused(CheckedMut::<Counter>::load(view), 1);
                assert_eq!(borrow::<Counter>(&view).unwrap().value, 0);
            });
        }
    }

    #[test]
    fn another_account_is_refused() {
        with_counter(true, |mut view| {
            // SAFETY: the account has a discriminator.
            unsafe { *view.data_mut_ptr() ^= 1 };
            assert!(matches!(borrow::<Counter>(&view), Err(Error::Custom(1))));
        });
    }
}
