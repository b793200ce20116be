//! What `demo:tour` says: a text made by rules from the question, the topic in it, and how many questions there were. The
//! texts themselves are in `topics`.

use super::topics::{FAREWELL, STEPS, TOPICS, Topic, WELCOME};
use crate::domain::text::one_line;
use crate::domain::{ChatMessage, Role};

/// Characters of the question that an answer quotes.
const MAX_QUOTE_CHARS: usize = 60;
/// Bytes of the question that are searched for topics; the rest of a pasted file says nothing about chatmux.
const MAX_SEARCHED_BYTES: usize = 4 << 10;
/// Places in the conversation that an answer under way is looked for at.
const MAX_EARLIER: usize = 100;
/// Sentences of filler, over and over; numbered, so that a gap or a repeat can be seen.
const FILLER: [&str; 3] = [
    "A line of filler runs across the screen, and nobody needs to read it.",
    "It stands in for an answer that takes its time, so that one can look elsewhere meanwhile.",
    "Whoever returns finds every word of it in its place.",
];

/// The answer to the last of these messages, of which `said` is out already: where other turns came between, it goes on as the
/// answer to the question that it was.
pub(super) fn answer(system: &str, messages: &[ChatMessage], said: &str) -> String {
    let mut questions = messages.iter().filter(|message| message.role == Role::User);
    let count = questions.clone().count();
    let question = questions.next_back().map_or("", |message| message.text.as_str());
    let whole = nth_answer(system, question, count);
    if whole.starts_with(said) {
        return whole;
    }
    let others = (1..count).rev().take(MAX_EARLIER).map(|count| nth_answer(system, question, count));
    others.into_iter().find(|other| other.starts_with(said)).unwrap_or(whole)
}

fn nth_answer(system: &str, question: &str, count: usize) -> String {
    let quote = one_line(question, MAX_QUOTE_CHARS);
    let topic = topic_of(question);
    // The welcome takes the first question, the steps the following ones.
    let step = |nth: usize| nth.checked_sub(2).and_then(|at| STEPS.get(at)).copied();
    let mut paragraphs = Vec::new();
    if count <= 1 {
        paragraphs.push(match quote.is_empty() {
            true => "Welcome to chatmux.".to_owned(),
            false => format!("Welcome to chatmux. You wrote: “{quote}”."),
        });
        if let Some(topic) = topic {
            paragraphs.push(
                "I am `demo:tour`, the embedded demo: a few rules and no language model. But on this I have a word to say."
                    .to_owned(),
            );
            paragraphs.push(topic.text.to_owned());
            paragraphs
                .push("The prompt is open while I speak: type your next line now, it will wait its turn.".to_owned());
        } else {
            paragraphs.push(WELCOME.to_owned());
        }
    } else {
        let about = topic.or_else(|| named(step(count)?));
        let lead = match (topic, about) {
            (None, Some(about)) => format!(" No rule of mine fits it, so the tour goes on with {}.", about.name),
            (Some(topic), _) => format!(" This is about {}.", topic.name),
            (None, None) => String::new(),
        };
        paragraphs.push(format!("Question {count} of this conversation: “{quote}”.{lead}"));
        paragraphs.push(about.map_or(FAREWELL, |about| about.text).to_owned());
    }
    if topic.is_some_and(|topic| topic.name == "system prompts") && !system.trim().is_empty() {
        paragraphs.push(format!("Yours is: “{}”.", one_line(system, MAX_QUOTE_CHARS)));
    }
    if let Some(next) = step(count.max(1) + 1) {
        paragraphs.push(format!("Say anything, and the next stop is {next}."));
    }
    paragraphs.join("\n\n") + "\n"
}

fn named(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// The topic with the most keywords in the question.
fn topic_of(question: &str) -> Option<&'static Topic> {
    let start = &question[..question.floor_char_boundary(MAX_SEARCHED_BYTES)];
    let lower = start.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let fits = |word: &str, keyword: &str| match keyword.strip_suffix('*') {
        Some(stem) => word.starts_with(stem),
        None => word == keyword,
    };
    let score = |topic: &Topic| words.iter().filter(|word| topic.keywords.iter().any(|key| fits(word, key))).count();
    // `max_by_key` takes the last of equals; seen backwards that is the first.
    TOPICS
        .iter()
        .rev()
        .map(|topic| (score(topic), topic))
        .filter(|(n, _)| *n > 0)
        .max_by_key(|(n, _)| *n)
        .map(|(_, t)| t)
}

