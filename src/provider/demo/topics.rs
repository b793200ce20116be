//! The texts of the tour. Each names commands that can be typed next as they stand.

/// Something that a question can be about.
#[derive(Debug)]
pub(super) struct Topic {
    /// As the tour announces it.
    pub(super) name: &'static str,
    /// Words of a question that mean it, in lower case. One that ends with `*` stands for all that begin so.
    pub(super) keywords: &'static [&'static str],
    /// What there is to say.
    pub(super) text: &'static str,
}

/// The first question's answer, behind the quote.
pub(super) const WELCOME: &str = "I am `demo:tour`, the embedded demo: a handful of rules and no language model. Whatever \
you ask, I can only talk about chatmux. But I stream like a real model, so everything around me is the real thing.

The prompt is open while I speak. Try it now: type another line and press Enter. It gets a number, waits its turn, and is sent \
when I am done. Then open a second conversation:

- `/new ideas` makes a session called ideas and goes there
- `/switch -` comes back here and shows what you have missed";

/// The last answer of the tour, and of every question after it.
pub(super) const FAREWELL: &str =
    "That was the tour; there is nothing new that I could add. `/help` lists every command, and \
`/help switch` explains one of them. You can still ask me about a topic:

- sessions, switching, sending, names
- the queue, interrupting, history, crashes
- scripts, models and keys, system prompts, markdown, leaving";

/// The topics that the tour goes through after the welcome, by name.
pub(super) const STEPS: [&str; 9] = [
    "switching",
    "sending",
    "the queue",
    "interrupting",
    "history",
    "crashes",
    "scripts",
    "models and keys",
    "leaving",
];

