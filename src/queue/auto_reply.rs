//! Auto-reply loops: after each answer of a session its text is queued again, as a `low` entry, until a brake ends the loop. Pure: what
//! has happened goes in, what follows comes out, and the coordinator has it committed together with the answer, so that a crash
//! neither loses an auto-reply nor sends one twice.

use std::fmt;
use std::time::Duration;

use crate::domain::{AutoReply, FinishReason, Span, Timestamp, Usage};

/// Bytes that count as a token where the provider does not count: English prose has about four characters a token.
const BYTES_PER_TOKEN: u64 = 4;

/// Why a loop ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brake {
    /// It has sent as many as it was given.
    Turns(u32),
    /// Its time is over.
    Time(Duration),
    /// It has used as many tokens as it was given.
    Tokens(u64),
    /// The answer has the word.
    Word(String),
    /// The answer is the one before.
    Repeat,
    /// A turn failed, or broke off.
    Failure,
    /// The model stopped otherwise than at the end of its answer.
    Stopped(FinishReason),
    /// The queue takes no more.
    Full,
    /// A person ended it.
    Person,
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turns(_) => write!(f, "no more are allowed (--max)"),
            Self::Time(length) => write!(f, "its {} are over (--for)", Span(*length)),
            Self::Tokens(tokens) => write!(f, "{tokens} tokens are used (auto_reply.max_tokens)"),
            Self::Word(word) => write!(f, "the answer says {word:?} (--until)"),
            Self::Repeat => write!(f, "the same answer came twice (auto_reply.stop_on_repeat)"),
            Self::Failure => write!(f, "a turn failed"),
            Self::Stopped(reason) => f.write_str(match reason {
                FinishReason::Stop => "the answer ended",
                FinishReason::Length => "the answer was cut at the token limit",
                FinishReason::Refusal => "the answer was refused",
                FinishReason::Filter => "the answer was filtered",
                FinishReason::Tool => "the model asked for a tool",
                FinishReason::Pause => "the server paused the answer",
                FinishReason::Error => "the server broke off the answer",
                FinishReason::Unknown => "the model stopped for a reason that is not known",
            }),
            Self::Full => write!(f, "the queue is full"),
            Self::Person => write!(f, "ended by hand"),
        }
    }
}

/// How a turn of the session ended, as a loop sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerEnd {
    /// Whole.
    Complete,
    /// The model stopped for this reason, which is another.
    Stopped(FinishReason),
    /// A person or an intervention cut it: no failure, but no whole answer either.
    Interrupted,
    /// It failed, or broke off by itself.
    Failed,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The next auto-reply is queued; the loop is this now.
    Again(AutoReply),
    /// The loop is over.
    Ended(Brake),
}

/// Judges at the end of a turn of the loop's session, a person's as well as one of its own.
pub fn after_answer(auto: &AutoReply, end: AnswerEnd, answer: &str, usage: Usage, now: Timestamp) -> Next {
    let mut auto = auto.clone();
    auto.tokens = auto.tokens.saturating_add(tokens(&usage, answer));
    let whole = end == AnswerEnd::Complete;
    let digest = whole.then(|| digest(answer));
    let repeated = digest.is_some() && digest == auto.last_answer;
    auto.last_answer = digest.or(auto.last_answer);
    let found = auto.until.as_deref().filter(|word| whole && has_word(answer, word)).map(str::to_owned);
    match (end, found) {
        (AnswerEnd::Failed, _) => Next::Ended(Brake::Failure),
        (AnswerEnd::Stopped(reason), _) => Next::Ended(Brake::Stopped(reason)),
        (AnswerEnd::Complete | AnswerEnd::Interrupted, Some(word)) => Next::Ended(Brake::Word(word)),
        (AnswerEnd::Complete | AnswerEnd::Interrupted, None) if repeated && auto.stop_on_repeat => {
            Next::Ended(Brake::Repeat)
        }
        (AnswerEnd::Complete | AnswerEnd::Interrupted, None) => go_on(auto, now),
    }
}

/// Judges whether a loop may queue its next auto-reply, apart from any answer: when it begins, or goes on after a restart.
pub fn go_on(mut auto: AutoReply, now: Timestamp) -> Next {
    if auto.turns >= auto.max_turns {
        return Next::Ended(Brake::Turns(auto.max_turns));
    }
    if now.since(auto.started_at) >= auto.max_time {
        return Next::Ended(Brake::Time(auto.max_time));
    }
    if auto.tokens >= auto.max_tokens {
        return Next::Ended(Brake::Tokens(auto.max_tokens));
    }
    auto.turns += 1;
    Next::Again(auto)
}

