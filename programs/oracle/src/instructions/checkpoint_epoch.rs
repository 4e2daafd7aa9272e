//! Pin the audit log and the totals at the end of an epoch.
//!
//! It waits for two things: the end of the epoch, and its book's last state, which clearing by anyone or, later, the refund brings about. No
//! member, meter, gateway or wallet has a part in it: what is not settled by then is pinned by a later checkpoint's totals.

use {
    anchor_lang::{address_eq, find_program_address, pinocchio::sysvars::Sysvar as _, prelude::*},
    campus_common::{
        log,
        units::{Epoch, MicroCredits, UnixTime, WattHours},
        CampusAccount, Checked, CheckedMut, Foreign, Fresh, Signatory, SYSTEM_PROGRAM, VERSION,
    },
    energy_token_interface::{CREDIT_MINT, ENERGY_MINT},
    governance_interface::{Config, Operator},
    oracle_interface::{events::Checkpointed, EpochCheckpoint, Oracle, OracleError, EPOCH_SEED},
    pinocchio_token::state::Mint,
    trading_interface::{Book, BookStatus, Market, BOOKS, BOOK_SEED, MARKET},
};

/// What is pinned.
pub struct Checkpoint {
    /// The epoch: the one after the last checkpoint's; any that has ended for the first.
    pub epoch: u32,
    /// Leaves in the audit log.
    pub log_size: u64,
    /// The log's root (RFC 6962) at that size.
    pub log_root: [u8; 32],
    /// SHA-256 of the epoch's final order book; zero where it had none.
    pub book_hash: [u8; 32],
}

/// Accounts of checkpoint_epoch.
#[derive(Accounts)]
pub struct CheckpointEpoch {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Oracle account.
    #[account(unsafe(dup))]
    pub oracle: CheckedMut<Oracle>,
    /// The EpochCheckpoint to make, at [epoch, n as u32 little-endian].
    #[account(unsafe(dup))]
    pub checkpoint: Fresh<EpochCheckpoint>,
    /// The book of the epoch's slot, at [book, epoch mod 16 as u8] of trading.
    pub book: Foreign,
    /// The Market.
    #[account(address = MARKET @ OracleError::WrongAddress)]
    pub market: Foreign,
    /// The energy mint.
    #[account(address = ENERGY_MINT @ OracleError::WrongMint)]
    pub energy_mint: Foreign,
    /// The credit mint.
    #[account(address = CREDIT_MINT @ OracleError::WrongMint)]
    pub credit_mint: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ OracleError::WrongProgram)]
    pub system_program: Foreign,
}

/// A mint's supply; the accounts struct demands its address.
fn supply(mint: &AccountView) -> Result<u64> {
    let mint = Mint::from_account_view(mint).map_err(|_| OracleError::WrongMint)?;
    Ok(mint.supply())
}

/// The hash of the epoch's book, which must be final; zero where there is none, and its slot holds another epoch's or nothing. None can come
/// later, for books are opened until their epoch ends, and none can have gone, for its place is taken only against its checkpoint.
fn book_hash(view: &AccountView, epoch: Epoch) -> Result<[u8; 32]> {
    let slot = [(epoch.0 % BOOKS) as u8];
    let (address, _) = find_program_address(&[BOOK_SEED, &slot], &trading_interface::ID);
    if !address_eq(&address, view.address()) {
        return Err(OracleError::WrongAddress.into());
    }
    if view.data_len() == 0 {
        return Ok([0; 32]);
    }
    let book = Book::load(view)?;
    if book.head.epoch != epoch {
        return Ok([0; 32]);
    }
    if !book.head.is(BookStatus::Final) {
        return Err(OracleError::BookUnfinished.into());
    }
    Ok(book.hash())
}

impl CheckpointEpoch {
    pub(crate) fn execute(&mut self, args: Checkpoint) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        let oracle = &mut self.oracle;
        let epoch = Epoch(args.epoch);
        let clock = Clock::get()?;
        if UnixTime(clock.unix_timestamp) < epoch.end(config.epoch_seconds) {
            return Err(OracleError::EpochNotOver.into());
        }
        if oracle.has_checkpoint == 1 && oracle.last_epoch.0.checked_add(1) != Some(args.epoch) {
            return Err(OracleError::CheckpointOutOfOrder.into());
        }
        // Each book waits for its checkpoint before its place is taken: so the first checkpoint comes no later than the first book.
        if oracle.has_checkpoint == 0 && self.market.account().data_len() > 0 {
            let first = Market::load(self.market.account())?.first_epoch;
            if first.0 != 0 && first < epoch {
                return Err(OracleError::CheckpointOutOfOrder.into());
            }
        }
        if args.log_size < oracle.log_size {
            return Err(OracleError::LogShrank.into());
        }
        if args.book_hash != book_hash(self.book.account(), epoch)? {
            return Err(OracleError::WrongBookHash.into());
        }
        let (mut checkpoint, bump) = self.checkpoint.make(
            self.operator.account(),
            &[EPOCH_SEED, &args.epoch.to_le_bytes()],
            (OracleError::WrongAddress, OracleError::CheckpointOutOfOrder),
        )?;
        checkpoint.version = VERSION;
        checkpoint.bump = bump;
        checkpoint.epoch = epoch;
        checkpoint.log_size = args.log_size;
        checkpoint.log_root = args.log_root;
        checkpoint.book_hash = args.book_hash;
        checkpoint.minted = oracle.minted;
        checkpoint.energy_supply = WattHours(supply(self.energy_mint.account())?);
        checkpoint.credit_supply = MicroCredits(supply(self.credit_mint.account())?);
        checkpoint.withdrawn = oracle.withdrawn;
        checkpoint.settlements = oracle.settlements;
        checkpoint.time = UnixTime(clock.unix_timestamp);
        checkpoint.slot = clock.slot;
        oracle.has_checkpoint = 1;
        oracle.last_epoch = epoch;
        oracle.log_size = args.log_size;
        log(&Checkpointed {
            log_size: args.log_size,
            log_root: args.log_root,
            book_hash: args.book_hash,
            minted: checkpoint.minted,
            energy_supply: checkpoint.energy_supply,
            credit_supply: checkpoint.credit_supply,
            epoch,
            padding: [0; 4],
        });
        checkpoint.invariant()
    }
}
