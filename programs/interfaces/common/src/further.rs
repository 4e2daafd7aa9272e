//! The accounts that follow those which an instruction declares, read in place.
//!
//! Anchor's `Context::remaining_accounts` collects them on the heap, twice, and compares each with the declared ones: some 50 compute units an
//! account. Here one costs a dozen.

use {
    anchor_lang::{
        pinocchio::account::{RuntimeAccount, MAX_PERMITTED_DATA_INCREASE, NOT_BORROWED},
        AccountView, Error, Result,
    },
    core::mem::size_of,
};

/// What stands in an instruction's next place.
pub enum Next {
    /// An account that has not come before.
    Account(AccountView),
    /// The account of an earlier place, counted from 0 over all of the instruction's accounts.
    Again(usize),
}

/// The accounts of an instruction that are still to come.
pub struct Further {
    at: *mut u8,
    left: usize,
}

impl Further {
    /// Those behind the declared ones, of which there are `declared`. Refuses where the last declared one is the first or one of `others` too, so
    /// that its own place does not show.
    ///
    /// # Safety
    /// `first` and `last` are the running instruction's first account and its last declared one, and a declared account between them that may
    /// be the same as the last is one of `others`.
    #[inline(always)]
    pub unsafe fn after<const N: usize>(
        first: &AccountView,
        others: [&AccountView; N],
        last: &AccountView,
        declared: usize,
        refusal: impl Into<Error>,
    ) -> Result<Self> {
        let place = last.account_ptr();
        if place == first.account_ptr() || others.iter().any(|other| other.account_ptr() == place) {
            return Err(refusal.into());
        }
        // The runtime writes the number of accounts, then each: the first is never a repetition.
        let count = *(first.account_ptr() as *const u64).sub(1) as usize;
        Ok(Self { at: end(place as *mut RuntimeAccount), left: count - declared })
    }

    /// How many there still are.
    #[inline(always)]
    pub fn left(&self) -> usize {
        self.left
    }

    /// The next one.
    #[inline(always)]
    pub fn next(&mut self) -> Option<Next> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let account = self.at as *mut RuntimeAccount;
        // SAFETY: there is another, and the runtime wrote it: a whole account, whose borrow state nobody has changed yet, or eight bytes, of
        // which the first is the place of the account that it repeats.
        unsafe {
            let state = (*account).borrow_state;
            if state != NOT_BORROWED {
                self.at = self.at.add(size_of::<u64>());
                return Some(Next::Again(state as usize));
            }
            self.at = end(account);
            Some(Next::Account(AccountView::new_unchecked(account)))
        }
    }
}

/// Where the place behind an account begins: behind its head, its data with room to grow, up to a multiple of eight, and its rent epoch.
///
/// # Safety
/// The runtime wrote `account`, and nobody has resized it.
#[inline(always)]
unsafe fn end(account: *mut RuntimeAccount) -> *mut u8 {
    let data = ((*account).data_len as usize + 7) & !7;
    (account as *mut u8).add(size_of::<RuntimeAccount>() + MAX_PERMITTED_DATA_INCREASE + size_of::<u64>() + data)
}

#[cfg(test)]
mod tests {
    use {super::*, anchor_lang::Address, core::result::Result};

    const REFUSAL: Error = Error::Custom(9);

    /// An instruction's accounts as the runtime writes them: the bytes of data of each, or the place that it repeats.
    fn input(accounts: &[Result<usize, u8>]) -> Vec<u64> {
        let mut words = vec![accounts.len() as u64];
        for (n, account) in accounts.iter().enumerate() {
            match account {
                Ok(data_len) => {
                    let mut head = [0u64; size_of::<RuntimeAccount>() / 8];
                    head[0] = NOT_BORROWED as u64;
                    head[1] = n as u64;
                    head[10] = *data_len as u64;
                    words.extend(head);
                    words.extend(std::iter::repeat_n(!0, data_len.div_ceil(8) + MAX_PERMITTED_DATA_INCREASE / 8 + 1));
                }
                Err(place) => words.push(u64::from(*place)),
            }
        }
        words
    }

    /// The account whose head begins at that word.
    fn view(words: &mut [u64], at: usize) -> AccountView {
        // SAFETY: the words outlive the test.
        unsafe { AccountView::new_unchecked(words[at..].as_mut_ptr() as *mut RuntimeAccount) }
    }

    const ACCOUNT: usize = (size_of::<RuntimeAccount>() + MAX_PERMITTED_DATA_INCREASE) / 8 + 1;

    #[test]
    fn each_is_met_in_its_place() {
        let mut words = input(&[Ok(0), Err(0), Ok(13), Ok(8), Err(3), Ok(1), Err(0)]);
        let first = view(&mut words, 1);
        let last = view(&mut words, 1 + ACCOUNT + 1);
        // SAFETY: the input's first three.
        let mut further = unsafe { Further::after(&first, [&first], &last, 3, REFUSAL) }.unwrap();
        let mut met = vec![];
        while let Some(next) = further.next() {
            met.push(match next {
                Next::Account(view) => Ok((view.address().as_array()[0], view.data_len())),
                Next::Again(place) => Err(place),
            });
            assert_eq!(further.left(), 4 - met.len());
        }
        assert_eq!(met, [Ok((3, 8)), Err(3), Ok((5, 1)), Err(0)]);
        assert_eq!(view(&mut words, 1).address(), &Address::default());
    }

    #[test]
    fn a_last_one_that_repeats_another_has_no_place() {
        let mut words = input(&[Ok(0), Ok(0), Err(0), Ok(0)]);
        let (first, second) = (view(&mut words, 1), view(&mut words, 1 + ACCOUNT));
        // SAFETY: the input's first three, of which the last repeats another.
        unsafe {
            assert!(Further::after(&first, [&second], &first, 3, REFUSAL).is_err_and(|error| error == REFUSAL));
            assert!(Further::after(&first, [&second], &second, 3, REFUSAL).is_err_and(|error| error == REFUSAL));
            assert!(Further::after(&first, [&first, &second], &second, 3, REFUSAL).is_err_and(|error| error == REFUSAL));
            assert_eq!(Further::after(&first, [], &second, 2, REFUSAL).unwrap().left(), 2);
        }
    }
}
