//! A configuration as a person could have written it, in TOML's several ways. It shares no code with `chatmux config show`.

use std::fmt::Write;

use serde_json::Value;

use crate::config::Config;
use crate::domain::time::format_duration;
use crate::provider::{KeySource, Profile, Timeouts};

/// Writes a configuration down, now in one of TOML's ways and now in another.
pub(super) struct Writer {
    styles: Vec<u8>,
    at: usize,
    out: String,
}

impl Writer {
    /// `styles`: which ways, one after the other.
    pub(super) fn new(styles: Vec<u8>) -> Self {
        Self { styles, at: 0, out: String::new() }
    }

    fn style(&mut self, of: u8) -> u8 {
        self.at += 1;
        self.styles[self.at % self.styles.len()] % of
    }

    fn text(&mut self, text: &str) -> String {
        let literal = !text.contains(|c: char| c == '\'' || c.is_control());
        match self.style(4) {
            0 if literal => format!("'{text}'"),
            1 if literal => format!("'''{text}'''"),
            2 => format!("\"\"\"{}\"\"\"", escaped(text)),
            _ => format!("\"{}\"", escaped(text)),
        }
    }

    fn key(&mut self, key: &str) -> String {
        let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if bare && self.style(3) > 0 { key.to_owned() } else { format!("\"{}\"", escaped(key)) }
    }

    fn value(&mut self, value: &Value) -> String {
        match value {
            Value::String(text) => self.text(text),
            Value::Number(number) if number.is_f64() => format!("{:?}", number.as_f64().unwrap()),
            Value::Array(all) => {
                let all: Vec<_> = all.iter().map(|value| self.value(value)).collect();
                if self.style(2) == 0 {
                    format!("[{}]", all.join(","))
                } else {
                    format!("[\n{} # x\n]", all.join(" ,\n") + if all.is_empty() { "" } else { "," })
                }
            }
            Value::Object(all) => {
                let all: Vec<_> = all.iter().map(|(k, v)| format!("{} = {}", self.key(k), self.value(v))).collect();
                format!("{{ {} }}", all.join(", "))
            }
            other => other.to_string(),
        }
    }

    fn line(&mut self, key: &str, value: &str) {
        let blank = ["", " ", "\t", "  "][usize::from(self.style(4))];
        let end = ["\n", "\r\n", " # é\n"][usize::from(self.style(3))];
        let key = self.key(key);
        let _ = write!(self.out, "{blank}{key} ={blank}{value}{end}");
    }

    fn section(&mut self, name: &str, pairs: &[(&str, String)]) {
        let _ = writeln!(self.out, "[ {name} ]");
        for (key, value) in pairs {
            self.line(key, value);
        }
    }

    /// The text that means `config`, whose providers `made` have sections.
    pub(super) fn whole(mut self, config: &Config, made: &[String]) -> String {
        let Config { model, on_start, providers, timeouts, queue, retry, lease, auto_reply, ui, record: _ } = config;
        let (model, on_start) = (self.text(&model.to_string()), self.text(on_start.as_str()));
        self.line("model", &model);
        self.line("on_start", &on_start);
        let time = |length| format!("'{}'", format_duration(length));
        let word = |word: &str| format!("\"{word}\"");
        let Timeouts { connect, headers, first, idle } = *timeouts;
        self.section("timeouts", &[("connect", time(connect)), ("headers", time(headers))]);
        self.line("first", &time(first));
        self.line("idle", &time(idle));
        let counts = [queue.max_concurrent, queue.max_pending, queue.max_pending_total].map(|n| n.to_string());
        let [most, pending, total] = counts;
        let ageing = time(queue.ageing);
        self.section("queue", &[("max_concurrent", most), ("max_pending", pending), ("max_pending_total", total)]);
        self.line("ageing", &ageing);
        self.line("preempt", &word(queue.preempt.as_str()));
        self.section("retry", &[("max_attempts", retry.max_attempts.to_string())]);
        self.line("initial_delay", &time(retry.initial_delay));
        self.line("max_delay", &time(retry.max_delay));
        self.line("multiplier", &format!("{:?}", retry.multiplier));
        self.line("jitter", &format!("{:?}", retry.jitter));
        self.line("max_retry_after", &time(retry.max_retry_after));
        self.line("mid_stream", &word(retry.mid_stream.as_str()));
        self.section("lease", &[("heartbeat", time(lease.heartbeat)), ("quiet_period", time(lease.quiet_period))]);
        self.line("max_wait", &time(lease.max_wait));
        self.line("check_interval", &time(lease.check_interval));
        self.section("auto_reply", &[("allow_interruption", auto_reply.allow_interruption.to_string())]);
        self.line("queue_position", &word(auto_reply.queue_position.as_str()));
        self.line("max_turns", &auto_reply.max_turns.to_string());
        self.line("max_time", &time(auto_reply.max_time));
        self.line("max_tokens", &auto_reply.max_tokens.to_string());
        self.line("stop_on_repeat", &auto_reply.stop_on_repeat.to_string());
        self.section("ui", &[("render", word(ui.render.as_str())), ("notify", word(ui.notify.as_str()))]);
        self.line("reasoning", &word(ui.reasoning.as_str()));
        self.line("edit_mode", &word(ui.edit_mode.as_str()));
        self.line("alert", &word(ui.alert.as_str()));
        self.line("alert_after", &time(ui.alert_after));
        self.line("plain", &ui.plain.to_string());
        for name in made {
            self.provider(&providers[name]);
        }
        self.out
    }

    fn provider(&mut self, profile: &Profile) {
        let title = self.key(&profile.name);
        self.section(&format!("providers . {title}"), &[("kind", format!("\"{}\"", profile.kind))]);
        if profile.base_url != profile.kind.base_url() {
            let url = self.text(&profile.base_url);
            self.line("base_url", &url);
        }
        if let KeySource::Env { name, .. } = &profile.key {
            let name = self.text(name);
            self.line("api_key_env", &name);
        }
        if let Some(model) = &profile.default_model {
            // With its provider before it, it can be read in one way only.
            let model = self.text(&format!("{}:{model}", profile.name));
            self.line("model", &model);
        }
        let models = self.value(&profile.models.clone().into());
        self.line("models", &models);
        if let Some(header) = &profile.auth_header {
            let header = self.text(header);
            self.line("auth_header", &header);
        }
        if let Some(most) = profile.max_concurrent {
            self.line("max_concurrent", &most.to_string());
        }
        let headers = profile.headers.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        for (name, members) in [("headers", headers), ("extra_body", profile.extra_body.clone())] {
            let members = self.value(&Value::Object(members));
            self.line(name, &members);
        }
    }
}

/// All that is not plain as an escape of TOML.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        c if c.is_ascii_alphanumeric() || " :/._-".contains(c) => c.to_string(),
        c if u32::from(c) < 0x1_0000 => format!("\\u{:04x}", u32::from(c)),
        c => format!("\\U{:08X}", u32::from(c)),
    };
    text.chars().map(escape).collect()
}