fn tokens(usage: &Usage, answer: &str) -> u64 {
    let output = usage.output.unwrap_or(answer.len() as u64 / BYTES_PER_TOKEN);
    output.saturating_add(usage.input.unwrap_or(0))
}

/// Whether `word` stands in `text` by itself: neither letter nor digit on either side of it. Case counts.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, found)| {
        let before = text[..at].chars().next_back().is_some_and(is_part);
        let behind = text[at + found.len()..].chars().next().is_some_and(is_part);
        let (first, last) = (word.chars().next().is_some_and(is_part), word.chars().next_back().is_some_and(is_part));
        !(before && first || behind && last)
    })
}

/// FNV-1a (64 bits) of the text without the blanks around it. The same in each version, for it is kept.
fn digest(text: &str) -> i64 {
    let hash = text
        .trim()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SessionId;

    fn auto() -> AutoReply {
        AutoReply {
            session: SessionId(1),
            text: "go on".into(),
            max_turns: 3,
            until: Some("DONE".into()),
            max_time: Duration::from_secs(60),
            max_tokens: 1_000,
            stop_on_repeat: true,
            started_at: Timestamp(0),
            turns: 1,
            tokens: 0,
            last_answer: None,
        }
    }

    fn check(auto: &AutoReply, end: AnswerEnd, answer: &str, now_s: i64, expected: Option<Brake>) {
        let usage = Usage { input: Some(10), output: Some(20) };
        match (after_answer(auto, end, answer, usage, Timestamp(now_s * 1_000)), expected) {
            (Next::Again(next), None) => assert_eq!((next.turns, next.tokens), (auto.turns + 1, auto.tokens + 30)),
            (Next::Ended(brake), Some(expected)) => assert_eq!(brake, expected),
            (next, expected) => panic!("{answer:?}: {next:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn each_brake_ends_it() {
        use AnswerEnd::{Complete, Failed, Interrupted, Stopped};
        check(&auto(), Complete, "more", 1, None);
        check(&auto(), Interrupted, "mo", 1, None);
        check(&auto(), Failed, "", 1, Some(Brake::Failure));
        for &reason in FinishReason::ALL {
            check(&auto(), Stopped(reason), "more DONE", 1, Some(Brake::Stopped(reason)));
        }
        check(&AutoReply { turns: 3, ..auto() }, Complete, "x", 1, Some(Brake::Turns(3)));
        check(&auto(), Complete, "x", 60, Some(Brake::Time(Duration::from_secs(60))));
        check(&auto(), Complete, "x", 59, None);
        check(&AutoReply { tokens: 970, ..auto() }, Complete, "x", 1, Some(Brake::Tokens(1_000)));
        check(&AutoReply { tokens: 969, ..auto() }, Complete, "x", 1, None);
        check(&auto(), Complete, "we are DONE.", 1, Some(Brake::Word("DONE".into())));
        check(&auto(), Interrupted, "we are DONE.", 1, None);
        check(&auto(), Complete, "UNDONE, done, DONE_1", 1, None);
    }

    #[test]
    fn the_same_answer_twice_ends_it() {
        let usage = Usage::default();
        let Next::Again(second) = after_answer(&auto(), AnswerEnd::Complete, "same\n", usage, Timestamp(1)) else {
            panic!()
        };
        let again = after_answer(&second, AnswerEnd::Complete, "same", usage, Timestamp(1));
        assert_eq!(again, Next::Ended(Brake::Repeat));
        // One that was cut says nothing about that, and does not hide what stood before it.
        let Next::Again(cut) = after_answer(&second, AnswerEnd::Interrupted, "sa", usage, Timestamp(1)) else {
            panic!()
        };
        let again = after_answer(&cut, AnswerEnd::Complete, "same", usage, Timestamp(1));
        assert_eq!(again, Next::Ended(Brake::Repeat));
    }

    #[test]
    fn a_word_is_found_by_itself_only() {
        let check = |text, word, found| assert_eq!(has_word(text, word), found, "{word:?} in {text:?}");
        check("DONE", "DONE", true);
        check("(DONE)", "DONE", true);
        check("UNDONE DONE", "DONE", true);
        check("ÄDONE", "DONE", false);
        check("[END]x", "[END]", true);
        check("", "DONE", false);
    }
}
