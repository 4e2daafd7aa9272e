//! Logging fixed-layout events from the stack.

use anchor_lang::{bytemuck::Pod, sol_log_data, Discriminator};

#[repr(C)]
#[derive(Clone, Copy)]
struct Logged<T> {
    discriminator: [u8; 8],
    event: T,
}

/// Log an `#[event(bytemuck)]`: the same bytes as Anchor's `emit!`, without its heap.
#[inline(always)]
pub fn log<T: Pod + Discriminator>(event: &T) {
    const { assert!(core::mem::align_of::<T>() <= 8) };
    let mut logged = Logged { discriminator: [0; 8], event: *event };
    logged.discriminator.copy_from_slice(T::DISCRIMINATOR);
    // SAFETY: eight bytes and a Pod of alignment at most 8: no padding between them, and `T` has none.
    let bytes = unsafe { core::slice::from_raw_parts(&logged as *const Logged<T> as *const u8, 8 + core::mem::size_of::<T>()) };
    sol_log_data(&[bytes]);
}
