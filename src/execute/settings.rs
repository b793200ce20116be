//! `/set` and `/attach` carried out: what they change, and how it is said.

use serde_json::{Value, json};

use super::layout::{GAP, INDENT, NO_BREAK, pad, size, unbroken, wrap};
use super::{Answer, Done, Executor, Failure, files};
use crate::command::{AttachChange, DEFAULT, KEYS, SetChange, values};
use crate::coordinator::Settings;
use crate::domain::text::one_line;
use crate::domain::{Attachment, Look, Origin};
use crate::store::{Attached, Attachments};

/// Files that are named one by one in what is said.
const MAX_NAMED: usize = 3;
/// Characters of a file's name in what is said.
const NAME_CHARS: usize = 120;

impl Executor {
    pub(super) async fn set(&self, change: SetChange) -> Result<Done, Failure> {
        let settings = self.handle.settings().await?;
        let look = settings.look;
        match change {
            SetChange::Show => Ok(Done::Answered(set_answer(&settings, self.view().columns()))),
            SetChange::Notify(notify) => {
                let now = self.handle.set_notify(notify).await?;
                let why = if notify.is_none() { ", as the configuration says" } else { "" };
                Ok(Done::Said(format!("notify of session {} is {}{why}", now.session, now.notify())))
            }
            SetChange::Reasoning(reasoning) => self.look("reasoning", Look { reasoning, ..look }).await,
            SetChange::Render(render) => self.look("render", Look { render, ..look }).await,
            SetChange::Alert(alert) => self.look("alert", Look { alert, ..look }).await,
        }
    }

    async fn look(&self, key: &str, look: Look) -> Result<Done, Failure> {
        let now = self.handle.set_look(look).await?;
        if self.origin == Origin::Script {
            // Nobody looks at it.
            return Ok(Done::Quietly);
        }
        Ok(Done::Said(format!(
            "{key} is {} until chatmux ends: ui.{key} in the configuration keeps it",
            value(key, &now)
        )))
    }

    pub(super) async fn attach(&self, change: AttachChange) -> Result<Done, Failure> {
        match change {
            AttachChange::Show => {
                let session = self.handle.find(None).await?.id;
                let attached = self.store.read(Attachments { session }).await?;
                Ok(Done::Answered(attach_answer(&attached, self.view().columns())))
            }
            AttachChange::Off => {
                let dropped = self.handle.detach_files().await?;
                Ok(Done::Said(match dropped {
                    0 => "nothing is attached here".to_owned(),
                    1 => "the file that was attached does not go along any more".to_owned(),
                    many => format!("the {many} files that were attached do not go along any more"),
                }))
            }
            AttachChange::Files(names) => {
                let home = self.home.clone();
                // A disk may be slow, and streams go on meanwhile.
                let read = tokio::task::spawn_blocking(move || files::read(&names, home.as_deref())).await;
                let files = read.map_err(|error| Failure::of(error.to_string()))?;
                let files = files.map_err(|why| Failure::of(format!("/attach: {why}")))?;
                let said = said_of_attached(&files);
                self.handle.attach(files).await?;
                Ok(Done::Said(said))
            }
        }
    }
}

/// A key's value as it is now.
fn value(key: &str, settings: &Settings) -> &'static str {
    match key {
        "notify" => settings.notify().as_str(),
        "reasoning" => settings.look.reasoning.as_str(),
        "render" => settings.look.render.as_str(),
        _ => settings.look.alert.as_str(),
    }
}

/// All settings of the session: each with what it may be.
fn set_answer(settings: &Settings, columns: usize) -> Answer {
    let data: serde_json::Map<String, Value> =
        KEYS.iter().map(|key| ((*key).to_owned(), Value::from(value(key, settings)))).collect();
    let widest = KEYS.iter().map(|key| key.len()).max().unwrap_or(0);
    let shown = |key: &str| match settings.own_notify {
        None if key == "notify" => format!("{} ({DEFAULT})", value(key, settings)),
        _ => value(key, settings).to_owned(),
    };
    let values_width = KEYS.iter().map(|key| shown(key).len()).max().unwrap_or(0);
    let mut rows = Vec::new();
    for key in KEYS {
        let choices = values(key).join("|");
        let head = format!("{}{}{}", pad(key, widest), " ".repeat(GAP), pad(&shown(key), values_width));
        if head.len() + GAP + choices.len() <= columns {
            rows.push(format!("{head}{}{choices}", " ".repeat(GAP)));
        } else {
            rows.push(head.trim_end().to_owned());
            wrap(&mut rows, INDENT, INDENT, &choices, columns);
        }
    }
    Answer { command: "set", data: Value::Object(data), text: rows.join("\n") }
}