/// So many words of a text without meaning.
pub(super) fn filler(words: usize) -> String {
    let mut text = String::new();
    let mut left = words;
    for (nth, sentence) in FILLER.iter().cycle().enumerate() {
        if left == 0 {
            break;
        }
        let number = format!("{}.", nth + 1);
        let parts = std::iter::once(number.as_str()).chain(sentence.split(' '));
        let taken: Vec<&str> = parts.take(left).collect();
        left -= taken.len();
        text.push_str(&taken.join(" "));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conversation(questions: &[&str]) -> Vec<ChatMessage> {
        let turn = |text: &&str| {
            let question = ChatMessage { role: Role::User, text: (*text).to_owned() };
            [question, ChatMessage { role: Role::Assistant, text: "…".to_owned() }]
        };
        let mut messages: Vec<_> = questions.iter().flat_map(turn).collect();
        messages.pop();
        messages
    }

    #[test]
    fn a_question_is_answered_by_its_topic() {
        let check = |question: &str, name: &str| {
            assert_eq!(topic_of(question).map(|topic| topic.name), Some(name).filter(|n| !n.is_empty()), "{question}");
        };
        check("How do I switch between sessions in the background?", "switching");
        check("what happens after a crash?", "crashes");
        check("list my SESSIONS", "sessions");
        check("can I queue more?", "the queue");
        check("how do I cancel it", "interrupting");
        check("show the history", "history");
        check("which API key for OpenAI?", "models and keys");
        check("can I pipe a script into it", "scripts");
        check("does it render markdown", "markdown");
        check("how do I quit?", "leaving");
        check("help", "help");
        check("are you an AI?", "the demo");
        check("rename it", "names");
        check("set the system prompt", "system prompts");
        check("send it to everyone", "sending");
        check("zwölf Boxkämpfer", "");
        check("", "");
    }

    #[test]
    fn the_tour_goes_on_with_each_question() {
        let mut questions = Vec::new();
        let mut names = Vec::new();
        for _ in 0..STEPS.len() + 3 {
            questions.push("hmm 日本");
            names.push(answer("", &conversation(&questions), ""));
        }
        assert!(names[0].starts_with("Welcome to chatmux. You wrote: “hmm 日本”."), "{}", names[0]);
        assert!(
            names[0].contains("no language model")
                && names[0].contains("/new")
                && names[0].contains("next stop is switching")
        );
        for (nth, name) in STEPS.iter().enumerate() {
            assert!(names[nth + 1].starts_with(&format!("Question {} of this conversation: “hmm 日本”.", nth + 2)));
            assert!(names[nth + 1].contains(named(name).unwrap().text), "{name}");
        }
        assert!(names[STEPS.len() + 1].contains(FAREWELL) && names[STEPS.len() + 2].contains(FAREWELL));
    }

    #[test]
    fn a_topic_beats_the_tour_and_the_system_prompt_is_quoted() {
        let text = answer("Be  brief.\nPlease.", &conversation(&["hi", "what is the system prompt?"]), "");
        assert!(
            text.contains("This is about system prompts.") && text.contains("Yours is: “Be brief. Please.”"),
            "{text}"
        );
        let first = answer("", &conversation(&["how do I quit?"]), "");
        assert!(first.contains("Welcome") && first.contains("/quit") && first.contains("no language model"), "{first}");
    }

    #[test]
    fn an_answer_that_had_to_wait_goes_on_as_it_began() {
        let first = answer("", &conversation(&["hello"]), "");
        let said = &first[..first.len() / 2];
        let moved = conversation(&["typed meanwhile", "and again", "hello"]);
        assert_eq!(answer("", &moved, said), first);
        assert!(answer("", &moved, "").starts_with("Question 3"));
        assert!(answer("", &moved, "another's words").starts_with("Question 3"));
    }

    #[test]
    fn only_commands_that_exist_are_named() {
        let known = [
            "new", "switch", "sessions", "rename", "close", "delete", "send", "bg", "cancel", "history", "replay",
            "model", "system", "wait", "echo", "sleep", "help", "quit", "queue", "stop", "resume", "2",
        ];
        let texts = TOPICS.iter().map(|topic| topic.text).chain([WELCOME, FAREWELL]);
        let mut found = Vec::new();
        for text in texts {
            for (at, _) in text.match_indices('/').filter(|(at, _)| text[..*at].ends_with(['`', '\n'])) {
                let word: String = text[at + 1..].chars().take_while(|c| c.is_alphanumeric()).collect();
                assert!(known.contains(&word.as_str()), "/{word}");
                found.push(word);
            }
        }
        for command in known {
            assert!(found.iter().any(|word| word == command), "/{command} is shown nowhere");
        }
    }

    #[test]
    fn answers_take_a_few_seconds() {
        for topic in TOPICS {
            let count = topic.text.split_whitespace().count();
            assert!((45..=130).contains(&count), "{}: {count} words", topic.name);
        }
        for step in STEPS {
            assert!(named(step).is_some(), "{step}");
        }
    }

    #[test]
    fn filler_has_as_many_words_as_asked() {
        for words in [0, 1, 14, 15, 500] {
            assert_eq!(filler(words).split_whitespace().count(), words);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_answered(system in "\\PC{0,80}", text in ".{0,300}", long in 0usize..9_000, n in 0usize..14) {
            let question = text + &"é".repeat(long);
            let messages: Vec<_> = conversation(&vec![question.as_str(); n.max(1)]).split_off(if n == 0 { 1 } else { 0 });
            let said = answer(&system, &messages, "");
            prop_assert_eq!(&said, &answer(&system, &messages, ""));
            prop_assert!(said.len() < 3_000 && said.ends_with('\n'));
            prop_assert!(!said.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
