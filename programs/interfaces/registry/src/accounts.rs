//! The registry's accounts.

use {
    crate::{
        InstallationKind, MeterRole, RegistryError, Source, Status, StoredInstallationKind, StoredMeterRole, StoredSource,
        StoredStatus, StoredUserRole, UserRole,
    },
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        units::{Epoch, UnixTime, WattHours, Watts},
        CampusAccount, Capacity, Signatory, VERSION,
    },
};

/// Seed of the Registry's address.
pub const REGISTRY_SEED: &[u8] = b"registry";
/// Address of the one Registry.
pub const REGISTRY_ADDRESS: Address = Address::derive_address_const(&[REGISTRY_SEED], Some(REGISTRY_BUMP), &crate::ID);
/// Bump of that address.
pub const REGISTRY_BUMP: u8 = 255;
/// Seed of a KeyUse, before the public key.
pub const KEY_SEED: &[u8] = b"key";
/// Seed of a User, before the wallet that the member registered with; and of a WalletUse, before the wallet.
pub const USER_SEED: &[u8] = b"user";
/// Seed of an Installation, before its number (u32, little-endian).
pub const INSTALLATION_SEED: &[u8] = b"installation";
/// Seed of a Meter, before its meter id.
pub const METER_SEED: &[u8] = b"meter";

/// Greatest number of settling meters of one user: with their states they fit a transaction's 64 accounts.
pub const MAX_SETTLING_METERS: u32 = 24;
/// Greatest nameplate of an installation: 100 MW. The oracle's step bounds count on it.
pub const MAX_NAMEPLATE_W: u32 = 100_000_000;

/// Greatest first sequence of a key: what follows it outlasts any meter.
pub const MAX_FIRST_SEQUENCE: u32 = u32::MAX / 2;
/// Epochs between the proposal of a member's other wallet and its taking over: a day of 15-minute epochs.
pub const WALLET_DELAY_EPOCHS: u32 = 96;

/// Signs as the member itself, with its wallet.
pub struct OwnWallet;

impl Capacity for OwnWallet {
    #[inline(always)]
    fn missing() -> Error {
        RegistryError::NotWallet.into()
    }
}

/// Signs as the member: its wallet, or its delegate.
pub struct WalletOrDelegate;

impl Capacity for WalletOrDelegate {
    #[inline(always)]
    fn missing() -> Error {
        RegistryError::MemberMustSign.into()
    }
}

/// Counters of the registry, one account at `[registry]`.
#[account]
pub struct Registry {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// Zero.
    pub padding: [u8; 2],
    /// Users registered so far: the next member index.
    pub users: u32,
    /// Installations registered so far.
    pub installations: u32,
    /// Meters registered so far.
    pub meters: u32,
    /// Keys used so far.
    pub keys: u32,
    /// Zero.
    pub padding_2: [u8; 4],
    /// Zero; for later versions.
    pub reserved: [u8; 64],
}

/// A meter key that has been used: it can never be registered again. At `[key, public key]`.
#[account]
pub struct KeyUse {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// Zero.
    pub padding: [u8; 6],
    /// The meter that uses or used it.
    pub meter_id: [u8; 32],
    /// When it was registered.
    pub since: UnixTime,
    /// Zero; for later versions.
    pub reserved: [u8; 16],
}

/// A wallet that a member moved to, at `[user, wallet]`: nobody registers with it any more, and it leads to the member.
#[account]
pub struct WalletUse {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// Zero.
    pub padding: [u8; 2],
    /// The member's number.
    pub member_index: u32,
    /// The member: the wallet that it registered with.
    pub member: Address,
    /// Zero; for later versions.
    pub reserved: [u8; 16],
}

