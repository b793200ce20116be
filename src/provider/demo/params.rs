//! What stands behind the `?` of a demo model: pace, size and failures of its answer. Pure: text in, parameters or the
//! list of what there is out.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::domain::time::parse_duration;
use crate::domain::{ErrorKind, ProviderError};

/// The longest pause of one step: what is longer is a typing error.
const MAX_PAUSE: Duration = Duration::from_secs(3_600);
/// Characters of a chunk.
const MAX_CHUNK_CHARS: usize = 1 << 16;
/// Repetitions of the text.
const MAX_REPEAT: u64 = 1_000_000;
/// Words of filler text.
const MAX_WORDS: usize = 1_000_000;
/// Failures that may be listed one after the other.
const MAX_FAILURES: usize = 16;
/// Reading speed: some 33 words a second.
const TOUR_DELAY: Duration = Duration::from_millis(30);
/// What is thought when `think=1` gives no words.
const THOUGHT: &str = "The question is read, a rule is chosen, the answer is put together.";

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// Shows chatmux.
    Tour,
    /// Gives the question back.
    Echo,
}

/// How an attempt fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// An HTTP status instead of an answer.
    Status(u16),
    /// The stream ends after so many chunks, without a stop reason.
    Cut(usize),
    /// The connection breaks after so many chunks.
    Reset(usize),
    /// Nothing comes after so many chunks.
    Stall(usize),
}

impl Fault {
    /// Chunks that come before it.
    pub(super) const fn after(self) -> usize {
        match self {
            Self::Status(_) => 0,
            Self::Cut(after) | Self::Reset(after) | Self::Stall(after) => after,
        }
    }
}

/// All that a model's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Params {
    pub(super) voice: Voice,
    /// Before the first chunk.
    pub(super) first: Duration,
    /// Meanwhile it shows every second that it lives.
    pub(super) alive: bool,
    /// Between two chunks.
    pub(super) delay: Duration,
    /// Characters of a chunk; `None`: a word with the blanks behind it.
    pub(super) chunk: Option<NonZeroUsize>,
    /// How often the text is said.
    pub(super) repeat: u64,
    /// Filler of so many words instead of an answer.
    pub(super) words: Option<usize>,
    /// What is thought before.
    pub(super) think: Option<String>,
    /// What a failing status says about waiting.
    pub(super) retry_after: Option<Duration>,
    /// The faults in the order of the attempts, and how many attempts each spoils; `None`: all that are left.
    faults: Vec<(Fault, Option<u32>)>,
}

/// The parameters as an error lists them.
const KNOWN: &str = "delay=20ms, first=1s, alive=1, chunk=4, repeat=3, words=100, think=TEXT, retry_after=2s, fail=429x2, \
                     fail=cut@5, fail=reset@5, fail=stall@5";

impl Params {
    /// Reads `tour`, `echo?delay=20ms&fail=429x2` …
    ///
    /// # Errors
    /// `NotFound` for another model, `Configuration` for a parameter that is unknown, wrong, or there twice.
    pub(super) fn parse(model: &str) -> Result<Self, ProviderError> {
        let (name, query) = model.split_once('?').unwrap_or((model, ""));
        let voice = match name {
            "tour" => Voice::Tour,
            "echo" => Voice::Echo,
            _ => {
                let text = format!("the demo has no model {name:?}: it has tour and echo");
                return Err(ProviderError::fatal(ErrorKind::NotFound, text));
            }
        };
        let delay = if voice == Voice::Tour { TOUR_DELAY } else { Duration::ZERO };
        let mut params = Self {
            voice,
            first: Duration::ZERO,
            alive: false,
            delay,
            chunk: None,
            repeat: 1,
            words: None,
            think: None,
            retry_after: None,
            faults: Vec::new(),
        };
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&key) || params.set(key, value).is_none() {
                let text = format!("the demo does not understand {pair:?}: there are {KNOWN}, each once, joined by &");
                return Err(ProviderError::fatal(ErrorKind::Configuration, text));
            }
            seen.push(key);
        }
        Ok(params)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "first" => self.first = pause(value)?,
            "alive" if value == "1" => self.alive = true,
            "delay" => self.delay = pause(value)?,
            "retry_after" => self.retry_after = Some(parse_duration(value).ok()?),
            "chunk" => self.chunk = Some(value.parse().ok().filter(|n: &NonZeroUsize| n.get() <= MAX_CHUNK_CHARS)?),
            "repeat" => self.repeat = value.parse().ok().filter(|n| *n <= MAX_REPEAT)?,
            "words" => self.words = Some(value.parse().ok().filter(|n| *n <= MAX_WORDS)?),
            "think" => {
                let text = if value == "1" { THOUGHT.to_owned() } else { value.replace('+', " ") };
                self.think = (!text.is_empty()).then_some(text);
            }
            "fail" => self.faults = faults(value)?,
            _ => return None,
        }
        Some(())
    }

    /// What becomes of this attempt; `attempt` counts from 1.
    pub(super) fn fault(&self, attempt: u32) -> Option<Fault> {
        let mut before = 0_u32;
        for (fault, times) in &self.faults {
            before = before.saturating_add(times.unwrap_or(u32::MAX));
            if attempt <= before {
                return Some(*fault);
            }
        }
        None
    }
}

