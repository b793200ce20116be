//! The embedded model.

use futures_util::stream;

use super::{Pieces, Provider, Request};
use crate::domain::{ErrorKind, ProviderError};

/// The embedded model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demo;

impl Demo {
    /// The embedded model.
    pub fn new() -> Self {
        Self
    }
}

impl Provider for Demo {
    fn stream(&self, _request: Request) -> Pieces {
        let e = ProviderError::fatal(ErrorKind::Configuration, "the embedded model is not part of this build");
        Box::pin(stream::iter([Err(e)]))
    }
}
