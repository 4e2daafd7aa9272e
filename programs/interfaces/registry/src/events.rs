//! Events of the registry: fixed layouts, logged. Their account addresses lead to the rest.

use {
    crate::{StoredInstallationKind, StoredMeterRole, StoredSource, StoredStatus, StoredUserRole},
    anchor_lang::prelude::*,
    campus_common::units::{Epoch, UnixTime, WattHours, Watts},
};

/// A member joined.
#[event(bytemuck)]
pub struct UserRegistered {
    /// Its wallet.
    pub wallet: Address,
    /// Its number in the market.
    pub member_index: u32,
    /// What it is.
    pub role: StoredUserRole,
    /// Zero.
    pub padding: [u8; 3],
}

/// A member's status changed.
#[event(bytemuck)]
pub struct UserStatusChanged {
    /// Its wallet.
    pub wallet: Address,
    /// Status before.
    pub before: StoredStatus,
    /// Status now.
    pub after: StoredStatus,
}

/// A member's role changed.
#[event(bytemuck)]
pub struct UserRoleChanged {
    /// The member: the wallet that it registered with.
    pub member: Address,
    /// Role before.
    pub before: StoredUserRole,
    /// Role now.
    pub after: StoredUserRole,
}

/// Another wallet was proposed for a member, or a proposal withdrawn.
#[event(bytemuck)]
pub struct WalletProposed {
    /// The member: the wallet that it registered with.
    pub member: Address,
    /// Its wallet now.
    pub wallet: Address,
    /// The proposed one; all zero where the proposal was withdrawn.
    pub next: Address,
    /// Epoch from which it may take over; 0 where withdrawn.
    pub from_epoch: Epoch,
}

/// A member's wallet was replaced. Its number, meters and EnergyAccount stay; its delegate is gone.
#[event(bytemuck)]
pub struct WalletReplaced {
    /// The member: the wallet that it registered with.
    pub member: Address,
    /// Its wallet before.
    pub before: Address,
    /// Its wallet now.
    pub after: Address,
    /// Its number in the market.
    pub member_index: u32,
}

/// A member named, renewed or removed its delegate.
#[event(bytemuck)]
pub struct DelegateChanged {
    /// The member's wallet.
    pub wallet: Address,
    /// Its delegate; all zero where removed.
    pub delegate: Address,
    /// When the delegation ends.
    pub until: UnixTime,
}

/// An installation was registered.
#[event(bytemuck)]
pub struct InstallationRegistered {
    /// Usable storage, Wh.
    pub storage: WattHours,
    /// Nameplate, W.
    pub nameplate: Watts,
    /// Its number.
    pub n: u32,
    /// What stands there.
    pub kind: StoredInstallationKind,
    /// Zero.
    pub padding: [u8; 7],
}

/// Another nameplate and storage were staged for an installation; its meters take them over by follow_installation.
#[event(bytemuck)]
pub struct InstallationStaged {
    /// Usable storage, Wh.
    pub storage: WattHours,
    /// Nameplate, W.
    pub nameplate: Watts,
    /// Its number.
    pub n: u32,
    /// First epoch in which they hold.
    pub from_epoch: Epoch,
    /// Zero.
    pub padding: [u8; 4],
}

/// A meter took over what is staged for its installation.
#[event(bytemuck)]
pub struct InstallationFollowed {
    /// Which meter.
    pub meter_id: [u8; 32],
    /// Usable storage from then on, Wh.
    pub storage: WattHours,
    /// Nameplate from then on, W.
    pub nameplate: Watts,
    /// First epoch in which they hold.
    pub from_epoch: Epoch,
}

/// A meter was registered.
#[event(bytemuck)]
pub struct MeterRegistered {
    /// Which meter.
    pub meter_id: [u8; 32],
    /// Its key.
    pub key: [u8; 32],
    /// Its user's wallet.
    pub user: Address,
    /// Hash of its approved map.
    pub map_hash: [u8; 32],
    /// Sequence of its first record.
    pub first_sequence: u32,
    /// Its installation.
    pub installation: u32,
    /// What it measures.
    pub role: StoredMeterRole,
    /// Its renewable source.
    pub source: StoredSource,
    /// Zero.
    pub padding: [u8; 6],
}

/// A meter's key was replaced; its next settlement is a baseline.
#[event(bytemuck)]
pub struct MeterKeyReplaced {
    /// Which meter.
    pub meter_id: [u8; 32],
    /// The key before.
    pub before: [u8; 32],
    /// The key now.
    pub after: [u8; 32],
    /// Sequence of the new key's first record.
    pub first_sequence: u32,
}

/// A meter's status changed; its next settlement is a baseline.
#[event(bytemuck)]
pub struct MeterStatusChanged {
    /// Which meter.
    pub meter_id: [u8; 32],
    /// Status before.
    pub before: StoredStatus,
    /// Status now.
    pub after: StoredStatus,
}

/// A meter went to another user; its next settlement is a baseline.
#[event(bytemuck)]
pub struct MeterReassigned {
    /// Which meter.
    pub meter_id: [u8; 32],
    /// Wallet of the user before.
    pub before: Address,
    /// Wallet of the user now.
    pub after: Address,
    /// The settled boundary from which on what it draws is the new user's; 0 where it was silent for long, and its next reading is that.
    pub boundary: UnixTime,
}

/// Another map was approved for a meter; its next settlement is a baseline.
#[event(bytemuck)]
pub struct MeterMapChanged {
    /// Which meter.
    pub meter_id: [u8; 32],
    /// Hash of the map before.
    pub before: [u8; 32],
    /// Hash of the map now.
    pub after: [u8; 32],
}
