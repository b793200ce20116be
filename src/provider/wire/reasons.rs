//! The words with which servers say why a model stopped, and what they mean.
//!
//! One table for all formats: gateways pass on the words of whatever stands behind them. Sources, read in November 2026: the types
//! of openai-python, anthropic-sdk-python (`StopReason`), python-genai (`FinishReason`, `BlockedReason`), Ollama's
//! `llm/server.go` (`DoneReason`), client-python of Mistral, the SDKs of Groq, Together and xAI, vLLM's `FINISH_REASON_STRINGS`,
//! the provider packages of vercel/ai, and LiteLLM's map of finish reasons.

use crate::domain::FinishReason;

/// What `word` means, whatever its case; `None` where it says that the model has not stopped. Every vendor calls its list open, so
/// an unlisted word is `Unknown`, never an error.
pub(super) fn meaning(word: &str) -> Option<FinishReason> {
    let word = word.trim().to_ascii_lowercase().replace('-', "_");
    let word = word.strip_prefix("reason_").unwrap_or(&word);
    Some(match word {
        "" | "null" | "none" | "in_progress" | "queued" => return None,
        "stop" | "end" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "complete" | "completed" | "finish"
        | "finished" => FinishReason::Stop,
        "length"
        | "max_tokens"
        | "max_output_tokens"
        | "model_length"
        | "model_context_window_exceeded"
        | "max_len"
        | "max_context"
        | "max_length"
        | "limit"
        | "token_limit" => FinishReason::Length,
        "refusal" => FinishReason::Refusal,
        "content_filter"
        | "content_filtered"
        | "guardrail_intervened"
        | "sensitive"
        | "safety"
        | "recitation"
        | "language"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "image_safety"
        | "image_prohibited_content"
        | "image_recitation"
        | "escalation"
        | "model_armor"
        | "jailbreak"
        | "error_toxic" => FinishReason::Filter,
        "tool_calls" | "tool_call" | "tool_use" | "function_call" | "requires_action" => FinishReason::Tool,
        "pause_turn" | "compaction" => FinishReason::Pause,
        "error"
        | "failed"
        | "abort"
        | "aborted"
        | "cancelled"
        | "canceled"
        | "insufficient_system_resource"
        | "network_error"
        | "repetition"
        | "malformed_function_call"
        | "unexpected_tool_call"
        | "too_many_tool_calls"
        | "missing_thought_signature"
        | "malformed_response"
        | "malformed_model_output"
        | "malformed_tool_use"
        | "no_image"
        | "image_other"
        | "time_limit"
        | "error_limit" => FinishReason::Error,
        _ => FinishReason::Unknown,
    })
}

/// Whether the word itself tells a person more than the reason that it means.
pub(super) fn is_telling(word: &str, reason: FinishReason) -> bool {
    let plain = word.trim().to_ascii_lowercase().replace('-', "_");
    match reason {
        FinishReason::Unknown => true,
        FinishReason::Filter => !matches!(plain.as_str(), "content_filter" | "content_filtered"),
        FinishReason::Error => plain != "error",
        FinishReason::Stop
        | FinishReason::Length
        | FinishReason::Refusal
        | FinishReason::Tool
        | FinishReason::Pause => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_their_vendors_say() {
        let check = |words: &[&str], expected: Option<FinishReason>| {
            for word in words {
                assert_eq!(meaning(word), expected, "{word}");
            }
        };
        check(&["stop", "eos", "end_turn", "stop_sequence", "STOP", "COMPLETE"], Some(FinishReason::Stop));
        let length =
            ["length", "max_tokens", "MAX_TOKENS", "model_length", "model_context_window_exceeded", "REASON_MAX_LEN"];
        check(&length, Some(FinishReason::Length));
        check(&["refusal"], Some(FinishReason::Refusal));
        check(
            &["content_filter", "content-filter", "SAFETY", "RECITATION", "SPII", "sensitive"],
            Some(FinishReason::Filter),
        );
        check(&["tool_calls", "tool_use", "function_call", "tool-calls"], Some(FinishReason::Tool));
        check(&["pause_turn"], Some(FinishReason::Pause));
        let error =
            ["error", "abort", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL", "TOO_MANY_TOOL_CALLS"];
        check(&error, Some(FinishReason::Error));
        check(&["OTHER", "FINISH_REASON_UNSPECIFIED", "of_tomorrow", "load"], Some(FinishReason::Unknown));
        check(&["", " ", "null", "None", "NULL"], None);
    }
}
