//! chatmux: one shell prompt over many LLM conversations at once, what tmux is to shells, for chats.
//!
//! A person types in a line-oriented prompt. Every conversation is a *session*; a session keeps streaming when one looks away,
//! and coming back replays what was missed. What was acknowledged is committed, so it outlives Ctrl-C, a 429 and `kill -9`.
//! The same lines run as a script on stdin. The README says how it is used; this page says how it is built.
//!
//! # The picture
//!
//! ```text
//!  keys ─► reader ───Read──► repl ───Request──► coordinator ──Write──► store writer ─► SQLite (WAL)
//!         (thread) ◄──Next── (task) ◄──oneshot──  (task)  ▲  ◄─oneshot─ (thread, group commit)
//!                                                   │     │ Report          ▲ checkpoints
//!                               Frame, by try_send  │     └──── session workers ◄──pieces── provider ◄─► HTTP
//!                                                   ▼           (one task per running turn)
//!                                                printer (thread) ─► terminal, above the open prompt
//!
//!  stdin ─► lines ────────► script ──Request──► coordinator ──ScriptItem──► writer ─► stdout, stderr   (script mode)
//!          (thread)         (task) ◄─oneshot──    (task)                   (thread)
//! ```
//!
//! - One [`coordinator`] task owns the sessions, the queue, the replay buffers and what there is to show. There is no lock over
//!   program state: who wants something sends a message and gets an answer.
//! - The [`queue`] in it is a pure state machine: events in, effects out; no clock, no I/O, no chance inside. SQLite is its
//!   journal: an effect that must be durable is committed before the next one runs, so a session is idle when the end of its
//!   turn is committed, and never earlier.
//! - One [`worker`] task runs one turn: it asks the [`provider`], hands what comes to the coordinator, and appends it to the
//!   [`store`] every 100 ms or 32 KiB. It has no inbox: it is told to stop by a token.
//! - The [`store`] has a writer thread, which takes what waits into one transaction and answers after the commit, and a reader
//!   thread with a read-only connection. SQL stands nowhere else.
//! - [`repl`] and [`script`] are two shells around [`execute`], which carries out a line; the line became a type in [`command`].
//! - [`ui`] is three threads around one terminal: one passes keys on, one is in readline, one prints above its open prompt. A readline cannot be
//!   ended from outside, so neither is joined, and [`app`] builds the runtime by hand and shuts it down without waiting.
//!
//! ## Several processes
//!
//! ```text
//!  chatmux A ──leases, beats, changes──► SQLite ◄──looks, when A says so── chatmux B
//!     └ the turns of its sessions            └ rows of chunks ──► B's replay buffers, as if it happened there
//! ```
//!
//! - Who gives a session something to run takes its *lease* in the same commit, and gives it back with the commit after which nothing
//!   is left: at no time do two processes run one session, and a lease costs no commit.
//! - Nobody talks to anybody but through the database. What one changes of what others keep in memory is a row in `changes`, written
//!   only while there are others; each reads those rows, looks at the sessions, and mirrors what another process answers
//!   ([`coordinator`], `elsewhere.rs` and `mirror.rs`). A byte in the lock's file wakes them ([`store::Listener`]): while somebody works
//!   they also look every 100 ms, and where nobody works, nobody looks.
//! - A dead one is known by the operating system and by a beat that grows no more; another repairs what it left, exactly as a start
//!   does that finds itself alone. What one writes that was taken for dead is refused, for its lease is gone.
//! - The prompt has a *guardian*, for whom the shell waits: so `/detach` leaves the terminal, and takes no answer from its stream
//!   ([`app`], `guardian.rs`).
//!
//! ## Who waits for whom
//!
//! | who | waits for | bound |
//! |---|---|---|
//! | repl, script | an answer of the coordinator | [`coordinator::REQUESTS`] |
//! | worker | the coordinator's taking a report; the store's checkpoint | [`worker::REPORTS`] |
//! | repl | the reader's next line | [`ui::LINES`] |
//! | printer, script writer | a load of the coordinator | [`ui::FRAMES`] |
//! | coordinator | nobody: commits under way are futures with what follows them, displays get `try_send` | |
//! | store threads | nobody but SQLite | |
//!
//! The arrows of waiting form no cycle: everything ends at the coordinator, which waits for nobody, or at the store. A slow
//! terminal costs a frame and never a stream: what comes meanwhile is merged into the next frame.
//!
//! # The layers
//!
//! Imports point to a lower layer only, never aside; `tests/tidy` checks that, and which other crates each module may touch.
//!
//! | layer | modules | may touch, besides std |
//! |---|---|---|
//! | 0 | [`domain`]: ids, words, messages, events, the replay buffer, time, limits | serde, thiserror, unicode-normalization |
//! | 1 | [`command`]: slash commands | clap |
//! | 1 | [`queue`]: the message queue, retries, slots: pure | nothing |
//! | 1 | [`store`]: SQLite | rusqlite and its migrations, hdrhistogram, nix |
//! | 1 | [`provider`]: the ways to the models, and the embedded demo | hyper-util, nix, reqwest, rustls |
//! | 2 | [`worker`]: one turn, its checkpoints, its cancellation | tokio |
//! | 3 | [`coordinator`]: the loop that owns everything, and the effects of the queue | tokio |
//! | 4 | [`execute`]: a line is carried out, the same from a prompt and from a script | tokio |
//! | 4 | [`ui`]: reader, printer, live row, Markdown, prompt, keys, history | rustyline, owo-colors, syntect, tempfile |
//! | 5 | [`repl`]: the prompt's loop | tokio |
//! | 5 | [`script`]: lines in, answers or JSON out | tokio |
//! | 5 | [`cli`]: arguments, completions, the man page | clap |
//! | 5 | [`logging`]: the log file | tracing-subscriber |
//! | 6 | [`config`]: the file, the environment, the defaults | nix, toml |
//! | 6 | [`app`]: puts the parts together; exit codes | anyhow |
//!
//! # The words
//!
//! | word | meaning | type |
//! |---|---|---|
//! | session | one conversation: a fixed number, a name, a model, a system prompt, a draft, its messages and its queue | [`domain::Session`] |
//! | active session | the one the prompt belongs to; all others are *background* sessions | |
//! | message | one row of a conversation | [`domain::Message`], [`domain::Role`] |
//! | turn | one user message and the answer to it | |
//! | entry | a user message in a session's queue | [`domain::Entry`] |
//! | priority | `high` (a person intervenes), `normal` (a person types), `low` (after all else) | [`domain::Priority`] |
//! | origin | `user`, `script`, `auto` | [`domain::Origin`] |
//! | entry state | `pending`, `running`, `done`; or `cancelled`, or `dead` (out of attempts, or failed for good) | [`domain::EntryState`] |
//! | answer state | `streaming`, `complete`; or `interrupted` or `failed`, the partial kept | [`domain::AnswerState`] |
//! | position | an entry's place among those of its priority, as it arrived or as a person moved it | [`domain::Entry::position`] |
//! | rank | who gets the next free slot: when an entry arrived, and [`queue::Settings::ageing`] for each step of priority | |
//! | dead letter | an entry that is `dead`, with its reason, until a person sends it again or drops it | [`domain::EntryState::Dead`] |
//! | gate | a pause of a model that its server asked for, for every session, and the slow start behind it | [`queue::Effect::Gate`] |
//! | preemption | a `low` turn gives its slot to what a person typed in the active session | [`queue::Cause::Preemption`] |
//! | continuing | an entry goes on from what came of its answer before | [`domain::Entry::continues`] |
//! | attachment | a text file that goes along with the next message that is typed in its session | [`domain::Attachment`] |
//! | seam | where an answer was continued, as an offset in its text | [`domain::Message::seams`] |
//! | stop reason | why the model stopped, with what the server says about that | [`domain::Finish`] |
//! | problem | what is wrong with an answer that has ended: an error, or a stop reason that needs the person | [`domain::Problem`] |
//! | pause | the server wants to be asked to continue a long turn; that is done by itself | [`queue::MAX_PAUSES`] |
//! | taken back | no part of the conversation any more, though nothing of it is deleted | [`store::TakenBack`] |
//! | typed lines | what Enter ended, kept session by session, so that a key brings it back | [`domain::TypedLines`] |
//! | auto-reply | a text that is queued after each answer of a session, until a brake ends the loop | [`domain::AutoReply`] |
//! | held | waits until a person says `/resume`: an entry, or the queue of a session | |
//! | partial | what has come of an answer that is not whole | |
//! | checkpoint | the append of a partial's news to the store | [`domain::limits::CHECKPOINT_INTERVAL`] |
//! | replay buffer | what a session put out lately, bounded; what is older is read from the store | [`domain::ReplayBuffer`] |
//! | seen | how far the person has seen a session's output | [`domain::Seen`] |
//! | lease | who runs the turns of a session: one process, as long as there is something to run | [`store::Lease`] |
//! | beat | shows other processes that one lives | [`store::Beat`] |
//! | takeover | the work of a process that is gone is set right by another | [`store::TakeOver`] |
//! | elsewhere | in another process | [`queue::Lease::Elsewhere`] |
//! | set aside | held because its process has ended, and not because a person held it | [`domain::LetGo`] |
//! | unanswered | sent, and its process ended before any text of the answer | [`domain::ErrorKind::Unanswered`] |
//! | guardian | the process that the shell waits for while the prompt is its child | |
//! | idle event | the one event after which a session may start its next entry: its turn's end is committed | [`queue::Effect::Idle`] |
//! | activity | why a background session wants attention: `~` streaming, `+` finished, `!` failed | [`domain::Activity`] |
//! | frame | what the terminal gets at once | [`domain::Frame`] |
//! | live row | the unfinished row of an answer, directly above the prompt | |
//! | progress | what the active session's turn is at while one waits for it | [`domain::Progress`] |
//! | look | how answers are shown, as `/set` changes it | [`domain::Look`] |
//! | alert | what calls a person who looks elsewhere, when something has ended | [`domain::Alert`] |
//! | loss | the database's files are removed or replaced while they are open: what is open is saved, and the program ends | [`store::Store::loss`] |
//! | folded | a long text in the line, or in an echo, in whose place a sign such as `[42 lines]` stands | |
//!
//! # Where to start reading
//!
//! 1. [`domain`], for the vocabulary; then [`queue`] with its drawing: the heart, and it needs nothing else.
//! 2. [`coordinator`]: how the effects of the queue become commits and workers. Follow one message through `queueing.rs` (it is
//!    committed), `turns.rs` (it runs and ends) and `showing.rs` (it is seen).
//! 3. [`store`], an operation a struct: `turns.rs` is what makes partials cheap, `recover.rs` what follows a crash.
//! 4. [`worker`] and [`provider`]: how a stream ends is what matters there.
//! 5. [`app`], to see it put together; [`ui`], when the terminal is what you came for.
//!
//! A new slash command is a variant in [`command`], a row of its table, and an arm in [`execute`]. A new wire format is a module
//! beside the others in [`provider`]. A change of the schema is a new file in `migrations/`; released ones never change.

pub mod app;
pub mod cli;
pub mod command;
pub mod config;
pub mod coordinator;
pub mod domain;
pub mod execute;
#[cfg(test)]
mod fuzz;
pub mod logging;
pub mod provider;
pub mod queue;
pub mod repl;
pub mod script;
pub mod store;
pub mod ui;
pub mod worker;
