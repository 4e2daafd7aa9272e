//! Proof that a meter's key is in the hands of whoever registers it: AMK1, signed by the key, verified by the Ed25519 precompile.
//!
//! The instruction just before carries one frame: AMK1 (80 bytes) | public key (32) | signature (64), AMK1 being
//! magic (4) | first sequence u32 | network id (8) | meter id (32) | SHA-256 of the meter map (32), little-endian.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        ed25519::{preceding_frames, Fault, KEY},
        now, CampusAccount, Fresh, INSTRUCTIONS_SYSVAR, VERSION,
    },
    registry_interface::{KeyUse, Registry, RegistryError, KEY_SEED, MAX_FIRST_SEQUENCE},
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

/// What taking a key into use takes.
pub struct Enrolment<'a> {
    /// The operator, who pays the rent of the KeyUse.
    pub operator: &'a AccountView,
    /// The Instructions sysvar.
    pub instructions: &'a AccountView,
    /// The KeyUse to make.
    pub key_use: &'a Fresh<KeyUse>,
}

impl Enrolment<'_> {
    /// Take the key that proves to make `claim` into use, for ever and for this meter alone. The key.
    pub fn take_key(&self, claim: &Claim, registry: &mut Registry) -> Result<[u8; KEY]> {
        if claim.first_sequence == 0 || claim.first_sequence > MAX_FIRST_SEQUENCE {
            return Err(RegistryError::FirstSequenceOutOfBounds.into());
        }
        let key = proven_key(self.instructions, claim)?;
        let (mut key_use, bump) =
            self.key_use.make(self.operator, &[KEY_SEED, &key], (RegistryError::WrongAddress, RegistryError::KeyUsedBefore))?;
        key_use.version = VERSION;
        key_use.bump = bump;
        key_use.meter_id = *claim.meter_id;
        key_use.since = now()?;
        registry.keys += 1;
        key_use.invariant()?;
        Ok(key)
    }
}

/// The key that signed `claim` in the instruction just before.
fn proven_key(sysvar: &AccountView, claim: &Claim) -> Result<[u8; 32]> {
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
