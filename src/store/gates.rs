//! Gates: until when a model is to be left alone. What that means for what waits is the queue's business.

use rusqlite::{Connection, params};

use super::{Read, StoreError, Write};
use crate::domain::{ModelName, Timestamp};

/// Closes a model's gate until some time, or opens it. What is due by now is forgotten.
#[derive(Debug, Clone)]
pub struct SetGate {
    /// Which.
    pub model: ModelName,
    /// Until when nothing is sent there; `None`: it is open.
    pub until: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

impl Write for SetGate {
    type Reply = ();

    fn apply(self, conn: &Connection) -> Result<(), StoreError> {
        conn.prepare_cached("DELETE FROM gates WHERE until_ms <= ?1 OR model = ?2")?
            .execute(params![self.now, self.model])?;
        if let Some(until) = self.until {
            conn.prepare_cached("INSERT INTO gates (model, until_ms) VALUES (?1, ?2)")?
                .execute(params![self.model, until])?;
        }
        Ok(())
    }
}

/// The gates that were closed and not opened since, by model; some may be due.
#[derive(Debug, Clone, Copy)]
pub struct Gates;

impl Read for Gates {
    type Reply = Vec<(ModelName, Timestamp)>;

    fn fetch(self, conn: &Connection) -> Result<Self::Reply, StoreError> {
        let mut statement = conn.prepare_cached("SELECT model, until_ms FROM gates ORDER BY model")?;
        Ok(statement.query_map([], |row| Ok((row.get("model")?, row.get("until_ms")?)))?.collect::<Result<_, _>>()?)
    }
}
