//! The Config account: one per deployment, at `[config]`.

use {
    crate::GovernanceError,
    anchor_lang::{address_eq, bytemuck, prelude::*},
    campus_common::{
        units::{BasisPoints, BillingPeriod, Epoch, OrderWattHours, PricePerKwh, Seconds, UnixTime},
        CampusAccount, Capacity, Signatory, VERSION,
    },
};

/// Seed of the Config's address.
pub const CONFIG_SEED: &[u8] = b"config";
/// Address of the one Config.
pub const CONFIG_ADDRESS: Address = Address::derive_address_const(&[CONFIG_SEED], Some(CONFIG_BUMP), &crate::ID);
/// Bump of that address.
pub const CONFIG_BUMP: u8 = 255;

/// Epochs after the end of a billing period for which its withdrawals can still be retired, and late spans be booked in it.
pub const RETIREMENT_GRACE_EPOCHS: u32 = 8;

/// Signs as the operator; which key that is, the Config says.
pub struct Operator;

impl Capacity for Operator {
    #[inline(always)]
    fn missing() -> Error {
        GovernanceError::OperatorMustSign.into()
    }
}

/// Signs as the authority; which key that is, the Config says.
pub struct Authority;

impl Capacity for Authority {
    #[inline(always)]
    fn missing() -> Error {
        GovernanceError::AuthorityMustSign.into()
    }
}

/// What may be paused, one bit each; a set bit stops the activity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pause(pub u16);

impl Pause {
    /// Registration of users, installations and meters.
    pub const REGISTRATION: Self = Self(1 << 0);
    /// oracle.submit_readings and rebase_meter.
    pub const READINGS: Self = Self(1 << 1);
    /// oracle.settle_surplus, and with it minting.
    pub const SETTLEMENT: Self = Self(1 << 2);
    /// trading.open_epoch and place_order; orders can always be cancelled.
    pub const ORDERS: Self = Self(1 << 3);
    /// oracle.trigger_clearing.
    pub const CLEARING: Self = Self(1 << 4);
    /// energy_token.issue_credit and redeem_credit.
    pub const CREDIT: Self = Self(1 << 5);
    /// energy_token.retire_energy.
    pub const RETIREMENT: Self = Self(1 << 6);
    /// All bits that have a meaning.
    pub const ALL: Self = Self((1 << 7) - 1);
}

/// Market and metering parameters. Changed by stage_parameters, effective from a later epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, AnchorSerialize, AnchorDeserialize, IdlType, bytemuck::Pod, bytemuck::Zeroable)]
#[bytemuck(crate = "anchor_lang::bytemuck")]
#[repr(C)]
pub struct Parameters {
    /// Seconds after a boundary for which the market waits for late readings.
    pub grace_seconds: Seconds,
    /// Seconds by which a reading's interval end may lie ahead of the cluster's clock.
    pub clock_skew_seconds: Seconds,
    /// Price of feed-in, micro-credits per kWh: the lowest price of an order.
    pub feed_in_price: PricePerKwh,
    /// Retail price, micro-credits per kWh: the highest price of an order.
    pub retail_price: PricePerKwh,
    /// Wheeling, micro-credits per kWh on top of the buyer's price.
    pub wheeling: PricePerKwh,
    /// Least quantity of an order, Wh.
    pub min_order_wh: OrderWattHours,
    /// Greatest quantity of an order, Wh.
    pub max_order_wh: OrderWattHours,
    /// Seconds before the end of an epoch from which its orders can no longer be cancelled.
    pub cancel_cutoff_seconds: Seconds,
    /// Least cleared volume, Wh, for an epoch's price to become the reference price.
    pub min_reference_volume_wh: OrderWattHours,
    /// Length of a billing period in epochs.
    pub billing_period_epochs: u32,
    /// Longest span, in epochs, over which generation is netted with consumption; a longer one mints nothing and counts its whole
    /// consumption as withdrawn.
    pub netting_epochs: u32,
    /// Tolerance on nameplate power and storage capacity, basis points.
    pub nameplate_tolerance_bps: BasisPoints,
    /// Share of the renewable energy charged into storage that may come out as renewable, basis points.
    pub storage_efficiency_bps: BasisPoints,
    /// Market fee, basis points of the seller's proceeds, rounded down.
    pub fee_bps: BasisPoints,
    /// Greatest number of open orders of one member in one epoch.
    pub max_orders_per_member: u16,
}