/// All topics. Where two fit a question equally well, the first one is taken.
pub(super) const TOPICS: &[Topic] = &[
    Topic {
        name: "crashes",
        keywords: &["crash*", "restart*", "reboot*", "kill*", "lost", "lose*", "losing", "durab*", "save*", "power", "sqlite", "recover*"],
        text: "What chatmux has acknowledged is on disk already, and an answer that streams is never more than a tenth of a \
second ahead of it. So a crash, a closed terminal or even `kill -9` costs you next to nothing.

At the next start you are told what was found: a broken-off answer keeps its text and is marked interrupted, and messages that \
were waiting still wait, on hold, so that nothing is sent twice behind your back. `/queue` shows them and `/resume` lets them go.

Be bold: kill this process while I speak, start chatmux again, and type `/history`.",
    },
    Topic {
        name: "switching",
        keywords: &["switch*", "background*", "parallel*", "several", "multiple", "unread", "attention", "alt*", "f1", "jump*"],
        text: "Leaving a session does not stop it. It keeps streaming in the background, and your prompt shows who wants you: \
`[2~ 5!]` says that session 2 is streaming and session 5 has failed; a `+` stands for an answer that you have not seen.

- `/switch 2`, or `/2` for short, goes to session 2
- `/switch -` goes to the one you came from
- `Ctrl-X 2` and `F2` do it at once, in the middle of a line, and the line waits for you as a draft

When you come back, what you missed is replayed and then goes on live. Try `/new second`, ask something long, and then \
`/switch -`.",
    },
    Topic {
        name: "sending",
        keywords: &["send*", "broadcast*", "bg", "everyone", "elsewhere", "forward*"],
        text: "You can talk to a session without going there. Its answer waits for you, and one line tells you when it is done.

- `/send 2 summarise this` puts a message into session 2
- `/send 2,3 TEXT` and `/send all TEXT` reach several at once
- `/bg TEXT` asks here, without making a script wait for the answer

Each session answers at its own pace, in parallel with the others. `/sessions` shows who is busy.",
    },
    Topic {
        name: "the queue",
        keywords: &["queue*", "wait*", "pending", "next", "order*", "priorit*", "ahead", "hold", "held", "resume*", "type*"],
        text: "A session takes one turn at a time. Whatever you type meanwhile is queued, in the order in which you typed it, and \
you are told how many are ahead. Sessions do not wait for each other.

- `/queue` shows what waits here, `/queue all` everywhere
- `/stop` ends the running answer and holds the queue
- `/resume` lets it go on

Type three short questions now, quickly, and then `/queue`. Nothing that was acknowledged is ever dropped: a message that keeps \
failing is kept and shown to you.",
    },
    Topic {
        name: "interrupting",
        keywords: &["cancel*", "stop*", "interrupt*", "abort*", "ctrl*", "halt", "enough", "partial*"],
        text: "You never have to hear me out. `/cancel` ends the answer that is running and goes on with the queue; `/stop`, or \
`Ctrl-C` on an empty line, ends it and holds the queue too, until `/resume`.

Either way the part that was there stays in the conversation, marked as interrupted, and the model gets it with your next \
question. With a number they work from afar: `/cancel 2`, `/stop all`.

This is a good moment to try: I shall keep talking for another few words, and a few more, just to give you the time to type \
`/cancel`.",
    },
    Topic {
        name: "history",
        keywords: &["history", "replay*", "past", "earlier", "previous*", "scroll*", "again", "remember*", "read", "export*", "search*"],
        text: "Every conversation is kept, whole, until you delete it.

- `/history` shows this one, `/history 5` only its last five messages
- `/replay` shows again what this session has put out, without cuts
- the arrow up and `Ctrl-R` go through what you typed since the start

It is plain text in your terminal's own scrollback, so the mouse wheel, your search key and copying work as they always do.",
    },
    Topic {
        name: "scripts",
        keywords: &["script*", "pipe*", "stdin", "batch*", "automat*", "json", "shell", "cron", "ci", "sleep", "echo"],
        text: "What you type can also be piped: without a terminal, chatmux reads commands from its standard input, one a line, \
and prints the answers and nothing else.

```
/new docs
What is a session?
/send 1 And what is a queue?
/wait all
/echo finished
```

A message waits for its answer, `/bg` and `/send` do not, and `/wait` does so for all of them; `/sleep 2s` just rests. Save these \
lines as `demo.txt`, run `chatmux < demo.txt`, and add `--json` to see every event.",
    },
    Topic {
        name: "models and keys",
        keywords: &["model*", "key*", "openai", "anthropic", "claude", "gpt*", "gemini", "ollama", "api", "provider*", "config*", "llm*", "token*", "real"],
        text: "I am only here until you bring a real model. Put a key into the environment before you start chatmux, such as \
`OPENAI_API_KEY`, `ANTHROPIC_API_KEY` or `GEMINI_API_KEY`, and that provider's model becomes the default. Ollama needs no key.

- `/model` says who answers in this session
- `/model ollama:llama3.2` changes that, for this session alone
- `chatmux config init` writes a configuration with comments, where any server that speaks one of these APIs can be named

Keys are read from the environment or from a command, never from that file.",
    },
    Topic {
        name: "system prompts",
        keywords: &["system", "prompt*", "instruct*", "persona*", "role*", "behave*"],
        text: "Each session has its own instructions, which stand before the conversation and go along with every question.

- `/system Answer in one sentence.` sets them
- `/system` shows them

Two sessions with the same model and different instructions make a useful pair: `/new critic`, give it a stern system prompt, and \
use `/send` to let it see what the other one wrote. As a set of rules I can quote mine, but not follow them.",
    },
    Topic {
        name: "markdown",
        keywords: &["markdown", "render*", "format*", "code", "colour*", "color*", "bold", "table*", "highlight*"],
        text: "Answers are shown as they come, without waiting for the end of a paragraph, and as the model wrote them: the marks \
of **emphasis**, of *italics* and of `code` stay where they are.

## A heading

1. A list with numbers
2. and its second item

```rust
fn main() {
    println!(\"code keeps its shape\");
}
```

Long lines break between words. Control characters in an answer are made visible; they never reach your terminal.",
    },
    Topic {
        name: "names",
        keywords: &["name*", "rename*", "close*", "delete*", "archive*", "remove*", "tidy"],
        text: "A session keeps its number for good, and its name is yours to choose.

- `/rename plans` gives this session a name
- `/close` archives it: it leaves the list and keeps every message
- `/delete 3` removes session 3 and all that was said in it

Wherever a command takes a number it takes the name as well: `/switch plans`, `/send plans TEXT`.",
    },
    Topic {
        name: "sessions",
        keywords: &["session*", "conversation*", "new", "chat*", "window*", "tab*", "tmux", "list*"],
        text: "A session is one conversation: it has a number, a name, a model, instructions of its own, a draft and a queue. You \
can have as many as you like, and they all run at the same time.

- `/new ideas` makes one and goes there
- `/sessions` lists them, with what each is doing
- `/2` goes to the second one
- `/close` puts the current one away

What you leave half-typed stays behind as that session's draft, and is there again when you return, even after a restart.",
    },
    Topic {
        name: "leaving",
        keywords: &["quit*", "exit*", "leave*", "leaving", "bye", "goodbye", "end", "close", "out", "done"],
        text: "`/quit`, or `Ctrl-D` on an empty line, leaves. Answers that are still streaming stop where they are and keep what \
they have; messages that wait keep waiting.

When you start chatmux again you are back in the session you left, with your draft in the line. If something was pending you are \
told in a few lines, and `/resume` sets it going. So there is never a wrong moment to leave, not even this one.",
    },
    Topic {
        name: "help",
        keywords: &["help*", "command*", "how", "usage", "manual", "docs", "tutorial", "start*", "learn*"],
        text: "Everything that begins with a slash is a command, and everything else is a message. A mistyped command is never sent \
to a model: you get the nearest name instead.

- `/help` lists all commands
- `/help queue` explains one of them
- `Tab` completes commands, session names and models

To send a line that does begin with a slash, write two of them. If you learn only three commands, let them be `/new`, `/switch` \
and `/queue`.",
    },
    Topic {
        name: "the demo",
        keywords: &["who", "you", "yourself", "demo", "ai", "bot", "human", "real", "intelligent", "smart", "language"],
        text: "There is nobody here, I am afraid: `demo:tour` is a set of rules inside chatmux. It looks for words that it knows in \
your question, picks the text that goes with them, and plays it at reading speed. It needs no network and no key, and the same \
question always gets the same answer.

- `/model demo:echo` makes this session repeat what you say instead
- `/model` shows who is answering

What surrounds me is real, though: the streaming, the queue, the sessions, and the database that keeps all of it.",
    },
];
