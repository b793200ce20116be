//! All providers of a configuration, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ask::Http;
use super::clients::Clients;
use super::demo::Demo;
use super::{Kind, Profile, Provider, Recorder, Timeouts};
use crate::domain::{ErrorKind, ProviderError};

/// How alike a name must be to be meant (Jaro-Winkler; 1 is the same).
const MEANT: f64 = 0.75;

/// The providers that can be asked. Cheap to make: no client, no connection and no key before the first request.
#[derive(Debug)]
pub struct Providers {
    all: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    provider: Arc<dyn Provider>,
    kind: Kind,
    default_model: Option<String>,
    models: Vec<String>,
}

impl Providers {
    /// The providers of `profiles`, by the names they are keyed with. `recorder` takes what the servers reply.
    pub fn new(profiles: BTreeMap<String, Profile>, timeouts: Timeouts, recorder: Option<Recorder>) -> Self {
        let clients = Arc::new(Clients::new(profiles.values().filter(|p| p.kind.wire().is_some()), timeouts));
        let all = profiles.into_iter().map(|(name, profile)| {
            let (kind, default_model, models) = (profile.kind, profile.default_model.clone(), profile.models.clone());
            let provider: Arc<dyn Provider> = match kind.wire() {
                None => Arc::new(Demo::new(timeouts)),
                Some(wire) => Arc::new(Http::new(profile, wire, timeouts, Arc::clone(&clients), recorder.clone())),
            };
            (name, Entry { provider, kind, default_model, models })
        });
        Self { all: all.collect() }
    }

    /// The provider called `name`.
    ///
    /// # Errors
    /// Of kind `Configuration` when there is none; it names those that may be meant, or all.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Provider>, ProviderError> {
        match self.all.get(name) {
            Some(entry) => Ok(Arc::clone(&entry.provider)),
            None => Err(ProviderError::fatal(ErrorKind::Configuration, self.unknown(name))),
        }
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    /// The wire format of provider `name`.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        Some(self.all.get(name)?.kind)
    }

    /// What provider `name` alone means.
    pub fn default_model(&self, name: &str) -> Option<&str> {
        self.all.get(name)?.default_model.as_deref()
    }

    /// Every model that is known by name, as `PROVIDER:MODEL`, each provider's default first; for completion.
    pub fn models(&self) -> Vec<String> {
        let mut models = Vec::new();
        for (name, entry) in &self.all {
            for model in entry.default_model.iter().chain(&entry.models) {
                let full = format!("{name}:{model}");
                if !models.contains(&full) {
                    models.push(full);
                }
            }
        }
        models
    }

    fn unknown(&self, name: &str) -> String {
        let mut near: Vec<_> = self.names().map(|known| (strsim::jaro_winkler(name, known), known)).collect();
        near.retain(|(likeness, _)| *likeness >= MEANT);
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near: Vec<_> = near.into_iter().map(|(_, known)| known).collect();
        let all: Vec<_> = self.names().collect();
        match (near.is_empty(), all.is_empty()) {
            (false, _) => format!("no provider {name:?}: did you mean {}?", near.join(" or ")),
            (true, false) => format!("no provider {name:?}: there are {}", all.join(", ")),
            (true, true) => format!("no provider {name:?}: none is configured"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::KeySource;

    fn providers() -> Providers {
        let profile = |name: &str, kind, default: Option<&str>, models: &[&str]| {
            let profile = Profile {
                name: name.to_owned(),
                kind,
                base_url: "http://127.0.0.1:1".to_owned(),
                key: KeySource::None,
                default_model: default.map(str::to_owned),
                models: models.iter().map(|&m| m.to_owned()).collect(),
                auth_header: None,
                max_concurrent: None,
                headers: BTreeMap::new(),
                extra_body: serde_json::Map::new(),
            };
            (name.to_owned(), profile)
        };
        let all = [
            profile("openai", Kind::OpenAi, Some("gpt"), &["gpt", "mini"]),
            profile("demo", Kind::Demo, Some("tour"), &[]),
            profile("local", Kind::Ollama, None, &["qwen3:8b"]),
        ];
        Providers::new(all.into(), Timeouts::default(), None)
    }

    #[test]
    fn an_unknown_name_says_what_may_be_meant() {
        let check = |name: &str, text: &str| {
            let e = providers().get(name).unwrap_err();
            assert_eq!((e.kind, e.text.as_str()), (ErrorKind::Configuration, text));
        };
        check("opnai", "no provider \"opnai\": did you mean openai?");
        check("xyz", "no provider \"xyz\": there are demo, local, openai");
        assert!(providers().get("local").is_ok());
    }

    #[test]
    fn models_are_listed_once_with_their_provider() {
        let all = providers();
        assert_eq!(all.models(), ["demo:tour", "local:qwen3:8b", "openai:gpt", "openai:mini"]);
        assert_eq!((all.default_model("openai"), all.default_model("local")), (Some("gpt"), None));
        assert_eq!((all.kind("local"), all.kind("x")), (Some(Kind::Ollama), None));
    }
}
