//! Why a model stopped, and the line that tells a person so.

use super::kinds::FinishReason;
use super::message::{StoredError, Usage};
use super::text::count;

/// The end that a model gave its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// Why it stopped.
    pub reason: FinishReason,
    /// What the server says about it: the text of a refusal, the category of a filter, the name of the requested tool, a word
    /// that this version does not know. One line, safe to show; at most [`MAX_DETAIL_CHARS`].
    pub detail: Option<String>,
}

/// Characters of [`Finish::detail`]; a longer text is cut.
pub const MAX_DETAIL_CHARS: usize = 200;

impl From<FinishReason> for Finish {
    fn from(reason: FinishReason) -> Self {
        Self { reason, detail: None }
    }
}

impl Finish {
    /// What a person is told about this end, without brackets, with the next step where there is one. `None` for a whole
    /// answer. `output` is the number of tokens that the answer took.
    pub fn text(&self, has_text: bool, output: Option<u64>) -> Option<String> {
        let detail = self.detail.as_deref().filter(|detail| !detail.is_empty());
        let with = |word: &str| detail.map_or_else(|| word.to_owned(), |detail| format!("{word}: {detail}"));
        Some(match self.reason {
            FinishReason::Stop | FinishReason::Unknown if has_text => return None,
            FinishReason::Stop => "empty answer: /retry".to_owned(),
            FinishReason::Unknown => match detail {
                Some(word) => format!("empty answer ({word}): /retry"),
                None => "empty answer: /retry".to_owned(),
            },
            FinishReason::Length => {
                let limit = output.filter(|n| *n > 0).map_or_else(
                    || "the token limit".to_owned(),
                    |n| format!("{} {}", count(n), if n == 1 { "token" } else { "tokens" }),
                );
                if has_text {
                    format!("cut at {limit}: /continue")
                } else {
                    format!("cut at {limit} before any text: raise the limit, then /retry")
                }
            }
            FinishReason::Refusal => with("refused"),
            FinishReason::Filter => with("filtered"),
            FinishReason::Tool => match detail {
                Some(name) => format!("asked for the tool {name}, which chatmux does not have"),
                None => "asked for a tool, which chatmux does not have".to_owned(),
            },
            FinishReason::Pause if has_text => "paused by the server: /continue".to_owned(),
            FinishReason::Pause => "paused by the server before any text: /retry".to_owned(),
            FinishReason::Error if has_text => format!("{}: /continue", with("the server broke off")),
            FinishReason::Error => with("the server broke off"),
        })
    }

    /// [`Finish::text`] in brackets, as it stands below an answer.
    pub fn line(&self, has_text: bool, output: Option<u64>) -> Option<String> {
        self.text(has_text, output).map(|text| format!("[{text}]"))
    }
}

/// What is wrong with an answer that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It failed, or broke off.
    Error(StoredError),
    /// The model stopped, but not as one wants: [`Finish::text`].
    Finish(String),
}

impl Problem {
    /// `None`: all is well, or somebody wanted the answer to end. An answer without text has an error.
    pub fn of(finish: Option<&Finish>, usage: Usage, error: Option<&StoredError>) -> Option<Self> {
        match (error, finish) {
            (Some(error), _) => Some(Self::Error(error.clone())),
            (None, Some(finish)) => finish.text(true, usage.output).map(Self::Finish),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_but_a_whole_answer_has_a_line() {
        let check = |reason, detail: &str, has_text, output, expected: Option<&str>| {
            let finish = Finish { reason, detail: (!detail.is_empty()).then(|| detail.to_owned()) };
            assert_eq!(finish.line(has_text, output).as_deref(), expected);
        };
        check(FinishReason::Stop, "", true, Some(5), None);
        check(FinishReason::Stop, "", false, None, Some("[empty answer: /retry]"));
        check(FinishReason::Unknown, "load", true, None, None);
        check(FinishReason::Unknown, "load", false, None, Some("[empty answer (load): /retry]"));
        check(FinishReason::Length, "", true, Some(8_192), Some("[cut at 8,192 tokens: /continue]"));
        check(FinishReason::Length, "", true, None, Some("[cut at the token limit: /continue]"));
        check(
            FinishReason::Length,
            "",
            false,
            Some(1),
            Some("[cut at 1 token before any text: raise the limit, then /retry]"),
        );
        check(FinishReason::Refusal, "cyber", true, None, Some("[refused: cyber]"));
        check(FinishReason::Refusal, "", false, None, Some("[refused]"));
        check(FinishReason::Filter, "SAFETY", true, None, Some("[filtered: SAFETY]"));
        check(
            FinishReason::Tool,
            "get_weather",
            true,
            None,
            Some("[asked for the tool get_weather, which chatmux does not have]"),
        );
        check(FinishReason::Tool, "", false, None, Some("[asked for a tool, which chatmux does not have]"));
        check(FinishReason::Pause, "", true, None, Some("[paused by the server: /continue]"));
        check(FinishReason::Pause, "", false, None, Some("[paused by the server before any text: /retry]"));
        check(FinishReason::Error, "no", true, None, Some("[the server broke off: no: /continue]"));
        check(FinishReason::Error, "", false, None, Some("[the server broke off]"));
    }
}
