//! Proof that a meter's key is in the hands of whoever registers it: AMK1, signed by the key, verified by the Ed25519 precompile.
//!
//! The instruction just before carries one frame: AMK1 (80 bytes) | public key (32) | signature (64), AMK1 being
//! magic (4) | first sequence u32 | network id (8) | meter id (32) | SHA-256 of the meter map (32), little-endian.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        ed25519::{preceding_frames, Fault, KEY},
        INSTRUCTIONS_SYSVAR,
    },
    registry_interface::RegistryError,
};

const MAGIC: &[u8; 4] = b"AMK1";
const MESSAGE: usize = 80;

/// What the key signs.
pub struct Claim<'a> {
    /// This deployment.
    pub network_id: &'a [u8; 8],
    /// The meter.
    pub meter_id: &'a [u8; 32],
    /// The map under which its agent signs.
    pub map_hash: &'a [u8; 32],
    /// Sequence of the key's first record.
    pub first_sequence: u32,
}

/// The key that signed `claim` in the instruction just before.
pub fn proven_key(sysvar: &AccountView, claim: &Claim) -> Result<[u8; 32]> {
    if !address_eq(sysvar.address(), &INSTRUCTIONS_SYSVAR) {
        return Err(RegistryError::WrongInstructionsSysvar.into());
    }
    let frame = preceding_frames(sysvar, &registry_interface::ID, 1, MESSAGE).map_err(|fault| match fault {
        Fault::ThroughCpi => RegistryError::PossessionThroughCpi,
        Fault::Missing => RegistryError::PossessionMissing,
        Fault::Program => RegistryError::PossessionWrongProgram,
        Fault::NoSignatures | Fault::Count => RegistryError::PossessionCount,
        Fault::SignatureIndex | Fault::KeyIndex | Fault::MessageIndex => RegistryError::PossessionInstructionIndex,
        Fault::Length | Fault::MessageOffset | Fault::MessageSize | Fault::KeyOffset | Fault::SignatureOffset => {
            RegistryError::PossessionLayout
        }
    })?;
    let (message, rest) = frame.split_at(MESSAGE);
    let holds = message[..4] == MAGIC[..]
        && message[4..8] == claim.first_sequence.to_le_bytes()
        && message[8..16] == claim.network_id[..]
        && message[16..48] == claim.meter_id[..]
        && message[48..80] == claim.map_hash[..];
    if !holds {
        return Err(RegistryError::PossessionMessage.into());
    }
    let mut key = [0; KEY];
    key.copy_from_slice(&rest[..KEY]);
    Ok(key)
}
