//! The numbers that name things. Each is a row's `INTEGER PRIMARY KEY AUTOINCREMENT`, so none is ever used twice.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A session's number, as the person types it: 1, 2, 3 …
    SessionId
);
id!(
    /// A queue entry's number, shown as `#41`.
    EntryId
);
id!(
    /// A message row's number; within a session it grows with time.
    MessageId
);
id!(
    /// A process that works on the database, for as long as it is registered there.
    ProcessId
);
