//! What a server has been found not to take, or to allow, so that it is asked in that way no second time. In memory, as long as the
//! program runs.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::wire::Options;

/// Models of one provider about which something is remembered; beyond it nothing more is.
const MAX_MODELS: usize = 256;

/// What is known of one provider.
#[derive(Debug, Default)]
pub(crate) struct Learned(watch::Sender<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The server refuses `stream_options`.
    no_usage: bool,
    models: BTreeMap<String, Model>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Model {
    /// It does not take the beginning of its answer.
    no_prefill: bool,
    /// The output limit that it was found to take, in tokens.
    max_tokens: Option<u32>,
}

impl Learned {
    /// `options` for `model` without what is known to be refused.
    pub(crate) fn apply(&self, model: &str, options: Options) -> Options {
        let all = self.0.borrow();
        let known = all.models.get(model).copied().unwrap_or_default();
        Options {
            usage: options.usage && !all.no_usage,
            prefill: options.prefill && !known.no_prefill,
            max_tokens: known.max_tokens.or(options.max_tokens),
        }
    }

    /// `model` took `options`, of which the server had refused some at first.
    pub(crate) fn note(&self, model: &str, asked: Options, taken: Options) {
        if asked == taken {
            return;
        }
        self.0.send_modify(|all| {
            all.no_usage |= asked.usage && !taken.usage;
            if all.models.len() < MAX_MODELS || all.models.contains_key(model) {
                let known = all.models.entry(model.to_owned()).or_default();
                known.no_prefill |= asked.prefill && !taken.prefill;
                if asked.max_tokens != taken.max_tokens {
                    known.max_tokens = taken.max_tokens;
                }
            }
        });
    }
}

/// Whether a refusal is about the output limit.
pub(crate) fn is_about_limit(said: &str) -> bool {
    let lower = said.to_lowercase();
    let words = ["max_tokens", "max tokens", "output tokens", "completion tokens", "maxtokens"];
    words.iter().any(|word| lower.contains(word))
}

/// The output limit that a refusal of `asked` tokens names. Anthropic says "max_tokens: 64001 > 64000, which is the maximum allowed
/// number of output tokens for …"; others name it in other words, or not at all.
pub(crate) fn named_limit(said: &str, asked: u32) -> Option<u32> {
    numbers(said).into_iter().filter(|n| (256..asked).contains(n)).max()
}

/// The next output limit to try where none is known; `None` where none is left.
pub(crate) fn next_limit(asked: u32) -> Option<u32> {
    [64_000, 32_000, 8_192, 4_096].into_iter().find(|step| *step < asked)
}

/// What is left of the context window for an answer, when a server refused a conversation together with `asked` tokens for its
/// answer, as far as it names the window and the conversation's size: "140000 + 64000 > 200000", or "maximum context length is 16384
/// tokens, but you requested 32010 (10 in the messages, 32000 in the completion)".
pub(crate) fn room(said: &str, asked: u32) -> Option<u32> {
    const MIN_ROOM: u32 = 256;
    let mut named = numbers(said);
    if !named.contains(&asked) {
        return None;
    }
    // Some name them twice.
    named.retain(|n| *n != asked);
    named.sort_unstable();
    named.dedup();
    // The two together may be named as well.
    let sum = |input: &&u32| named.iter().any(|total| Some(*total) == input.checked_add(asked));
    let (window, input) = match named.iter().find(sum).copied() {
        Some(input) => (named.iter().copied().filter(|n| *n != input && *n != input + asked).max()?, input),
        None => {
            let window = named.iter().copied().max()?;
            (window, named.iter().copied().filter(|n| *n != window).max()?)
        }
    };
    window.checked_sub(input).filter(|room| (MIN_ROOM..asked).contains(room))
}

fn numbers(said: &str) -> Vec<u32> {
    let digits = said.split(|c: char| !c.is_ascii_digit() && c != ',').map(|digits| digits.replace(',', ""));
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_limit() {
        let check = |said: &str, asked, expected| assert_eq!(named_limit(said, asked), expected, "{said}");
        let anthropic =
            "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude-haiku-4-5";
        check(anthropic, 128_000, Some(64_000));
        let openai = "max_tokens is too large: 32000. This model supports at most 16,384 completion tokens";
        check(openai, 32_000, Some(16_384));
        check("max_tokens must be less than or equal to 4096", 32_000, Some(4_096));
        check("Invalid max_tokens value, the valid range is [1, 8192]", 128_000, Some(8_192));
        check("max_tokens is too large", 128_000, None);
        assert!(
            is_about_limit(anthropic)
                && is_about_limit(openai)
                && !is_about_limit("messages: at least one is required")
        );
        assert_eq!([128_000, 10_000, 8_192, 4_096].map(next_limit), [Some(64_000), Some(8_192), Some(4_096), None]);
    }

    #[test]
    fn the_room_that_a_conversation_leaves_is_found() {
        let check = |said: &str, asked, expected| assert_eq!(room(said, asked), expected, "{said}");
        let anthropic =
            "input length and `max_tokens` exceed context limit: 140000 + 64000 > 200000, decrease input length";
        check(anthropic, 64_000, Some(60_000));
        let vllm = "This model's maximum context length is 16384 tokens. However, you requested 32010 tokens (10 in the messages, 32000 in the completion).";
        check(vllm, 32_000, Some(16_374));
        let newer = "'max_tokens' is too large: 32000. This model's maximum context length is 8192 tokens and your request has 30 input tokens (32000 > 8192 - 30).";
        check(newer, 32_000, Some(8_162));
        check("prompt is too long: 213462 tokens > 200000 maximum", 64_000, None);
        check("input length and `max_tokens` exceed context limit: 199990 + 64000 > 200000", 64_000, None);
    }

    #[test]
    fn what_was_refused_is_not_asked_again() {
        let (learned, all) = (Learned::default(), Options { usage: true, prefill: true, max_tokens: Some(128_000) });
        assert_eq!(learned.apply("m", all), all);
        let fewer = Options { usage: false, prefill: false, max_tokens: Some(8_192) };
        learned.note("m", all, fewer);
        assert_eq!(learned.apply("m", all), fewer);
        assert_eq!(learned.apply("other", all), Options { usage: false, ..all });
    }
}
