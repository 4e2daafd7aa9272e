//! Units as types, so that an energy cannot be added to a price.
//!
//! In the IDLs each of them is the plain integer that it wraps.

use anchor_lang::{
    bytemuck::{Pod, Zeroable},
    prelude::*,
};

/// Watt-hours in a kilowatt-hour: prices are per kWh, energy is in Wh.
pub const WH_PER_KWH: u64 = 1_000;
/// Basis points in a whole.
pub const BASIS_POINTS: u64 = 10_000;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, AnchorSerialize, AnchorDeserialize)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        // SAFETY: a transparent wrapper of an integer.
        unsafe impl Zeroable for $name {}
        // SAFETY: likewise.
        unsafe impl Pod for $name {}

        #[cfg(feature = "idl-build")]
        impl IdlAccountType for $name {
            const __IDL_TYPE_DEF: Option<&'static str> = Some(concat!(
                "{\"name\":\"", stringify!($name), "\",\"type\":{\"kind\":\"type\",\"alias\":\"", stringify!($inner), "\"}}"
            ));
            fn __register_idl_deps(_: &mut alloc::vec::Vec<&'static str>, types: &mut alloc::vec::Vec<&'static str>) {
                types.extend(Self::__IDL_TYPE_DEF);
            }
        }
    };
}

macro_rules! quantity {
    ($name:ident($inner:ty)) => {
        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// Sum, or `None` where it does not fit.
            #[inline(always)]
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }

            /// Difference, or `None` where it would be negative.
            #[inline(always)]
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }

            /// Difference, zero where it would be negative: max(0, self - other).
            #[inline(always)]
            pub fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// Sum, at most the greatest value.
            #[inline(always)]
            pub fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }
    };
}

unit!(
    /// Energy in watt-hours; one energy token's base unit.
    WattHours(u64)
);
quantity!(WattHours(u64));
unit!(
    /// Energy of one order in watt-hours.
    OrderWattHours(u32)
);
quantity!(OrderWattHours(u32));
unit!(
    /// Money: the campus credit's base unit, 10^-6 credit.
    MicroCredits(u64)
);
quantity!(MicroCredits(u64));
unit!(
    /// A price in micro-credits per kWh.
    PricePerKwh(u32)
);
unit!(
    /// A share in hundredths of a per cent.
    BasisPoints(u16)
);
unit!(
    /// Power in watts.
    Watts(u32)
);
unit!(
    /// A market epoch: floor(Unix time / epoch seconds).
    Epoch(u32)
);
unit!(
    /// Seconds since 1970-01-01 UTC.
    UnixTime(i64)
);
unit!(
    /// A duration in seconds.
    Seconds(u32)
);
unit!(
    /// The number of a billing period, from 0.
    BillingPeriod(u32)
);

impl From<OrderWattHours> for WattHours {
    #[inline(always)]
    fn from(quantity: OrderWattHours) -> Self {
        Self(quantity.0 as u64)
    }
}

impl PricePerKwh {
    /// What `quantity` costs at this price, rounded down: the seller's side. u32 x u32 fits u64.
    #[inline(always)]
    pub fn cost_floor(self, quantity: OrderWattHours) -> MicroCredits {
        MicroCredits(self.0 as u64 * quantity.0 as u64 / WH_PER_KWH)
    }

    /// What `quantity` costs at this price, rounded up: the buyer's side.
    #[inline(always)]
    pub fn cost_ceil(self, quantity: OrderWattHours) -> MicroCredits {
        MicroCredits((self.0 as u64 * quantity.0 as u64 + (WH_PER_KWH - 1)) / WH_PER_KWH)
    }
}

