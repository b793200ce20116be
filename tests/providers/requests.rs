//! What a request looks like on the wire, and that a key is in its header and nowhere else.

use super::*;

#[test]
fn a_key_is_in_its_header_and_nowhere_else() {
    for format in Format::ALL {
        let server = Server::start();
        let provider = provider(profile(format, server.base_url(format)), Timeouts::default());
        let echo = format!("bad key {KEY}, {}", "x".repeat(400));
        let in_stream = match format {
            Format::Ollama => json!(echo),
            Format::OpenAi | Format::Anthropic | Format::Gemini => json!({"type":"api_error","message":echo}),
        };
        // The key stands across the place where an error is cut.
        let late = format!("{}{KEY}", "x".repeat(145));
        let broken = if format == Format::Ollama { format!("{late}\n") } else { format!("data: {late}\n\n") };
        let kind = if format == Format::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        let faults = [
            Reply::status(401, json!({"error":{"message":echo}}).to_string()),
            Reply::status(400, json!({"error":{"message":late}}).to_string()).header("x-request-id", KEY),
            Reply::error_in_stream(&["a"], in_stream),
            Reply::raw(kind, vec![broken.into_bytes()]),
            Reply::html(&format!("<p>{late}</p>")),
        ];
        for fault in faults {
            server.next(fault);
            let got = run(collect(&*provider, question("hi")));
            let e = got.error.unwrap();
            assert!(!format!("{e:?}").contains("sk-0"), "{format:?}: {e:?}");
        }
        assert!(!format!("{provider:?}").contains("sk-0"));
        for request in server.requests() {
            let holders: Vec<_> =
                request.headers.iter().filter(|(_, v)| v.contains(KEY)).map(|(n, _)| n.as_str()).collect();
            let expected = match format {
                Format::OpenAi | Format::Ollama => "authorization",
                Format::Anthropic => "x-api-key",
                Format::Gemini => "x-goog-api-key",
            };
            assert_eq!(holders, [expected]);
            assert!(!request.path.contains(KEY) && !request.body.to_string().contains(KEY));
        }
    }
}

#[test]
fn the_request_is_what_the_format_wants() {
    let conversation = || Request {
        model: "m".to_owned(),
        system: "be brief".to_owned(),
        messages: vec![
            message(Role::User, "one"),
            message(Role::User, "two"),
            message(Role::Assistant, "three"),
            message(Role::User, "four"),
        ],
        attempt: 1,
    };
    for format in Format::ALL {
        let server = Server::start();
        let mut own = profile(format, server.base_url(format));
        own.headers.insert("X-Title".to_owned(), "chatmux".to_owned());
        own.extra_body.insert("temperature".to_owned(), json!(0.2));
        own.extra_body.insert("max_tokens".to_owned(), json!(5));
        let got = run(collect(&*provider(own, Timeouts::default()), conversation()));
        assert_eq!((got.error, got.text.as_str()), (None, "echo: four"));
        let request = server.requests().remove(0);
        let turns: Vec<_> = request.turns();
        let turns: Vec<_> = turns.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
        let merged = [("user", "one\n\ntwo"), ("assistant", "three"), ("user", "four")];
        let apart = [("user", "one"), ("user", "two"), ("assistant", "three"), ("user", "four")];
        match format {
            Format::Anthropic | Format::Gemini => assert_eq!(turns, merged),
            Format::OpenAi | Format::Ollama => assert_eq!(turns, apart),
        }
        assert_eq!(request.system(), "be brief");
        assert_eq!((&request.body["temperature"], &request.body["max_tokens"]), (&json!(0.2), &json!(5)));
        assert_eq!(request.headers["x-title"], "chatmux");
        assert_eq!(request.headers["user-agent"], concat!("chatmux/", env!("CARGO_PKG_VERSION")));
        assert_eq!(request.headers["content-type"], "application/json");
        let (path, model) = match format {
            Format::OpenAi => ("/v1/chat/completions", &request.body["model"]),
            Format::Anthropic => ("/v1/messages", &request.body["model"]),
            Format::Gemini => ("/v1beta/models/m:streamGenerateContent?alt=sse", &json!("m")),
            Format::Ollama => ("/api/chat", &request.body["model"]),
        };
        assert_eq!((request.path.as_str(), model), (path, &json!("m")));
    }
}

#[test]
fn what_a_server_refuses_by_name_is_left_out() {
    let server = Server::start();
    let openai = provider(profile(Format::OpenAi, server.base_url(Format::OpenAi)), Timeouts::default());
    let refusal = json!({"error":{"message":"unknown field","param":"stream_options"}}).to_string();
    server.next(Reply::status(400, refusal));
    run(async {
        for _ in 0..2 {
            assert_eq!(collect(&*openai, question("hi")).await.text, "echo: hi");
        }
    });
    let asked: Vec<_> = server.requests().iter().map(|r| r.body["stream_options"].clone()).collect();
    assert_eq!(asked, [json!({"include_usage":true}), Value::Null, Value::Null]);
}

#[test]
fn a_missing_or_wrong_key_is_a_configuration_error_and_nothing_is_sent() {
    let server = Server::start();
    let check = |key: KeySource, text: &str| {
        let own = Profile { key, ..profile(Format::OpenAi, server.base_url(Format::OpenAi)) };
        let e = run(collect(&*provider(own, Timeouts::default()), question("hi"))).error.unwrap();
        assert_eq!((e.kind, e.retryable, e.text.as_str()), (ErrorKind::Configuration, false, text));
    };
    let name = "CHATMUX_TEST_KEY_THAT_IS_NOT_SET".to_owned();
    let text = format!("{name} is not set: export the key of local under that name");
    check(KeySource::Env { name: name.clone(), required: true }, &text);
    let command = "echo sk-secret; exit 3";
    check(KeySource::Command(command.to_owned()), "the key command `echo …` failed: exit status: 3");
    let text = "the key of local holds characters that no key has: check what `printf …` prints";
    check(KeySource::Command("printf 'sk-\\303\\274'".to_owned()), text);
    assert_eq!(server.requests().len(), 0);
    let own = Profile {
        key: KeySource::Env { name, required: false },
        ..profile(Format::OpenAi, server.base_url(Format::OpenAi))
    };
    assert_eq!(run(collect(&*provider(own, Timeouts::default()), question("hi"))).text, "echo: hi");
    assert!(!server.requests()[0].headers.contains_key("authorization"));
}
