//! Refusals: the error codes of a program, and their names in the log, where Anchor's clients look for them.
//!
//! The runtime tells a client a code alone. Anchor 1 logs a line with the error's name and message besides, and its clients show that
//! line; Anchor 2 does not. So [`entrypoint!`](crate::entrypoint) logs it where an instruction is refused: `AnchorError occurred. Error Code:
//! NotAuthority. Error Number: 6005. Error Message: The signer is not ...`

/// One code with its name and message, as the IDL has them.
pub type Text = (u32, &'static str, &'static str);

/// A program's refusals.
pub trait Refusals {
    /// Every one of them, packed one behind the other: code (u16), length of the name (u8), length of the message (u8), name, message. A
    /// table of strings would be twice as large, for the loader keeps a note of every pointer.
    const PACKED: &'static [u8];
}

/// Define the refusals of a program, with codes that count from the first; a refusal may name its place instead (`= 10`).
#[macro_export]
macro_rules! refusals {
    (
        $(#[doc = $doc:literal])+
        $name:ident from $first:literal { $($(#[doc = $vdoc:literal])* #[msg($message:literal)] $variant:ident $(= $place:tt)?,)+ }
    ) => {
        $(#[doc = $doc])+
        #[::anchor_lang::error_code(offset = $first)]
        #[derive(Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $vdoc])* #[msg($message)] $variant $(= $place)?,)+
        }

        impl $crate::Refusals for $name {
            const PACKED: &'static [u8] = {
                const TEXTS: &[$crate::Text] = &[$(($first + $name::$variant as u32, stringify!($variant), $message),)+];
                const PACKED: [u8; $crate::packed_size(TEXTS)] = $crate::pack(TEXTS);
                &PACKED
            };
        }
    };
}

/// What texts take when packed, bytes.
pub const fn packed_size(texts: &[Text]) -> usize {
    let (mut size, mut at) = (0, 0);
    while at < texts.len() {
        size += HEAD + texts[at].1.len() + texts[at].2.len();
        at += 1;
    }
    size
}

/// Pack texts, when the program is compiled; it does not compile where a code or a length does not fit.
pub const fn pack<const SIZE: usize>(texts: &[Text]) -> [u8; SIZE] {
    let mut packed = [0; SIZE];
    let (mut size, mut at) = (0, 0);
    while at < texts.len() {
        let (code, name, message) = texts[at];
        assert!(code >> 16 == 0 && name.len() < 256 && message.len() < 256);
        let head = [code as u8, (code >> 8) as u8, name.len() as u8, message.len() as u8];
        let mut place = 0;
        while place < HEAD + name.len() + message.len() {
            packed[size + place] = if place < HEAD {
                head[place]
            } else if place < HEAD + name.len() {
                name.as_bytes()[place - HEAD]
            } else {
                message.as_bytes()[place - HEAD - name.len()]
            };
            place += 1;
        }
        size += place;
        at += 1;
    }
    packed
}

/// The name and message of a code, in one program's refusals.
fn find(packed: &[u8], code: u64) -> Option<(&[u8], &[u8])> {
    let mut rest = packed;
    while let Some((&[low, high, name, message], texts)) = rest.split_first_chunk::<HEAD>() {
        let (name, texts) = texts.split_at_checked(name as usize)?;
        let (message, others) = texts.split_at_checked(message as usize)?;
        if code == u64::from(u16::from_le_bytes([low, high])) {
            return Some((name, message));
        }
        rest = others;
    }
    None
}

const HEAD: usize = 4;

/// The entry point of a program: Anchor's dispatch, and the name of what it refuses in the log. `refusals` are all that the program may
/// return: its own, and those of the accounts that it loads.
#[macro_export]
macro_rules! entrypoint {
    ($($refusals:ty),+ $(,)?) => {
        ::anchor_lang::pinocchio::default_allocator!();
        ::anchor_lang::pinocchio::default_panic_handler!();

        /// What the loader calls.
        ///
        /// # Safety
        /// `input` and `data` are the loader's: the serialized accounts, and the instruction's data.
        #[cfg(target_os = "solana")]
        #[no_mangle]
        pub unsafe extern "C" fn entrypoint(input: *mut u8, data: *const u8) -> u64 {
            // SAFETY: passed on as they came.
            let result = unsafe { __anchor_dispatch(input, data) };
            if result != 0 {
                $crate::tell(result, &[$(<$refusals as $crate::Refusals>::PACKED),+]);
            }
            result
        }
    };
}

/// Log the name of a refusal that is among those; others (the runtime's own) have their names without us.
#[cold]
#[inline(never)]
pub fn tell(result: u64, refusals: &[&[u8]]) {
    let Some((name, message)) = refusals.iter().find_map(|packed| find(packed, result)) else {
        return;
    };
    let mut line = Line { bytes: [0; LINE], used: 0 };
    line.put(b"AnchorError occurred. Error Code: ");
    line.put(name);
    line.put(b". Error Number: ");
    line.put(&digits(result));
    line.put(b". Error Message: ");
    line.put(message.strip_suffix(b".").unwrap_or(message));
    line.put(b".");
    line.log();
}

const LINE: usize = 512;

struct Line {
    bytes: [u8; LINE],
    used: usize,
}

impl Line {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.used..self.used + bytes.len()) {
            place.copy_from_slice(bytes);
            self.used += bytes.len();
        }
    }

    fn log(&self) {
        let written = &self.bytes[..self.used];
        #[cfg(target_os = "solana")]
        // SAFETY: the syscall reads so many bytes and keeps nothing.
        unsafe {
            anchor_lang::pinocchio::syscalls::sol_log_(written.as_ptr(), written.len() as u64)
        };
        #[cfg(not(target_os = "solana"))]
        core::hint::black_box(written);
    }
}

/// A code of four digits, as all of ours are.
fn digits(code: u64) -> [u8; 4] {
    [1000, 100, 10, 1].map(|unit| b'0' + (code / unit % 10) as u8)
}

#[cfg(test)]
mod tests {
    use super::{find, pack, packed_size, Text};

    const TEXTS: &[Text] = &[(6000, "First", "It is the first."), (6007, "Other", "")];
    const PACKED: [u8; packed_size(TEXTS)] = pack(TEXTS);

    #[test]
    fn a_code_leads_to_its_texts_and_no_other_does() {
        for &(code, name, message) in TEXTS {
            assert_eq!(find(&PACKED, code.into()), Some((name.as_bytes(), message.as_bytes())));
        }
        for code in [0, 5999, 6001, 6008, 6000 + (1 << 16), u64::MAX] {
            assert_eq!(find(&PACKED, code), None);
        }
        assert_eq!(find(&PACKED[..PACKED.len() - 1], 6007), None);
    }
}