/// floor(value x factor / 10,000) of any u64, in 64-bit halves: no 128-bit product. Saturates where the result does not fit.
#[inline(always)]
fn scale_floor(value: u64, factor: u16) -> u64 {
    let whole = value / BASIS_POINTS;
    let rest = value % BASIS_POINTS;
    let factor = factor as u64;
    // rest x factor is below 2^30, and up to the whole the result is no more than the value.
    if factor <= BASIS_POINTS {
        return whole * factor + rest * factor / BASIS_POINTS;
    }
    match whole.checked_mul(factor) {
        Some(product) => product.saturating_add(rest * factor / BASIS_POINTS),
        None => u64::MAX,
    }
}

impl BasisPoints {
    /// The whole: 100 %.
    pub const ONE: Self = Self(10_000);

    /// This share of an amount of money, rounded down.
    #[inline(always)]
    pub fn of_credits(self, amount: MicroCredits) -> MicroCredits {
        MicroCredits(scale_floor(amount.0, self.0))
    }

    /// This share of an energy, rounded down.
    #[inline(always)]
    pub fn of_energy(self, energy: WattHours) -> WattHours {
        WattHours(scale_floor(energy.0, self.0))
    }
}

impl UnixTime {
    /// Whether this time is a boundary between epochs of that length.
    #[inline(always)]
    pub fn is_boundary(self, epoch_seconds: Seconds) -> bool {
        self.0 > 0 && (self.0 as u64) % (epoch_seconds.0 as u64) == 0
    }

    /// The epoch that this time lies in; a time before 1970 counts as epoch 0, one beyond u32 as the last.
    #[inline(always)]
    pub fn epoch(self, epoch_seconds: Seconds) -> Epoch {
        if self.0 <= 0 {
            return Epoch(0);
        }
        let epoch = self.0 as u64 / epoch_seconds.0 as u64;
        Epoch(if epoch > u32::MAX as u64 { u32::MAX } else { epoch as u32 })
    }

    /// This time and so many seconds more.
    #[inline(always)]
    pub fn plus(self, seconds: Seconds) -> Self {
        Self(self.0.saturating_add(seconds.0 as i64))
    }
}

impl Epoch {
    /// When the epoch begins.
    #[inline(always)]
    pub fn start(self, epoch_seconds: Seconds) -> UnixTime {
        UnixTime((self.0 as u64 * epoch_seconds.0 as u64) as i64)
    }

    /// When the epoch ends and the next begins.
    #[inline(always)]
    pub fn end(self, epoch_seconds: Seconds) -> UnixTime {
        UnixTime(((self.0 as u64 + 1) * epoch_seconds.0 as u64) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_any_amount_round_down_and_do_not_overflow() {
        for value in [0, 1, 9_999, 10_000, 10_001, 123_456_789, u64::MAX / 2, u64::MAX] {
            for factor in [0, 1, 50, 9_999, 10_000] {
                let expected = (value as u128 * factor as u128 / 10_000) as u64;
                assert_eq!(scale_floor(value, factor), expected, "{value} x {factor}");
            }
        }
        assert_eq!(scale_floor(u64::MAX, u16::MAX), u64::MAX);
    }

    #[test]
    fn the_buyer_pays_up_and_the_seller_gets_down() {
        let price = PricePerKwh(3_333);
        assert_eq!(price.cost_floor(OrderWattHours(10)), MicroCredits(33));
        assert_eq!(price.cost_ceil(OrderWattHours(10)), MicroCredits(34));
        assert_eq!(PricePerKwh(u32::MAX).cost_ceil(OrderWattHours(u32::MAX)).0, 18_446_744_065_119_618);
    }

    #[test]
    fn epochs_tile_time() {
        let length = Seconds(900);
        assert_eq!(UnixTime(899).epoch(length), Epoch(0));
        assert_eq!(UnixTime(900).epoch(length), Epoch(1));
        assert_eq!(Epoch(1).start(length), UnixTime(900));
        assert_eq!(Epoch(1).end(length), UnixTime(1_800));
        assert!(UnixTime(900).is_boundary(length) && !UnixTime(901).is_boundary(length) && !UnixTime(0).is_boundary(length));
    }
}
