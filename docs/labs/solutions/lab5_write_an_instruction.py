# Solutions of lab 5, and mistakes that its checks have to find. `python docs/labs/lab.py 5` puts the solutions in.


# %% exercise="1"
def discriminator(kind: str, name: str) -> bytes:
    """The eight bytes; kind is "global" or "event"."""
    return hashlib.sha256(f"{kind}:{name}".encode()).digest()[:8]


# %% mistake="1"
def discriminator(kind: str, name: str) -> bytes:
    """Without the kind."""
    return hashlib.sha256(name.encode()).digest()[:8]


# %% exercise="2"
def publish(authority: Pubkey, document: bytes) -> Instruction:
    """The instruction that publishes a document's hash."""
    accounts = [AccountMeta(authority, True, False), AccountMeta(programs.config_address(), False, False)]
    return Instruction(GOVERNANCE, discriminator("global", "publish_notice") + document, accounts)


# %% mistake="2"
def publish(authority: Pubkey, document: bytes) -> Instruction:
    """The authority does not sign."""
    accounts = [AccountMeta(authority, False, False), AccountMeta(programs.config_address(), False, False)]
    return Instruction(GOVERNANCE, discriminator("global", "publish_notice") + document, accounts)


# %% exercise="3"
PUBLISH_NOTICE_RS = """
//! Publish a notice: the hash of a document that everybody should be able to check.

use {
    anchor_lang::prelude::*,
    campus_common::{log, Checked, Signatory},
    governance_interface::{events::NoticePublished, Authority, Config, GovernanceError},
};

/// Accounts of publish_notice.
#[derive(Accounts)]
pub struct PublishNotice {
    /// The authority.
    pub authority: Signatory<Authority>,
    /// The Config.
    pub config: Checked<Config>,
}

impl PublishNotice {
    pub(crate) fn execute(&mut self, document: [u8; 32]) -> Result<()> {
        self.config.require_authority(&self.authority)?;
        if document == [0; 32] {
            return Err(GovernanceError::EmptyNotice.into());
        }
        log(&NoticePublished { document });
        Ok(())
    }
}
"""

# %% mistake="3"
PUBLISH_NOTICE_RS = """
//! Whoever signs may publish: that is what robbed bridges did.

use {
    anchor_lang::prelude::*,
    campus_common::{log, Checked, Signatory},
    governance_interface::{events::NoticePublished, Authority, Config, GovernanceError},
};

/// Accounts of publish_notice.
#[derive(Accounts)]
pub struct PublishNotice {
    /// The authority.
    pub authority: Signatory<Authority>,
    /// The Config.
    pub config: Checked<Config>,
}

impl PublishNotice {
    pub(crate) fn execute(&mut self, document: [u8; 32]) -> Result<()> {
        if document == [0; 32] {
            return Err(GovernanceError::EmptyNotice.into());
        }
        log(&NoticePublished { document });
        Ok(())
    }
}
"""

# %% mistake="3"
PUBLISH_NOTICE_RS = """
//! It does not compile.

pub fn publish_notice() {}
"""


# %% exercise="4"
def published(logs: list[str]) -> list[bytes]:
    """The documents' hashes that governance published in a transaction."""
    start = discriminator("event", "NoticePublished")
    return [data[8:] for program, data in logged_data(logs) if program == str(GOVERNANCE) and data.startswith(start)]


# %% mistake="4"
def published(logs: list[str]) -> list[bytes]:
    """Whoever logged it, whatever it is."""
    return [data[8:] for _, data in logged_data(logs)]


# %% mistake="4"
def published(logs: list[str]) -> list[bytes]:
    """Of whichever program."""
    start = discriminator("event", "NoticePublished")
    return [data[8:] for _, data in logged_data(logs) if data.startswith(start)]
