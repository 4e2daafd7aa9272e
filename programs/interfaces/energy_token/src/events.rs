//! Events of the energy token program: fixed layouts, logged.

use {
    crate::{StoredPlace, StoredReason},
    anchor_lang::prelude::*,
    campus_common::units::{BillingPeriod, MicroCredits, WattHours},
};

/// Energy was minted into a member's seat, for its token account could not take it. What is minted to a token account has no event here: the
/// oracle's SurplusSettled, without which nothing is minted, has member and amount.
#[event(bytemuck)]
pub struct EnergyMintedToSeat {
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// How much.
    pub amount: WattHours,
}

/// Credits were issued to a member (it paid the department, or the department pays it).
#[event(bytemuck)]
pub struct CreditIssued {
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// How much.
    pub amount: MicroCredits,
    /// Where to: the member's token account, or its seat, where that could not take it.
    pub to: StoredPlace,
    /// Zero.
    pub padding: [u8; 7],
}

/// A member gave credits back to the department (it pays its bill, or is paid out).
#[event(bytemuck)]
pub struct CreditRedeemed {
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// How much.
    pub amount: MicroCredits,
}

/// A member retired energy.
#[event(bytemuck)]
pub struct EnergyRetired {
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// How much.
    pub amount: WattHours,
    /// Credits paid for it: feed-in only.
    pub credits: MicroCredits,
    /// The billing period that it counts in.
    pub period: BillingPeriod,
    /// Why.
    pub reason: StoredReason,
    /// Where the energy was.
    pub source: StoredPlace,
    /// Zero.
    pub padding: [u8; 2],
}
