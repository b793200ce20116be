//! Fuzz targets: what reads other people's bytes is given made-up ones, built as the real ones are and then damaged.
//!
//! A target is a test named `fuzz_…`, here for what has a public face, and in `src/provider/fuzz` for the decoders. `cargo test` runs each for
//! some hundred cases that are new every time. For longer, all of them one after the other, each for five minutes:
//!
//! ```sh
//! CHATMUX_FUZZ_SECONDS=300 cargo test --release --lib fuzz_ -- --test-threads=1
//! ```
//!
//! Each says then how many cases it tried. A failure prints the smallest input that was found, and the seed: with
//! `CHATMUX_FUZZ_SEED` set to it the same cases come again. Nothing but stable Rust is needed; what coverage would find, the
//! structure of the inputs has to.

mod command;
mod config;
mod config_text;
mod replay;
mod salvage;

use std::fmt::Display;
use std::io::Write;
use std::str::FromStr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

/// How long each target runs; without it for one batch of cases.
const SECONDS: &str = "CHATMUX_FUZZ_SECONDS";
/// The seed of the first batch.
const SEED: &str = "CHATMUX_FUZZ_SEED";

/// Gives `check` inputs, in batches of `cases`. A panic in it is a finding.
pub(crate) fn fuzz<S: Strategy>(target: &str, cases: u32, inputs: &S, check: impl Fn(S::Value)) {
    let length: Option<u64> = variable(SECONDS);
    let seed = variable(SEED).unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let (began, mut batches) = (Instant::now(), 0);
    loop {
        let seed = seed + batches;
        let config = ProptestConfig {
            cases,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let outcome = TestRunner::new(config).run(inputs, |input| {
            check(input);
            Ok(())
        });
        if let Err(finding) = outcome {
            panic!("{target}, {SEED}={seed}: {finding}");
        }
        batches += 1;
        if began.elapsed() >= Duration::from_secs(length.unwrap_or(0)) {
            break;
        }
    }
    if length.is_some() {
        let (cases, seconds) = (batches * u64::from(cases), began.elapsed().as_secs());
        writeln!(std::io::stderr(), "{target}: {cases} cases in {seconds} s, nothing found; first seed {seed}")
            .unwrap();
    }
}

fn variable<T: FromStr<Err: Display>>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Damage to bytes.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    /// This byte stands there instead.
    Replace(usize, u8),
    /// These come in between.
    Insert(usize, Vec<u8>),
    /// So many are missing.
    Remove(usize, usize),
    /// So many stand there twice.
    Repeat(usize, usize),
    /// Nothing comes behind it.
    End(usize),
}

impl Damage {
    /// Does it, at a place within `bytes`. Gives back the first byte that may be another than before.
    pub(crate) fn strike(self, bytes: &mut Vec<u8>) -> usize {
        let len = bytes.len();
        let place = |at: usize| at % (len + 1);
        match self {
            Self::Replace(at, byte) => {
                let at = place(at);
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
                at
            }
            Self::Insert(at, junk) => {
                bytes.splice(place(at)..place(at), junk);
                place(at)
            }
            Self::Remove(at, count) => {
                bytes.drain(place(at)..(place(at) + count).min(len));
                place(at)
            }
            Self::Repeat(at, count) => {
                let end = (place(at) + count).min(len);
                let twice = bytes[place(at)..end].to_vec();
                bytes.splice(end..end, twice);
                end
            }
            Self::End(at) => {
                bytes.truncate(place(at));
                place(at)
            }
        }
    }
}

/// Damage of all kinds; `junk` is what such bytes are likely to trip over.
pub(crate) fn damage(junk: &'static [&'static [u8]]) -> impl Strategy<Value = Damage> {
    let at = || any::<u16>().prop_map(usize::from);
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        6 => (at(), prop::sample::select(junk)).prop_map(|(at, bytes)| Damage::Insert(at, bytes.to_vec())),
        2 => (at(), 1usize..20).prop_map(|(at, count)| Damage::Remove(at, count)),
        2 => (at(), 1usize..60).prop_map(|(at, count)| Damage::Repeat(at, count)),
        1 => at().prop_map(Damage::End),
    ]
}

/// The pieces of `bytes` between the cuts.
pub(crate) fn cut(bytes: &[u8], cuts: &[u16]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|at| usize::from(*at) % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|w| bytes[w[0]..w[1]].to_vec()).collect()
}