/// A member of the market, at `[user, member]`.
#[account]
pub struct User {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// UserRole: 0 consumer, 1 prosumer, 2 institution.
    pub role: StoredUserRole,
    /// Status: 1 active, 2 suspended, 3 closed.
    pub status: StoredStatus,
    /// Number of this member, from 0, in the order of registration; orders carry it.
    pub member_index: u32,
    /// The wallet that this user signs with now, or that the authority keeps for it.
    pub wallet: Address,
    /// Associated token account for energy tokens.
    pub energy_token_account: Address,
    /// Associated token account for campus credits.
    pub credit_token_account: Address,
    /// Who may place, cancel and retire for this user until `delegate_until`; all zero where there is none.
    pub delegate: Address,
    /// When the delegate's power ends.
    pub delegate_until: UnixTime,
    /// Slots of this user's settling meters: bit n stands for the meter whose `slot` is n. Settlement needs them all.
    pub settling_meters: u32,
    /// Active building meters.
    pub building_meters: u8,
    /// Active generation meters.
    pub generation_meters: u8,
    /// Active storage meters.
    pub storage_meters: u8,
    /// Active load meters.
    pub load_meters: u8,
    /// Active grid meters.
    pub grid_meters: u8,
    /// Meters (of the above) that have a renewable source: without one nothing is minted.
    pub source_meters: u8,
    /// Active submeters.
    pub submeters: u16,
    /// Epoch from which `next_wallet` may take over; 0 where none is proposed.
    pub next_wallet_from: Epoch,
    /// The member's name for ever: the wallet that it registered with. Addresses, meters and the EnergyAccount go by it.
    pub member: Address,
    /// The wallet that is proposed next; all zero where there is none.
    pub next_wallet: Address,
    /// Zero; for later versions.
    pub reserved: [u8; 32],
}

/// What stands somewhere on the campus, at `[installation, n]`. Readings are cross-checked with it.
#[account]
pub struct Installation {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// InstallationKind: 0 load, 1 solar, 2 wind, 3 hydro, 4 other renewable, 5 storage, 6 grid, 7 mixed.
    pub kind: StoredInstallationKind,
    /// Zero.
    pub padding: [u8; 1],
    /// Number of the installation.
    pub n: u32,
    /// Name of the building, UTF-8, zero-padded.
    pub building: [u8; 32],
    /// Since when it is in operation.
    pub since: UnixTime,
    /// Usable storage in Wh; 0 without storage.
    pub storage: WattHours,
    /// Greatest power through any one of its meters, W.
    pub nameplate: Watts,
    /// Meters registered here.
    pub meters: u32,
    /// Storage from `staged_from` on.
    pub staged_storage: WattHours,
    /// Nameplate from `staged_from` on.
    pub staged_nameplate: Watts,
    /// Epoch from which the staged storage and nameplate hold; 0 where nothing is staged.
    pub staged_from: Epoch,
    /// Zero; for later versions.
    pub reserved: [u8; 16],
}

/// An AMI meter, at `[meter, meter_id]`, meter_id = SHA-256(16-byte secret salt, serial).
#[account]
pub struct Meter {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// MeterRole: 0 building, 1 generation, 2 storage, 3 load, 4 grid, 5 submeter.
    pub role: StoredMeterRole,
    /// Source: 0 none, 1 solar, 2 wind, 3 hydro, 4 other renewable.
    pub source: StoredSource,
    /// Status: 1 active, 2 suspended, 3 closed.
    pub status: StoredStatus,
    /// Bit of this meter in its user's `settling_meters`; 255 where it does not settle.
    pub slot: u8,
    /// +1 at each change of key, user, map or status; the next settlement is then a baseline and credits nothing.
    pub generation: u16,
    /// Which meter it is.
    pub meter_id: [u8; 32],
    /// Its Ed25519 key.
    pub key: [u8; 32],
    /// The member whose meter it is (`member` of its User: the wallet that it registered with).
    pub user: Address,
    /// SHA-256 of the approved meter map, under which alone the agent signs.
    pub map_hash: [u8; 32],
    /// Sequence of the key's first record.
    pub first_sequence: u32,
    /// Number of its installation.
    pub installation: u32,
    /// Usable storage of the installation in Wh.
    pub storage: WattHours,
    /// Nameplate power of the installation in W.
    pub nameplate: Watts,
    /// Keys that the meter has had, this one included: each numbers its own records.
    pub keys: u32,
    /// When it was registered.
    pub since: UnixTime,
    /// Storage from `staged_from` on.
    pub staged_storage: WattHours,
    /// Nameplate from `staged_from` on.
    pub staged_nameplate: Watts,
    /// Epoch from which the staged storage and nameplate hold; 0 where nothing is staged.
    pub staged_from: Epoch,
    /// `generation` with which it came to its user after a long silence: what was settled under an earlier one was another's.
    pub user_since: u16,
    /// Zero.
    pub padding: [u8; 6],
    /// Zero; for later versions.
    pub reserved: [u8; 32],
}

