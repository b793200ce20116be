//! Operations on several rows that succeed or fail as one.

use rusqlite::{Connection, params};

use super::set_aside::SETTLE_UNANSWERED;
use super::{Enqueue, StoreError, Write, leases};
use crate::domain::{Entry, SessionId};

/// Acknowledges a message for several sessions: all or none. Fails with [`StoreError::NoSession`].
#[derive(Debug, Clone)]
pub struct EnqueueAll {
    /// One a session.
    pub entries: Vec<Enqueue>,
}

impl Write for EnqueueAll {
    type Reply = Vec<Entry>;

    fn apply(self, conn: &Connection) -> Result<Vec<Entry>, StoreError> {
        self.entries.into_iter().map(|entry| entry.apply(conn)).collect()
    }
}

/// Holds queues, or lets them go on; going on also lets those entries go on that are held one by one. A session that was
/// deleted meanwhile is passed over.
#[derive(Debug, Clone)]
pub struct HoldSessions {
    /// Which.
    pub sessions: Vec<SessionId>,
    /// Whether they wait.
    pub held: bool,
}

impl Write for HoldSessions {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        let mut hold = conn.prepare_cached("UPDATE sessions SET held = ?2 WHERE id = ?1")?;
        let mut release = conn.prepare_cached(&format!(
            "UPDATE entries SET held = 0, set_aside = 0, process_id = (SELECT process FROM me), {SETTLE_UNANSWERED} \
             WHERE session_id = ?1 AND state = 'pending' AND held = 1"
        ))?;
        for session in self.sessions {
            hold.execute(params![session, self.held])?;
            if self.held {
                leases::give_back_if_idle(conn, session)?;
            } else {
                release.execute([session])?;
                let waits = "SELECT 1 FROM entries WHERE session_id = ?1 AND state = 'pending'";
                let waits = conn.prepare_cached(waits)?.exists([session])?;
                if waits { leases::claim(conn, session) } else { leases::tell(conn, session) }?;
            }
        }
        Ok(())
    }
}