/// The deployment's identity, its authority and operator, and its parameters.
#[account]
pub struct Config {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// Pause bits: 0 registration, 1 readings, 2 settlement and minting, 3 orders, 4 clearing, 5 credit, 6 retirement.
    pub pause: u16,
    /// Length of an epoch in seconds; fixed for ever.
    pub epoch_seconds: Seconds,
    /// Eight random bytes that name this deployment; a reading signed for another is refused.
    pub network_id: [u8; 8],
    /// Holds the power of administration: parameters, operator, pause, the authority itself.
    pub authority: Address,
    /// The authority proposed next, until it accepts; all zero where there is none.
    pub pending_authority: Address,
    /// Signs daily business: registration, settlement, credit, checkpoints.
    pub operator: Address,
    /// Epoch from which `staged` holds in place of `parameters`; 0 where nothing is staged.
    pub staged_from: Epoch,
    /// Number of the open billing period.
    pub billing_period: BillingPeriod,
    /// First epoch of the open billing period.
    pub billing_period_start: Epoch,
    /// Epoch at whose start the open billing period ends.
    pub billing_period_end: Epoch,
    /// First epoch of the deployment.
    pub first_epoch: Epoch,
    /// First epoch of the billing period before the open one; that of the deployment before there was one.
    pub previous_period_start: Epoch,
    /// Parameters in force (until `staged_from`).
    pub parameters: Parameters,
    /// Parameters in force from `staged_from`, where that is not 0.
    pub staged: Parameters,
    /// Zero; for later versions.
    pub reserved: [u8; 128],
}

impl Config {
    /// Bounds that hold in every state.
    pub const MIN_EPOCH_SECONDS: u32 = 10;
    /// A day: the longest epoch.
    pub const MAX_EPOCH_SECONDS: u32 = 86_400;

    /// The parameters in force in that epoch.
    #[inline(always)]
    pub fn parameters(&self, epoch: Epoch) -> &Parameters {
        if self.staged_from.0 != 0 && epoch >= self.staged_from {
            &self.staged
        } else {
            &self.parameters
        }
    }

    /// The epoch that `time` lies in.
    #[inline(always)]
    pub fn epoch(&self, time: UnixTime) -> Epoch {
        time.epoch(self.epoch_seconds)
    }

    /// When the open billing period ends.
    #[inline(always)]
    pub fn billing_period_end(&self) -> UnixTime {
        self.billing_period_end.start(self.epoch_seconds)
    }

    /// The billing period in which a withdrawal of a span that ends at `boundary` is booked at time `now`: the one in which the span ends,
    /// as long as its withdrawals can be retired, and the open one after that. `None` where the span ends after the open period.
    #[inline(always)]
    pub fn period_of_span(&self, boundary: UnixTime, now: UnixTime) -> Option<BillingPeriod> {
        if boundary > self.billing_period_end() {
            return None;
        }
        let ended = boundary <= self.billing_period_start.start(self.epoch_seconds);
        if !ended || self.billing_period.0 == 0 {
            return Some(self.billing_period);
        }
        let in_previous = boundary > self.previous_period_start.start(self.epoch_seconds);
        let grace_end = self.billing_period_start.0.saturating_add(RETIREMENT_GRACE_EPOCHS);
        if in_previous && self.epoch(now).0 < grace_end {
            Some(BillingPeriod(self.billing_period.0 - 1))
        } else {
            Some(self.billing_period)
        }
    }

    /// Refuse where one of `activities` is paused.
    #[inline(always)]
    pub fn require_running(&self, activities: Pause) -> Result<()> {
        if self.pause & activities.0 != 0 {
            return Err(GovernanceError::Paused.into());
        }
        Ok(())
    }

    /// Refuse where who has signed as [`Operator`] is somebody else.
    #[inline(always)]
    pub fn require_operator(&self, signatory: &Signatory<Operator>) -> Result<()> {
        if !address_eq(signatory.address(), &self.operator) {
            return Err(GovernanceError::NotOperator.into());
        }
        Ok(())
    }

    /// Refuse where who has signed as [`Authority`] is somebody else.
    #[inline(always)]
    pub fn require_authority(&self, signatory: &Signatory<Authority>) -> Result<()> {
        if !address_eq(signatory.address(), &self.authority) {
            return Err(GovernanceError::NotAuthority.into());
        }
        Ok(())
    }
}

impl CampusAccount for Config {
    type Refusal = GovernanceError;
    const NOT_THIS: GovernanceError = GovernanceError::ConfigNotInitialized;
    const GIVEN_TWICE: GovernanceError = GovernanceError::GivenTwice;
    const PLACE: Option<(Address, GovernanceError)> = Some((CONFIG_ADDRESS, GovernanceError::WrongConfig));
    const PLACE_TEXT: Option<&'static str> = Some("Efm8Wy2bfnQNLVw9n5WLyJzhRNqcpn9xURCy4zDmBazX");

    fn invariant(&self) -> Result<()> {
        let none = Address::default();
        if self.version != VERSION || self.bump != CONFIG_BUMP || self.pause & !Pause::ALL.0 != 0 {
            return Err(GovernanceError::ConfigInvariant.into());
        }
        if address_eq(&self.authority, &none) || address_eq(&self.operator, &none) || self.network_id == [0; 8] {
            return Err(GovernanceError::ConfigInvariant.into());
        }
        if self.previous_period_start < self.first_epoch
            || self.billing_period_start < self.previous_period_start
            || self.billing_period_end <= self.billing_period_start
        {
            return Err(GovernanceError::ConfigInvariant.into());
        }
        if self.epoch_seconds.0 < Self::MIN_EPOCH_SECONDS || self.epoch_seconds.0 > Self::MAX_EPOCH_SECONDS {
            return Err(GovernanceError::EpochLengthOutOfBounds.into());
        }
        self.parameters.check(self.epoch_seconds)?;
        if self.staged_from.0 != 0 {
            self.staged.check(self.epoch_seconds)?;
        }
        Ok(())
    }
}