impl CampusAccount for Registry {
    type Refusal = RegistryError;
    const NOT_THIS: RegistryError = RegistryError::RegistryNotInitialized;
    const GIVEN_TWICE: RegistryError = RegistryError::GivenTwice;
    const PLACE: Option<(Address, RegistryError)> = Some((REGISTRY_ADDRESS, RegistryError::WrongRegistry));
    const PLACE_TEXT: Option<&'static str> = Some("7UrxvDzeV221EvDFDKdyVNE3nNv3uRpFFWm9KcbKjXtg");

    fn invariant(&self) -> Result<()> {
        // Each meter used at least one key.
        if self.version != VERSION || self.bump != REGISTRY_BUMP || self.keys < self.meters {
            return Err(RegistryError::RegistryInvariant.into());
        }
        Ok(())
    }
}

impl CampusAccount for KeyUse {
    type Refusal = RegistryError;
    const NOT_THIS: RegistryError = RegistryError::WrongAddress;
    const GIVEN_TWICE: RegistryError = RegistryError::GivenTwice;

    /// Holds from birth; a KeyUse never changes.
    fn invariant(&self) -> Result<()> {
        if self.version != VERSION || self.meter_id == [0; 32] {
            return Err(RegistryError::KeyUseInvariant.into());
        }
        Ok(())
    }
}

impl CampusAccount for WalletUse {
    type Refusal = RegistryError;
    const NOT_THIS: RegistryError = RegistryError::WrongAddress;
    const GIVEN_TWICE: RegistryError = RegistryError::GivenTwice;

    /// Holds from birth; a WalletUse never changes.
    fn invariant(&self) -> Result<()> {
        if self.version != VERSION || self.member == Address::default() {
            return Err(RegistryError::UserInvariant.into());
        }
        Ok(())
    }
}

impl User {
    /// Whether the user takes part.
    #[inline(always)]
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// Refuse where the user takes no part in the market.
    #[inline(always)]
    pub fn require_active(&self) -> Result<()> {
        if !self.is_active() {
            return Err(RegistryError::UserNotActive.into());
        }
        Ok(())
    }

    /// Refuse where the user is closed. A suspended one's energy is still settled and minted: suspension ends its part in the market, not
    /// what its meters measured.
    #[inline(always)]
    pub fn require_not_closed(&self) -> Result<()> {
        if self.status == Status::Closed {
            return Err(RegistryError::StatusClosed.into());
        }
        Ok(())
    }

    /// Refuse a signer that is neither the wallet nor its delegate within its term. Whether it is the wallet.
    #[inline(always)]
    pub fn require_wallet_or_delegate(&self, signer: &Signatory<WalletOrDelegate>, now: UnixTime) -> Result<bool> {
        if address_eq(signer.address(), &self.wallet) {
            return Ok(true);
        }
        if self.delegate == Address::default() || !address_eq(signer.address(), &self.delegate) {
            return Err(RegistryError::NotWalletOrDelegate.into());
        }
        if now >= self.delegate_until {
            return Err(RegistryError::DelegationExpired.into());
        }
        Ok(false)
    }

