//! Servers that send too much of anything: each has an end, with words for it, what had come is kept, the next message has its turn,
//! and the memory that it takes is bounded.

use crate::program::Home;
use crate::server::{End, Format, Reply, Server};

const MIB: usize = 1 << 20;
/// Of memory, at most, for an answer of 16 MiB: some copies of it, and the program.
#[cfg(target_os = "linux")]
const MAX_RSS_KIB: u64 = 200 << 10;

/// The most memory that it ever had, in KiB.
#[cfg(target_os = "linux")]
fn peak(program: &crate::program::Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let row = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    row.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Asks `much`, then something else. What became of `much`, and its text.
fn ask(reply: Reply, format: Format, sections: &str) -> (serde_json::Value, Home, Server) {
    let server = Server::start();
    server.on("much", reply);
    let retries = "[retry]\ninitial_delay = \"1ms\"\nmax_delay = \"1ms\"\nmax_attempts = 2\n";
    let home = Home::configured(&server, format, "", &format!("{retries}{sections}"));
    let mut program = home.start(&["--json"]);
    program.send("/bg much");
    program.send("/bg next");
    server.wait_requests(1);
    // Asked of the database: to read 16 MiB of events anew for each that comes would take longer than anything here.
    home.wait_query("SELECT count(*) FROM entries WHERE id = 2 AND state = 'done'", "1");
    #[cfg(target_os = "linux")]
    assert!(peak(&program) < MAX_RSS_KIB, "{} KiB of memory", peak(&program));
    let finished = program.finish().code(1).named("finished");
    assert_eq!((&finished[0]["entry"], &finished[1]["text"]), (&1.into(), &"echo: next".into()));
    let finished = finished[0].clone();
    home.assert_sound();
    (finished, home, server)
}

fn said(finished: &serde_json::Value) -> &str {
    finished["error"]["text"].as_str().unwrap()
}

/// An event of each format with a text of this length.
fn event(format: Format, reasoning: bool, bytes: usize) -> Vec<u8> {
    let text = "x".repeat(bytes);
    match (format, reasoning) {
        (Format::OpenAi, false) => format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"),
        (Format::OpenAi, true) => {
            format!("data: {{\"choices\":[{{\"delta\":{{\"reasoning_content\":\"{text}\"}}}}]}}\n\n")
        }
        (Format::Ollama, false) => {
            format!("{{\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"done\":false}}\n")
        }
        (Format::Ollama, true) => format!(
            "{{\"message\":{{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"{text}\"}},\"done\":false}}\n"
        ),
        (Format::Anthropic | Format::Gemini, _) => unreachable!("two are enough"),
    }
    .into_bytes()
}

fn stream(format: Format, pieces: Vec<Vec<u8>>) -> Reply {
    Reply::raw(if format == Format::Ollama { "application/x-ndjson" } else { "text/event-stream" }, pieces)
}

#[test]
fn an_answer_without_end() {
    for (format, piece) in [(Format::OpenAi, 1 << 12), (Format::Ollama, 1 << 16)] {
        // One line, of which no end ever comes.
        let pieces = vec![event(format, false, piece); 17 * MIB / piece];
        let (finished, home, _) = ask(stream(format, pieces).end(End::Stall), format, "");
        assert_eq!((&finished["state"], &finished["error"]["kind"]), (&"interrupted".into(), &"too_large".into()));
        assert!(said(&finished).contains("the answer reached 16 MiB and was ended"), "{}", said(&finished));
        assert_eq!(finished["text"].as_str().map(str::len), Some(16 * MIB));
        let kept =
            home.query("SELECT octet_length(text), state FROM messages WHERE role = 'assistant' ORDER BY id LIMIT 1");
        assert_eq!(kept, [[(16 * MIB).to_string(), "interrupted".to_owned()]]);
    }
}

#[test]
fn thoughts_without_end() {
    for format in [Format::OpenAi, Format::Ollama] {
        let pieces = vec![event(format, true, 1 << 16); 17 * 16];
        let (finished, home, _) = ask(stream(format, pieces).end(End::Stall), format, "");
        assert!(said(&finished).contains("the answer reached 16 MiB and was ended"), "{}", said(&finished));
        let kept =
            home.query("SELECT octet_length(reasoning) FROM messages WHERE role = 'assistant' ORDER BY id LIMIT 1");
        assert_eq!(kept, [[(16 * MIB).to_string()]]);
    }
}

#[test]
fn an_event_without_end() {
    for format in [Format::OpenAi, Format::Ollama] {
        let pieces =
            [vec![event(format, false, 4)], vec![b"data: {".to_vec()], vec![vec![b'x'; 1 << 16]; 17 * 16]].concat();
        let (finished, _, server) = ask(stream(format, pieces).end(End::Stall), format, "");
        assert_eq!((&finished["state"], &finished["text"]), (&"interrupted".into(), &"xxxx".into()));
        assert!(said(&finished).contains("more than 16 MiB in one event"), "{}", said(&finished));
        assert_eq!(server.requests().len(), 2);
        // One that ends, and is JSON, but of more than an answer may have.
        let pieces = vec![event(format, false, 4), event(format, false, 17 * MIB)];
        let (finished, ..) = ask(stream(format, pieces).end(End::Stall), format, "");
        assert!(said(&finished).contains("more than 16 MiB in one event"), "{}", said(&finished));
    }
}

#[test]
fn comments_and_rubbish_without_end() {
    // As fast as can be: the bound on what is no content.
    let comments = vec![b": nothing to say\n".repeat(4_096); 33 * MIB / (17 << 12) + 1];
    let pieces = [vec![event(Format::OpenAi, false, 4)], comments].concat();
    let (finished, ..) = ask(stream(Format::OpenAi, pieces).end(End::Stall), Format::OpenAi, "");
    assert_eq!((&finished["state"], &finished["text"]), (&"interrupted".into(), &"xxxx".into()));
    assert!(said(&finished).contains("more than 32 MiB without content"), "{}", said(&finished));
    // Events that say nothing: the limit on silence.
    let pieces = vec![event(Format::OpenAi, false, 4), b"data: {\"choices\":[]}\n\n".repeat(4_096)];
    let sections = "[timeouts]\nfirst = \"700ms\"\n";
    let (finished, ..) = ask(stream(Format::OpenAi, pieces).end(End::KeepAlives), Format::OpenAi, sections);
    assert_eq!((&finished["state"], &finished["error"]["kind"]), (&"interrupted".into(), &"stalled".into()));
    // Bytes that are nothing at all.
    let pieces = vec![event(Format::OpenAi, false, 4), vec![0xff; 4 * MIB], b"\n\n".to_vec()];
    let (finished, ..) = ask(stream(Format::OpenAi, pieces), Format::OpenAi, "");
    assert_eq!((&finished["state"], &finished["text"]), (&"interrupted".into(), &"xxxx".into()));
}

#[test]
fn an_error_without_end() {
    let error = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "no ".repeat(4 * MIB));
    let (finished, ..) = ask(Reply::status(400, error), Format::OpenAi, "");
    assert_eq!((&finished["state"], &finished["error"]["status"]), (&"failed".into(), &400.into()));
    assert!(said(&finished).len() < 1_000, "{}", said(&finished).len());
    let (finished, ..) = ask(Reply::html(&"<p>sign in</p>\n".repeat(MIB)), Format::OpenAi, "");
    assert!(said(&finished).contains("check base_url") && said(&finished).len() < 1_000, "{}", said(&finished));
    let error = serde_json::json!({"type": "server_error", "message": "no ".repeat(MIB)});
    let (finished, ..) = ask(Reply::error_in_stream(&["part"], error), Format::OpenAi, "");
    assert!(finished["text"] == "part" && said(&finished).len() < 1_000, "{finished}");
}

#[test]
fn headers_without_end() {
    let reply = (0..2_000).fold(Reply::echo(), |reply, nth| reply.header(&format!("x-{nth}"), &"x".repeat(1_000)));
    let (finished, _, server) = ask(reply, Format::OpenAi, "");
    assert_eq!(finished["state"], "failed", "{finished}");
    assert_eq!(server.requests().len(), 3, "two attempts, and the next message");
    assert!(!said(&finished).is_empty() && said(&finished).len() < 1_000, "{finished}");
}
