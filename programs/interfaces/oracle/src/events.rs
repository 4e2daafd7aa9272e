//! Events of the oracle: fixed layouts, logged. From them alone the movement of every MeterState and EnergyAccount can be rebuilt.

use {
    crate::StoredSpanKind,
    anchor_lang::prelude::*,
    campus_common::units::{BillingPeriod, Epoch, MicroCredits, UnixTime, WattHours},
};

/// A meter's state was opened.
#[event(bytemuck)]
pub struct MeterOpened {
    /// Address of the Meter.
    pub meter: Address,
    /// Its user: the wallet that the member registered with.
    pub wallet: Address,
}

/// A member's EnergyAccount was opened.
#[event(bytemuck)]
pub struct EnergyAccountOpened {
    /// The member: the wallet that it registered with.
    pub wallet: Address,
}

/// A reading was accepted. The signed record itself stands in the Ed25519 instruction of the same transaction.
#[event(bytemuck)]
pub struct ReadingAccepted {
    /// Address of the Meter.
    pub meter: Address,
    /// The interval's end.
    pub interval_end: UnixTime,
    /// Registers: generation, consumption, charge, discharge.
    pub registers: [WattHours; 4],
    /// Its sequence.
    pub sequence: u32,
    /// Its flags.
    pub flags: u16,
    /// 1 where the next settlement is a baseline.
    pub baseline: u16,
}

/// A meter's registers were rebased by a meter-signed record; the next settlement is a baseline.
#[event(bytemuck)]
pub struct MeterRebased {
    /// Address of the Meter.
    pub meter: Address,
    /// The interval's end.
    pub interval_end: UnixTime,
    /// Registers before.
    pub before: [WattHours; 4],
    /// Registers now.
    pub after: [WattHours; 4],
    /// The record's sequence.
    pub sequence: u32,
    /// Register epoch now.
    pub register_epoch: u32,
}

/// A member's span was settled. What was measured is there for a baseline, too, as far as it is known.
#[event(bytemuck)]
pub struct SurplusSettled {
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// Where the span began; 0 for a baseline, which credits nothing.
    pub from: UnixTime,
    /// The boundary now settled.
    pub to: UnixTime,
    /// g: generated.
    pub generated: WattHours,
    /// c: consumed.
    pub consumed: WattHours,
    /// q: charged.
    pub charged: WattHours,
    /// d: discharged.
    pub discharged: WattHours,
    /// Bank after.
    pub bank: WattHours,
    /// Minted: to the member's token account, or, where the energy token program's EnergyMintedToSeat follows, to its seat.
    pub minted: WattHours,
    /// Withdrawn.
    pub withdrawn: WattHours,
    /// The billing period in which the withdrawal is booked.
    pub period: BillingPeriod,
    /// How it was settled.
    pub kind: StoredSpanKind,
    /// Zero.
    pub padding: [u8; 3],
}

/// A meter that takes no part any more was settled alone: what it drew is withdrawn, nothing is credited.
#[event(bytemuck)]
pub struct IdleMeterSettled {
    /// Address of the Meter.
    pub meter: Address,
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// Where its span began.
    pub from: UnixTime,
    /// Its last reading.
    pub to: UnixTime,
    /// Withdrawn.
    pub withdrawn: WattHours,
    /// The billing period in which the withdrawal is booked.
    pub period: BillingPeriod,
    /// Zero.
    pub padding: [u8; 4],
}

/// A withdrawal was booked in a later billing period than the one in which its span ended: that one takes no retirements any more.
#[event(bytemuck)]
pub struct LateWithdrawalBooked {
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// Where the span ended.
    pub to: UnixTime,
    /// Withdrawn.
    pub withdrawn: WattHours,
    /// The billing period in which it is booked: the open one.
    pub period: BillingPeriod,
    /// Zero.
    pub padding: [u8; 4],
}

/// The oracle had the market clear an epoch.
#[event(bytemuck)]
pub struct ClearingTriggered {
    /// The epoch.
    pub epoch: Epoch,
}

/// An epoch was checkpointed.
#[event(bytemuck)]
pub struct Checkpointed {
    /// Leaves in the audit log.
    pub log_size: u64,
    /// The log's root.
    pub log_root: [u8; 32],
    /// Hash of the final order book.
    pub book_hash: [u8; 32],
    /// Energy minted until now.
    pub minted: WattHours,
    /// Supply of energy tokens.
    pub energy_supply: WattHours,
    /// Supply of campus credits.
    pub credit_supply: MicroCredits,
    /// The epoch.
    pub epoch: Epoch,
    /// Zero.
    pub padding: [u8; 4],
}