    /// Whether the settling meters form a set that settles: one building meter alone, or generation and storage meters with either
    /// load meters or one grid meter.
    pub fn is_settleable(&self) -> bool {
        let parts =
            self.generation_meters as u32 + self.storage_meters as u32 + self.load_meters as u32 + self.grid_meters as u32;
        match self.building_meters {
            1 => parts == 0,
            0 => (self.load_meters > 0 && self.grid_meters == 0) || (self.load_meters == 0 && self.grid_meters == 1),
            _ => false,
        }
    }

    /// The count of meters of that role.
    fn count(&mut self, role: MeterRole) -> Option<&mut u8> {
        match role {
            MeterRole::Building => Some(&mut self.building_meters),
            MeterRole::Generation => Some(&mut self.generation_meters),
            MeterRole::Storage => Some(&mut self.storage_meters),
            MeterRole::Load => Some(&mut self.load_meters),
            MeterRole::Grid => Some(&mut self.grid_meters),
            MeterRole::Submeter => None,
        }
    }

    /// Count a meter that becomes active; returns its slot.
    pub fn add_meter(&mut self, role: MeterRole, source: Source) -> Result<u8> {
        let Some(count) = self.count(role) else {
            self.submeters = self.submeters.checked_add(1).ok_or(RegistryError::TooManyMeters)?;
            return Ok(Meter::NO_SLOT);
        };
        *count += 1;
        if source != Source::None {
            self.source_meters += 1;
        }
        let slot = self.settling_meters.trailing_ones();
        if slot >= MAX_SETTLING_METERS {
            return Err(RegistryError::TooManyMeters.into());
        }
        self.settling_meters |= 1 << slot;
        Ok(slot as u8)
    }

    /// Take a meter that was active out of the count.
    pub fn remove_meter(&mut self, role: MeterRole, source: Source, slot: u8) -> Result<()> {
        let Some(count) = self.count(role) else {
            self.submeters = self.submeters.checked_sub(1).ok_or(RegistryError::UserInvariant)?;
            return Ok(());
        };
        *count = count.checked_sub(1).ok_or(RegistryError::UserInvariant)?;
        if source != Source::None {
            self.source_meters = self.source_meters.checked_sub(1).ok_or(RegistryError::UserInvariant)?;
        }
        if slot as u32 >= MAX_SETTLING_METERS || self.settling_meters & (1 << slot) == 0 {
            return Err(RegistryError::UserInvariant.into());
        }
        self.settling_meters &= !(1 << slot);
        Ok(())
    }
}

impl CampusAccount for User {
    type Refusal = RegistryError;
    const NOT_THIS: RegistryError = RegistryError::NotAUser;
    const GIVEN_TWICE: RegistryError = RegistryError::GivenTwice;

    fn invariant(&self) -> Result<()> {
        if self.version != VERSION || self.role.get().is_none() || self.status.get().is_none() {
            return Err(RegistryError::UserInvariant.into());
        }
        if self.member == Address::default() || (self.next_wallet_from.0 == 0) != (self.next_wallet == Address::default()) {
            return Err(RegistryError::UserInvariant.into());
        }
        let settling = self.building_meters as u32
            + self.generation_meters as u32
            + self.storage_meters as u32
            + self.load_meters as u32
            + self.grid_meters as u32;
        if self.settling_meters.count_ones() != settling || settling > MAX_SETTLING_METERS {
            return Err(RegistryError::UserInvariant.into());
        }
        if self.building_meters > 1 || (self.building_meters == 1 && settling > 1) {
            return Err(RegistryError::BuildingMeterStandsAlone.into());
        }
        if self.grid_meters > 1 || (self.grid_meters == 1 && self.load_meters > 0) {
            return Err(RegistryError::LoadOrGridMeters.into());
        }
        if self.role == UserRole::Consumer && self.source_meters > 0 {
            return Err(RegistryError::ConsumerCannotGenerate.into());
        }
        Ok(())
    }
}

