//! Reading the Ed25519 precompile's instruction that stands just before the running one.
//!
//! The precompile verifies, before any program runs, what its instruction's table of offsets points at; a program must make sure that
//! those are the bytes it acts upon. Offsets can point into other instructions and at other bytes, several tables can overlap, and a
//! count of zero verifies nothing and succeeds. So one layout alone is accepted:
//!
//! ```text
//! count u8 | zero u8 | count x 14 bytes of offsets | count x (message | public key 32 | signature 64)
//! ```
//!
//! with all three instruction indexes 0xFFFF ("this instruction"). Each deviation is named, so that the caller can refuse it with an
//! error of its own.

use anchor_lang::{address_eq, AccountView, Address};

/// The Ed25519 precompile.
pub const ED25519_PROGRAM: Address = Address::from_str_const("Ed25519SigVerify111111111111111111111111111");

const HEADER: usize = 2;
const OFFSETS: usize = 14;
/// Length of a public key.
pub const KEY: usize = 32;
/// Length of a signature.
pub const SIGNATURE: usize = 64;
/// "This instruction" as an instruction index.
const HERE: u16 = u16::MAX;
/// Most signatures whose table is read: nine frames of 192 bytes would not fit a transaction.
pub const MAX_SIGNATURES: usize = 8;

/// What is wrong with the instruction just before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The running instruction was called by a program, not by the transaction itself.
    ThroughCpi,
    /// There is none.
    Missing,
    /// It is another program's.
    Program,
    /// It verifies nothing.
    NoSignatures,
    /// It verifies another number of signatures.
    Count,
    /// Its length is not that of one table and its frames.
    Length,
    /// A signature is taken from another instruction.
    SignatureIndex,
    /// A public key is taken from another instruction.
    KeyIndex,
    /// A message is taken from another instruction.
    MessageIndex,
    /// A message lies elsewhere than in its frame.
    MessageOffset,
    /// A message has another length.
    MessageSize,
    /// A public key lies elsewhere than in its frame.
    KeyOffset,
    /// A signature lies elsewhere than in its frame.
    SignatureOffset,
}

/// A u16 at any address.
///
/// # Safety
/// Two bytes are readable at `at`.
#[inline(always)]
unsafe fn u16_at(at: *const u8) -> usize {
    u16::from_le_bytes([*at, *at.add(1)]) as usize
}

/// The frames of the Ed25519 instruction just before: `count` times `message_size` bytes of message, key and signature, without gaps.
///
/// `sysvar` must be the Instructions sysvar (the caller compares its address). `running` is the running program: the sysvar says which of the
/// transaction's own instructions runs, and where that is another program's, this one was called by it.
#[inline(always)]
pub fn preceding_frames<'a>(
    sysvar: &'a AccountView,
    running: &Address,
    count: usize,
    message_size: usize,
) -> Result<&'a [u8], Fault> {
    let data = sysvar.data_ptr();
    let length = sysvar.data_len();
    // SAFETY: the runtime writes the sysvar: u16 count of instructions, a u16 offset for each, the instructions (u16 count of
    // accounts, 33 bytes each; program id; u16 length; data), and last the u16 index of the running instruction.
    let (program, data, length) = unsafe {
        let current = u16_at(data.add(length - 2));
        let instruction = data.add(u16_at(data.add(2 + 2 * current)));
        let program = instruction.add(2 + 33 * u16_at(instruction));
        if !address_eq(&*(program as *const Address), running) {
            return Err(Fault::ThroughCpi);
        }
        if current == 0 {
            return Err(Fault::Missing);
        }
        let instruction = data.add(u16_at(data.add(2 * current)));
        let program = instruction.add(2 + 33 * u16_at(instruction));
        let length = u16_at(program.add(32));
        (&*(program as *const Address), program.add(34), length)
    };
    if !address_eq(program, &ED25519_PROGRAM) {
        return Err(Fault::Program);
    }
    if length < HEADER {
        return Err(Fault::Length);
    }
    // SAFETY: `length` bytes of instruction data, at least two.
    let signatures = unsafe { *data } as usize;
    if signatures == 0 {
        return Err(Fault::NoSignatures);
    }
    if signatures != count || count > MAX_SIGNATURES {
        return Err(Fault::Count);
    }
    let frame_size = message_size + KEY + SIGNATURE;
    let table_end = HEADER + OFFSETS * count;
    if length != table_end + frame_size * count {
        return Err(Fault::Length);
    }
    let mut table = [0u16; OFFSETS / 2 * MAX_SIGNATURES];
    // SAFETY: the instruction holds `count` rows, and the table has room for the most there can be.
    unsafe { copy(table.as_mut_ptr() as *mut u8, data.add(HEADER), OFFSETS * count) };
    let mut frame = table_end as u16;
    for row in table[..OFFSETS / 2 * count].chunks_exact(OFFSETS / 2) {
        let key = frame + message_size as u16;
        let signature = key + KEY as u16;
        if row[1] != HERE {
            return Err(Fault::SignatureIndex);
        }
        if row[3] != HERE {
            return Err(Fault::KeyIndex);
        }
        if row[6] != HERE {
            return Err(Fault::MessageIndex);
        }
        if row[4] != frame {
            return Err(Fault::MessageOffset);
        }
        if row[5] != message_size as u16 {
            return Err(Fault::MessageSize);
        }
        if row[2] != key {
            return Err(Fault::KeyOffset);
        }
        if row[0] != signature {
            return Err(Fault::SignatureOffset);
        }
        frame = signature + SIGNATURE as u16;
    }
    // SAFETY: the length was checked above.
    Ok(unsafe { core::slice::from_raw_parts(data.add(table_end), frame_size * count) })
}

/// Copy bytes between addresses of any alignment: on the chain, a syscall of 10 compute units.
///
/// # Safety
/// As `core::ptr::copy_nonoverlapping`.
#[inline(always)]
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    #[cfg(target_os = "solana")]
    anchor_lang::pinocchio::syscalls::sol_memcpy_(to, from, length as u64);
    #[cfg(not(target_os = "solana"))]
    core::ptr::copy_nonoverlapping(from, to, length);
}
