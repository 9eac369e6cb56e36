//! The phases of a job, and which may follow which.
//!
//! ```text
//!            ┌──────────▶ HELD ──┐                                ┌──▶ COMPLETED ──┐
//!   PENDING ─┼───────────────────┴─▶ QUEUED ──▶ EXECUTING ────────┼──▶ ERROR ──────┼──▶ ARCHIVED
//!            │                        ▲  ▲        │   ▲           └──▶ ABORTED ────┘
//!            │                        │  └────────┘   │ lease lost, or stopping
//!            │                        └── SUSPENDED ◀─┘
//!            └── ABORTED, ERROR from every phase that is not an end
//! ```

use std::{fmt, str::FromStr};

use crate::MetadataError;

/// Where a job is in its life, in the words of UWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Made, not yet asked to run: its parameters may change.
    Pending,
    /// Asked to run and parked by the service.
    Held,
    /// Waits for a slot.
    Queued,
    /// Runs.
    Executing,
    /// Interrupted by the service, goes on by itself.
    Suspended,
    /// Has its results.
    Completed,
    /// Failed; the job says why.
    Error,
    /// Stopped by its owner or at its time limit.
    Aborted,
    /// Its results are deleted; what was asked is known still.
    Archived,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Held,
        Self::Queued,
        Self::Executing,
        Self::Suspended,
        Self::Completed,
        Self::Error,
        Self::Aborted,
        Self::Archived,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Held => "HELD",
            Self::Queued => "QUEUED",
            Self::Executing => "EXECUTING",
            Self::Suspended => "SUSPENDED",
            Self::Completed => "COMPLETED",
            Self::Error => "ERROR",
            Self::Aborted => "ABORTED",
            Self::Archived => "ARCHIVED",
        }
    }

    /// Whether nothing follows but being archived.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Error | Self::Aborted | Self::Archived)
    }

    /// Whether a job of this phase may go over to another.
    pub fn may_become(self, next: Self) -> bool {
        match next {
            Self::Pending => false,
            Self::Held => self == Self::Pending,
            Self::Queued => matches!(self, Self::Pending | Self::Held | Self::Executing | Self::Suspended),
            Self::Executing => matches!(self, Self::Queued | Self::Suspended),
            Self::Suspended | Self::Completed => self == Self::Executing,
            Self::Error | Self::Aborted => !self.has_ended(),
            Self::Archived => matches!(self, Self::Completed | Self::Error | Self::Aborted),
        }
    }

    /// The phases from which a job may come to this one, as a list of SQL.
    pub(super) fn predecessors(self) -> String {
        let before = Self::ALL.into_iter().filter(|phase| phase.may_become(self));
        before.map(|phase| format!("'{phase}'")).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Phase {
    type Err = MetadataError;

    fn from_str(text: &str) -> Result<Self, MetadataError> {
        let unfit = || MetadataError::Unfit { why: format!("'{}' is no phase of a job", text.escape_debug()) };
        Self::ALL.into_iter().find(|phase| phase.word() == text).ok_or_else(unfit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_an_end() {
        for phase in Phase::ALL {
            let next: Vec<Phase> = Phase::ALL.into_iter().filter(|next| phase.may_become(*next)).collect();
            match phase {
                Phase::Archived => assert_eq!(next, []),
                phase if phase.has_ended() => assert_eq!(next, [Phase::Archived]),
                phase => assert!(next.contains(&Phase::Aborted) && next.contains(&Phase::Error), "{phase}: {next:?}"),
            }
            assert_eq!(phase.word().parse::<Phase>().unwrap(), phase);
            assert!(!phase.may_become(phase) && !phase.may_become(Phase::Pending));
        }
        assert!("queued".parse::<Phase>().is_err());
        assert_eq!(Phase::Executing.predecessors(), "'QUEUED', 'SUSPENDED'");
    }
}