impl Installation {
    /// Take over what was staged and holds in that epoch.
    pub fn take_over(&mut self, epoch: Epoch) {
        if self.staged_from.0 != 0 && epoch >= self.staged_from {
            (self.nameplate, self.storage) = (self.staged_nameplate, self.staged_storage);
            (self.staged_nameplate, self.staged_storage, self.staged_from) = (Watts(0), WattHours(0), Epoch(0));
        }
    }

    /// Refuse a nameplate or a storage that this kind of installation cannot have.
    fn check_size(&self, nameplate: Watts, storage: WattHours) -> Result<()> {
        if nameplate.0 == 0 || nameplate.0 > MAX_NAMEPLATE_W {
            return Err(RegistryError::NameplateOutOfBounds.into());
        }
        let stores = self.kind == InstallationKind::Storage || self.kind == InstallationKind::Mixed;
        if storage.0 > u32::MAX as u64 || (storage.0 > 0 && !stores) {
            return Err(RegistryError::StorageOutOfBounds.into());
        }
        Ok(())
    }
}

impl CampusAccount for Installation {
    type Refusal = RegistryError;
    const NOT_THIS: RegistryError = RegistryError::NotAnInstallation;
    const GIVEN_TWICE: RegistryError = RegistryError::GivenTwice;

    fn invariant(&self) -> Result<()> {
        if self.version != VERSION || self.kind.get().is_none() {
            return Err(RegistryError::UnknownInstallationKind.into());
        }
        self.check_size(self.nameplate, self.storage)?;
        if self.staged_from.0 != 0 {
            self.check_size(self.staged_nameplate, self.staged_storage)?;
        }
        Ok(())
    }
}

impl Meter {
    /// Whether the meter takes part.
    #[inline(always)]
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// Take over the installation's nameplate and storage, those staged included.
    pub fn follow(&mut self, installation: &Installation) {
        (self.nameplate, self.storage) = (installation.nameplate, installation.storage);
        (self.staged_nameplate, self.staged_storage) = (installation.staged_nameplate, installation.staged_storage);
        self.staged_from = installation.staged_from;
    }

    /// Nameplate and storage that bound a step from one epoch to another: where others take effect between the two, the greater ones.
    #[inline(always)]
    pub fn size(&self, from: Epoch, to: Epoch) -> (Watts, WattHours) {
        if self.staged_from.0 == 0 || to < self.staged_from {
            (self.nameplate, self.storage)
        } else if from >= self.staged_from {
            (self.staged_nameplate, self.staged_storage)
        } else {
            (self.nameplate.max(self.staged_nameplate), self.storage.max(self.staged_storage))
        }
    }

    /// `slot` of a meter that does not settle.
    pub const NO_SLOT: u8 = u8::MAX;
}

impl CampusAccount for Meter {
    type Refusal = RegistryError;
    const NOT_THIS: RegistryError = RegistryError::NotAMeter;
    const GIVEN_TWICE: RegistryError = RegistryError::GivenTwice;

    fn invariant(&self) -> Result<()> {
        let (Some(role), Some(_), Some(status)) = (self.role.get(), self.source.get(), self.status.get()) else {
            return Err(RegistryError::MeterInvariant.into());
        };
        let has_slot = role.settles() && status == Status::Active;
        let slot_fits = if has_slot { (self.slot as u32) < MAX_SETTLING_METERS } else { self.slot == Self::NO_SLOT };
        if self.version != VERSION || !slot_fits || self.meter_id == [0; 32] || self.key == [0; 32] || self.keys == 0 {
            return Err(RegistryError::MeterInvariant.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idl_names_the_registrys_address() {
        assert_eq!(Registry::PLACE_TEXT.map(Address::from_str_const), Some(REGISTRY_ADDRESS));
    }

    #[test]
    fn the_bumps_are_the_canonical_ones() {
        for (seed, bump, address) in [(REGISTRY_SEED, REGISTRY_BUMP, REGISTRY_ADDRESS)] {
            assert_eq!(Address::find_program_address(&[seed], &crate::ID), (address, bump));
        }
    }
}