/// What is attached to a session.
fn attach_answer(attached: &[Attached], columns: usize) -> Answer {
    let data = attached.iter().map(|file| json!({ "name": file.name, "bytes": file.bytes })).collect();
    let mut rows = Vec::new();
    for file in attached {
        let name = unbroken(&one_line(&file.name, NAME_CHARS));
        wrap(&mut rows, "", INDENT, &format!("{name}, {}", size(file.bytes)), columns);
    }
    if rows.is_empty() {
        rows.push("nothing is attached: /attach FILE sends a file along with the next message".to_owned());
    }
    Answer { command: "attach", data: Value::Array(data), text: rows.join("\n") }
}

/// `attached src/main.rs, 3.4 KB: goes along with the next message`.
fn said_of_attached(files: &[Attachment]) -> String {
    let sized = |name: &str, bytes: usize| format!("{name}, {}", size(bytes as u64).replace(NO_BREAK, " "));
    let named = |file: &Attachment| sized(&one_line(&file.name, NAME_CHARS), file.text.len());
    let goes = if files.len() == 1 { "goes" } else { "they go" };
    let what = if files.len() <= MAX_NAMED {
        files.iter().map(named).collect::<Vec<_>>().join("; ")
    } else {
        sized(&format!("{} files", files.len()), files.iter().map(|file| file.text.len()).sum())
    };
    format!("attached {what}: {goes} along with the next message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Notify, SessionId};

    #[test]
    fn settings_stand_in_columns_or_one_above_the_other() {
        let mut settings =
            Settings { session: SessionId(2), own_notify: None, default_notify: Notify::Done, look: Look::default() };
        let rows = |settings: &Settings, columns| -> Vec<String> {
            set_answer(settings, columns).text.lines().map(str::to_owned).collect()
        };
        let wide = [
            "notify     done (default)  all|done|fail|none|default",
            "reasoning  dim             dim|hide|show",
            "render     markdown        markdown|plain",
            "alert      none            none|bell|osc9|osc777",
        ];
        assert_eq!(rows(&settings, 80), wide);
        let narrow = [
            "notify     done (default)",
            "    all|done|fail|none|default",
            "reasoning  dim",
            "    dim|hide|show",
            "render     markdown",
            "    markdown|plain",
            "alert      none",
            "    none|bell|osc9|osc777",
        ];
        assert_eq!(rows(&settings, 36), narrow);
        settings.own_notify = Some(Notify::Fail);
        let answer = set_answer(&settings, 80);
        assert_eq!(answer.text.lines().next(), Some("notify     fail      all|done|fail|none|default"));
        let expected = json!({ "notify": "fail", "reasoning": "dim", "render": "markdown", "alert": "none" });
        assert_eq!(answer.data, expected);
    }

    #[test]
    fn what_is_attached_is_said_in_one_line() {
        let files = |sizes: &[usize]| -> Vec<Attachment> {
            let file = |(nth, bytes): (usize, &usize)| Attachment { name: format!("f{nth}"), text: "a".repeat(*bytes) };
            sizes.iter().enumerate().map(file).collect()
        };
        let check = |sizes: &[usize], expected: &str| assert_eq!(said_of_attached(&files(sizes)), expected);
        check(&[3_412], "attached f0, 3.4 KB: goes along with the next message");
        check(&[1, 2], "attached f0, 1 B; f1, 2 B: they go along with the next message");
        check(&[1_000; 4], "attached 4 files, 4.0 KB: they go along with the next message");
        let odd = Attachment { name: "a\u{1b}[2J\nb".to_owned(), text: String::new() };
        assert_eq!(said_of_attached(&[odd]), "attached a␛[2J b, 0 B: goes along with the next message");
    }
}