fn pause(text: &str) -> Option<Duration> {
    parse_duration(text).ok().filter(|length| *length <= MAX_PAUSE)
}

/// `429`, `429x2`, `cut@5`, `cut@5x1`, and several of them with commas: the first ones first.
fn faults(list: &str) -> Option<Vec<(Fault, Option<u32>)>> {
    let faults: Vec<_> = list.split(',').map(fault).collect::<Option<_>>()?;
    (faults.len() <= MAX_FAILURES).then_some(faults)
}

fn fault(text: &str) -> Option<(Fault, Option<u32>)> {
    let (what, times) = match text.rsplit_once('x') {
        Some((what, times)) => (what, Some(times.parse().ok()?)),
        None => (text, None),
    };
    let fault = match what.split_once('@') {
        Some(("cut", after)) => Fault::Cut(after.parse().ok()?),
        Some(("reset", after)) => Fault::Reset(after.parse().ok()?),
        Some(("stall", after)) => Fault::Stall(after.parse().ok()?),
        Some(_) => return None,
        None => Fault::Status(what.parse().ok().filter(|status| (400..600).contains(status))?),
    };
    Some((fault, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        let params =
            Params::parse("echo?delay=20ms&first=1s&chunk=4&repeat=3&think=let+me+see&retry_after=2s").unwrap();
        assert_eq!((params.delay, params.first), (Duration::from_millis(20), Duration::from_secs(1)));
        assert_eq!((params.chunk, params.repeat), (NonZeroUsize::new(4), 3));
        assert_eq!((params.think.as_deref(), params.retry_after), (Some("let me see"), Some(Duration::from_secs(2))));
        assert_eq!(Params::parse("tour").unwrap().delay, TOUR_DELAY);
        assert_eq!(Params::parse("echo?").unwrap().delay, Duration::ZERO);
        assert_eq!(Params::parse("echo?think=1").unwrap().think.as_deref(), Some(THOUGHT));
    }

    #[test]
    fn faults_follow_the_attempts() {
        let check = |fail: &str, expected: [Option<Fault>; 4]| {
            let params = Params::parse(&format!("echo?fail={fail}")).unwrap();
            assert_eq!([1, 2, 3, 4].map(|attempt| params.fault(attempt)), expected, "{fail}");
        };
        let (busy, down, cut) = (Some(Fault::Status(429)), Some(Fault::Status(500)), Some(Fault::Cut(3)));
        check("429x2", [busy, busy, None, None]);
        check("500", [down; 4]);
        check("cut@3x1", [cut, None, None, None]);
        check("429x2,cut@3x1", [busy, busy, cut, None]);
        check("429x0,500", [down; 4]);
        check("reset@0,500", [Some(Fault::Reset(0)); 4]);
        check("429x1,stall@2", [busy, Some(Fault::Stall(2)), Some(Fault::Stall(2)), Some(Fault::Stall(2))]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for query in [
            "dely=1s",
            "delay=1",
            "delay=9h",
            "delay",
            "chunk=0",
            "repeat=x",
            "repeat=99999999",
            "words=-1",
            "fail=200",
            "fail=600",
            "fail=",
            "fail=cut",
            "fail=cut@",
            "fail=cut@1x",
            "fail=429x-1",
            "fail=burn@1",
            "retry_after=soon",
            "delay=1s&delay=2s",
        ] {
            let error = Params::parse(&format!("echo?{query}")).unwrap_err();
            assert_eq!((error.kind, error.retryable), (ErrorKind::Configuration, false), "{query}");
            assert!(error.text.contains("delay=20ms") && error.text.contains("fail=429x2"), "{error}");
        }
        let error = Params::parse("gpt").unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!(error.text, "the demo has no model \"gpt\": it has tour and echo");
    }
}
