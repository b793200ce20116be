//! Gates: until when a provider asked to be left alone. What that means for what waits is the queue's business.

use rusqlite::{Connection, params};

use super::{Read, StoreError, Write};
use crate::domain::Timestamp;

/// Closes a provider's gate until some time, or opens it.
#[derive(Debug, Clone)]
pub struct SetGate {
    /// The provider's name.
    pub provider: String,
    /// Until when nothing is sent there; `None`: it is open.
    pub until: Option<Timestamp>,
}

impl Write for SetGate {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        match self.until {
            Some(until) => conn
                .prepare_cached(
                    "INSERT INTO gates (provider, until_ms) VALUES (?1, ?2) \
                     ON CONFLICT (provider) DO UPDATE SET until_ms = excluded.until_ms",
                )?
                .execute(params![self.provider, until])?,
            None => conn.prepare_cached("DELETE FROM gates WHERE provider = ?1")?.execute([self.provider])?,
        };
        Ok(())
    }
}

/// The gates that were closed and not opened since, by provider; some may be due.
#[derive(Debug, Clone, Copy)]
pub struct Gates;

impl Read for Gates {
    type Reply = Vec<(String, Timestamp)>;

    fn fetch(self, conn: &Connection) -> Result<Self::Reply, StoreError> {
        let mut statement = conn.prepare_cached("SELECT provider, until_ms FROM gates ORDER BY provider")?;
        Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
    }
}