impl Parameters {
    /// A price above this (1,000 credits per kWh) is a slip of the pen.
    pub const MAX_PRICE: u32 = 1_000_000_000;
    /// One order's greatest quantity: 1 GWh.
    pub const MAX_ORDER_WH: u32 = 1_000_000_000;
    /// Greatest number of orders of a member in an epoch.
    pub const MAX_ORDERS_PER_MEMBER: u16 = 64;
    /// Greatest tolerance on nameplates: 100 %.
    pub const MAX_TOLERANCE_BPS: u16 = 10_000;
    /// Greatest market fee: 10 %.
    pub const MAX_FEE_BPS: u16 = 1_000;
    /// A billing period outlasts the retirement grace of the one before.
    pub const MIN_BILLING_PERIOD_EPOCHS: u32 = 16;
    /// Greatest sum of a member's orders in an epoch, Wh: so that those of 64 members at their greatest still fit a side's u32.
    pub const MAX_MEMBER_ORDERS_WH: u64 = (u32::MAX / 64) as u64;
    /// Longest span that may be netted: a day of 15-minute epochs.
    pub const MAX_NETTING_EPOCHS: u32 = 96;
    /// Greatest billing period: a year of 15-minute epochs, or 10 days of the shortest.
    pub const MAX_BILLING_PERIOD_EPOCHS: u32 = 366 * 96;

    /// The longest span that is netted, in seconds.
    #[inline(always)]
    pub fn longest_netted(&self, epoch_seconds: Seconds) -> i64 {
        self.netting_epochs as i64 * epoch_seconds.0 as i64
    }

    /// Refuse parameters out of bounds, each bound with an error of its own.
    pub fn check(&self, epoch_seconds: Seconds) -> Result<()> {
        use GovernanceError as E;
        let length = epoch_seconds.0;
        let bounds = [
            (self.grace_seconds.0 <= length, E::GraceOutOfBounds),
            (self.clock_skew_seconds.0 <= length, E::ClockSkewOutOfBounds),
            (self.nameplate_tolerance_bps.0 <= Self::MAX_TOLERANCE_BPS, E::ToleranceOutOfBounds),
            (self.storage_efficiency_bps <= BasisPoints::ONE, E::EfficiencyOutOfBounds),
            (
                self.feed_in_price.0 > 0 && self.feed_in_price <= self.retail_price && self.retail_price.0 <= Self::MAX_PRICE,
                E::PricesOutOfBounds,
            ),
            (self.wheeling <= self.retail_price, E::WheelingOutOfBounds),
            (self.fee_bps.0 <= Self::MAX_FEE_BPS, E::FeeOutOfBounds),
            (
                self.min_order_wh.0 > 0 && self.min_order_wh <= self.max_order_wh && self.max_order_wh.0 <= Self::MAX_ORDER_WH,
                E::OrderSizeOutOfBounds,
            ),
            (
                self.max_orders_per_member > 0 && self.max_orders_per_member <= Self::MAX_ORDERS_PER_MEMBER,
                E::OrderCountOutOfBounds,
            ),
            (
                self.max_order_wh.0 as u64 * self.max_orders_per_member as u64 <= Self::MAX_MEMBER_ORDERS_WH,
                E::MemberOrdersOutOfBounds,
            ),
            (self.netting_epochs > 0 && self.netting_epochs <= Self::MAX_NETTING_EPOCHS, E::NettingOutOfBounds),
            (self.cancel_cutoff_seconds.0 < length, E::CancelCutoffOutOfBounds),
            (self.min_reference_volume_wh.0 > 0, E::ReferenceVolumeOutOfBounds),
            (
                self.billing_period_epochs >= Self::MIN_BILLING_PERIOD_EPOCHS
                    && self.billing_period_epochs <= Self::MAX_BILLING_PERIOD_EPOCHS,
                E::BillingPeriodOutOfBounds,
            ),
        ];
        for (holds, error) in bounds {
            if !holds {
                return Err(error.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idl_names_the_configs_address() {
        assert_eq!(Config::PLACE_TEXT.map(Address::from_str_const), Some(CONFIG_ADDRESS));
    }

    #[test]
    fn the_bumps_are_the_canonical_ones() {
        for (seed, bump, address) in [(CONFIG_SEED, CONFIG_BUMP, CONFIG_ADDRESS)] {
            assert_eq!(Address::find_program_address(&[seed], &crate::ID), (address, bump));
        }
    }
}
