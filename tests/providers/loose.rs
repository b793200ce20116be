//! Servers that are looser than their documentation: answers that are not streamed, mislabelled or compressed unasked, errors in
//! every shape, requests that are refused in part.

use super::*;

/// "hello" and a stop reason in each format, compressed in each way, in hex.
#[rustfmt::skip]
const COMPRESSED: [(Format, &str, &str); 16] = [
    (Format::OpenAi, "gzip", "1f8b08000000000002031dcc410a80201046e1bda7887fdd095cd7b60e2012834e288813393bf1ee49dbf7c18ba464978e9024076eb0ae237251829d51aa725558242e453056dcb9e696ae97a9499dd0541e0c3f8c89ffc96de7b17b633eb2f18df158000000"),
    (Format::OpenAi, "deflate", "789c1dcc410a80201046e1bda7887fdd095cd7b60e2012834e288813393bf1ee49dbf7c18ba464978e9024076eb0ae237251829d51aa725558242e453056dcb9e696ae97a9499dd0541e0c3f8c89ffc96de7b17b633e4aa71d60"),
    (Format::OpenAi, "br", "1b5700602d0aec3664539464a606ed2d26d8eb08959e225b7b0542d60a5d2c7d5b4784ae6f8a7c8579c045bf16c552624e5a4eb54e814caa5076b7d134376b86f7f451c4260b4dbe77bee9775801"),
    (Format::OpenAi, "zstd", "28b52ffd205885020022c5111790a76dd68a8fb7cc0db84dbe7bd5dd339e2935a9e7471d662420180086d922eb866dfe5d97310f84c34851e1c5faa694e7f7d66cdd7275c74e69aec69db3a03de58a386c340101004a338428"),
    (Format::Anthropic, "gzip", "1f8b0800000000000203658c510a83301044ff3d45d9ef9e2097095b3328187725994245bcbbb64240fa35cccce325a586c7265c174890de8d30c657f67e8a09992a4fb932348af8b09ddf726e237276d9f7ae4b77e58c5a75c0bfacd29758a0d5edc46029f25deca73800f8788c9c96000000"),
    (Format::Anthropic, "deflate", "789c658c510a83301044ff3d45d9ef9e2097095b3328187725994245bcbbb64240fa35cccce325a586c7265c174890de8d30c657f67e8a09992a4fb932348af8b09ddf726e237276d9f7ae4b77e58c5a75c0bfacd29758a0d5edc46029f25deca738005c4933c4"),
    (Format::Anthropic, "br", "1b9500602c0eec86d74f9a7002a15eb17542d5d70a2c3a7d5a644f4e678294d1955b5d7e8990e9c942ce3e26b0e95084a466762a2d5626ff0969a177b2fe48d44099e7dd24511960340bafcacff83c60ca2c6d60ce72567743a29bfdf63e00"),
    (Format::Anthropic, "zstd", "28b52ffd209605030092451217a0291dc53f36258588ec3d2bd26e39aab8cf78aa6143145529150fc38941d78a89ce0731f2c88243c885aa949ae77850eb0fbe15d0fbb121849227408e3e66a9d506e24d14763f1307005028606a6158a11fa60d40154aaadc6e284f"),
    (Format::Gemini, "gzip", "1f8b08000000000002034b492c49b452a8564a4ecc4bc94c492c492d56b28a0672f3f34a52f34a94acaa950a128b4a208225a9154011a58cd49c9c7ca5dad85a1da5b4ccbccce28ca0d4c4e2fc3ca04c70887f0048828b0b00e70c9fb657000000"),
    (Format::Gemini, "deflate", "789c4b492c49b452a8564a4ecc4bc94c492c492d56b28a0672f3f34a52f34a94acaa950a128b4a208225a9154011a58cd49c9c7ca5dad85a1da5b4ccbccce28ca0d4c4e2fc3ca04c70887f0048828b0b0042291dc0"),
    (Format::Gemini, "br", "1b5600001c07ce39ca2d769924639f63b5c8de16c85660e9ead33a22787d75727c50fbbedb2d0cf32c84dcc6ae5b50705837127d969e96c73024de0281c51a9cde1a2f9f426afc4a2cb100"),
    (Format::Gemini, "zstd", "28b52ffd20577d020012851117905907534dc25f1cc84d08e9a1068b0eea949afda8e502c6f4e90f82511cbfcda512caad5dc8833efdc698aae379516625933f3caff236f477e09d72a69536d11f80c999020100c6613e01"),
    (Format::Ollama, "gzip", "1f8b0800000000000203ab56ca4d2d2e4e4c4f55b2aa564acecf2b49cd2b51b252ca48cdc9c957aad5514ac9cf034a951495a6d6720100de80f7f72c000000"),
    (Format::Ollama, "deflate", "789cab56ca4d2d2e4e4c4f55b2aa564acecf2b49cd2b51b252ca48cdc9c957aad5514ac9cf034a951495a6d67201005d1a0f3f"),
    (Format::Ollama, "br", "1b2b00a88c934cf59d8f50e92da2b3d7b714586063ec8c2fb87c41756aa5c62373b82692e5f306e438"),
    (Format::Ollama, "zstd", "28b52ffd202c6101007b226d657373616765223a7b22636f6e74656e74223a2268656c6c6f227d2c22646f6e65223a747275657d0a"),
];

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// Asks a server that answers so; the answer is whole, and one request is enough.
fn check(format: Format, reply: Reply, text: &str) {
    let what = format!("{format:?} {reply:?}");
    let server = Server::start();
    server.next(reply);
    let got = run(collect(&*provider(profile(format, server.base_url(format)), Timeouts::default()), question("hi")));
    assert_eq!((got.text.as_str(), got.error, server.requests().len()), (text, None, 1), "{what}");
}

#[test]
fn what_is_compressed_unasked_is_read() {
    for (format, encoding, hex) in COMPRESSED {
        let kind = if format == Format::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        let whole = bytes(hex);
        let halves = whole.split_at(whole.len() / 2);
        let reply = Reply::raw(kind, vec![halves.0.to_vec(), halves.1.to_vec()]).header("content-encoding", encoding);
        check(format, reply, "hello");
    }
}

#[test]
fn compression_is_not_asked_for() {
    let server = Server::start();
    run(collect(
        &*provider(profile(Format::OpenAi, server.base_url(Format::OpenAi)), Timeouts::default()),
        question("a"),
    ));
    assert_eq!(server.requests()[0].headers.get("accept-encoding").map(String::as_str), Some("identity"));
}

#[test]
fn compression_that_nobody_tells_of_is_named() {
    for (format, encoding, hex) in
        COMPRESSED.into_iter().filter(|(_, encoding, _)| matches!(*encoding, "gzip" | "zstd"))
    {
        let e = ask(format, Reply::raw("text/event-stream", vec![bytes(hex)]), Timeouts::default()).error.unwrap();
        assert!(e.text.contains(encoding) && !e.retryable, "{format:?} {e}");
    }
}

/// An answer that was not streamed.
fn whole(format: Format) -> &'static str {
    match format {
        Format::OpenAi => {
            "{\n  \"object\": \"chat.completion\",\n  \"choices\": [{\"message\": {\"content\": \"a {b} \\\"c\\\"\"},\n  \"finish_reason\": \"stop\"}]\n}"
        }
        Format::Anthropic => {
            r#"{"type":"message","role":"assistant","content":[{"type":"text","text":"a {b} \"c\""}],"stop_reason":"end_turn"}"#
        }
        Format::Gemini => {
            "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a {b}\"}]}}]}\n,\n{\"candidates\": [{\"content\": {\"parts\": [\n{\"text\": \" \\\"c\\\"\"}]},\"finishReason\":\"STOP\"}]}\n]\n"
        }
        Format::Ollama => {
            "{\"message\":{\"role\":\"assistant\",\n\"content\":\"a {b} \\\"c\\\"\"},\n\n\"done\":true,\"done_reason\":\"stop\"}"
        }
    }
}

#[test]
fn an_answer_that_was_not_streamed_is_read_whatever_its_label() {
    for format in Format::ALL {
        for label in ["application/json", "text/event-stream", "application/x-ndjson", "text/plain", ""] {
            check(format, Reply::raw(label, vec![whole(format).into()]), "a {b} \"c\"");
            // Byte by byte, and with a byte order mark.
            let text = format!("\u{feff}{}", whole(format));
            let pieces = text.bytes().map(|byte| vec![byte]).collect();
            check(format, Reply::raw(label, pieces), "a {b} \"c\"");
        }
    }
}

#[test]
fn a_stream_is_read_whatever_its_label() {
    for format in Format::ALL {
        let pieces = || vec![format.word("a ", false), format.word("b", false), format.stop(2)];
        for label in ["application/json", "text/html", "text/plain; charset=utf-8", "application/octet-stream", ""] {
            check(format, Reply::raw(label, pieces()), "a b");
        }
        // Server-sent events where lines of JSON are expected, and the reverse.
        let text = String::from_utf8(pieces().concat()).unwrap();
        let data = |line: &str| line.trim_start_matches("data:").trim().to_owned();
        let lines: Vec<_> = text.lines().map(data).filter(|line| line.starts_with('{')).collect();
        check(format, Reply::raw("text/event-stream", vec![lines.join("\n").into()]), "a b");
        check(format, Reply::raw("text/event-stream", vec![lines.concat().into()]), "a b");
        let events: String = lines.iter().map(|line| format!("data: {line}\r\n\r\n")).collect();
        check(format, Reply::raw("application/x-ndjson", vec![events.into()]), "a b");
        // Without the empty lines between events, and with `event:` before or behind the data.
        for dress in
            ["data: {}\n", "data:{}\r\n", "event: x\ndata: {}\n", "data: {}\nevent: x\n\n", "id: 1\ndata: {}\n"]
        {
            let events: String = lines.iter().map(|line| dress.replace("{}", line)).collect();
            check(format, Reply::raw("text/event-stream", vec![events.into()]), "a b");
        }
        // All in one list.
        let list = format!("[{}]", lines.join(","));
        check(format, Reply::raw("application/json", vec![list.clone().into()]), "a b");
        check(format, Reply::raw("text/event-stream", vec![format!("data: {list}\n\n").into()]), "a b");
    }
}

#[test]
fn an_error_in_the_stream_is_told_in_every_shape() {
    let shapes = [
        "event: error\ndata: {\"message\":\"no more\",\"code\":500}\n\n",
        "event: error\ndata: no more\n\n",
        "event:error\r\ndata:{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"no more\"}]}\r\n\r\n",
        "error: {\"code\":500,\"message\":\"no more\"}\n\n",
        "error: no more\n\n",
        "data: {\"error\":{\"message\":\"no more\"}}\n\n",
        "data: {\"error\":\"no more\"}\n\ndata: [DONE]\n\n",
        "data: {\"object\":\"error\",\"message\":\"no more\"}\n\n",
        "data: {\"type\":\"error\",\"message\":\"no more\"}\n\n",
        "{\"error\":{\"message\":\"no more\",\"type\":\"server_error\"}}",
        "{\n  \"error\": {\n    \"message\": \"no more\"\n  }\n}\n",
        "[{\"error\":{\"code\":503,\"message\":\"no more\",\"status\":\"UNAVAILABLE\"}}]",
        "data: {\"error\":{\"message\":\"Provider error\",\"metadata\":{\"raw\":\"{\\\"error\\\":{\\\"message\\\":\\\"no more\\\"}}\"}}}\n\n",
        // Behind a stop reason too.
        "data: {\"choices\":[{\"finish_reason\":\"error\",\"error\":{\"message\":\"no more\"}}],\"error\":{\"message\":\"no more\"}}\n\ndata: [DONE]\n\n",
        "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"stop_reason\":\"end_turn\",\"done\":true}\n\ndata: {\"error\":\"no more\"}\n\n",
        // What ends without a stop reason has said why.
        "{\"detail\":\"no more\"}\n",
        "data: {\"msg\":\"no more\"}\n\n",
        "Internal error: no more\n",
        "data: upstream said: no more\n\n",
    ];
    for format in Format::ALL {
        for shape in shapes {
            for words in [&[][..], &["a"][..]] {
                let mut pieces: Vec<_> = words.iter().map(|word| format.word(word, false)).collect();
                pieces.push(shape.as_bytes().to_vec());
                let got = ask(format, Reply::raw("text/event-stream", pieces), Timeouts::default());
                let e = got.error.unwrap_or_else(|| panic!("{format:?} {shape}: no error"));
                assert!(e.text.contains("no more"), "{format:?} {shape}: {e}");
                assert_eq!(got.text, words.concat(), "{format:?} {shape}");
            }
        }
    }
}

#[test]
fn an_error_body_is_told_in_every_shape_with_the_url_that_was_asked() {
    let bodies = [
        r#"{"error":{"message":"no more"}}"#,
        r#"{"error":"no more"}"#,
        r#"{"detail":"no more"}"#,
        r#"{"detail":[{"loc":["body","x"],"msg":"no more","type":"t"}]}"#,
        r#"{"errors":[{"message":"no more"}]}"#,
        r#"{"Message":"no more"}"#,
        r#"{"msg":"no more"}"#,
        r#"[{"error":{"message":"no more"}}]"#,
        "<!DOCTYPE html><html><head><title>no more</title></head><body>x</body></html>",
        "no more\n",
        "\"no more\"",
    ];
    for format in Format::ALL {
        for (body, status) in bodies.iter().flat_map(|body| [(body, 400), (body, 500), (body, 524)]) {
            let server = Server::start();
            server.next(Reply::status(status, *body));
            let client = provider(profile(format, server.base_url(format)), Timeouts::default());
            let e = run(collect(&*client, question("hi"))).error.unwrap();
            let path = server.requests()[0].path.clone();
            let url = format!("({}{})", server.url(), path.split('?').next().unwrap());
            assert!(e.text.contains("no more") && e.text.contains(&url), "{format:?} {status} {body}: {e} {url}");
            assert_eq!(e.status, Some(status));
        }
    }
}

#[test]
fn a_page_instead_of_an_answer_is_told_by_its_title() {
    for format in Format::ALL {
        for label in ["text/html", "text/event-stream", "application/json"] {
            let page = "<html>\n<head><title>Sign in</title></head>\n<script>\n{ x: 1 }\ndata: 1\n</script></html>";
            let e = ask(format, Reply::raw(label, vec![page.into()]), Timeouts::default()).error.unwrap();
            let expected = format!("answered with {label} instead of an answer: check base_url (Sign in)");
            assert!(e.text.contains(&expected) && e.kind == ErrorKind::Protocol && !e.retryable, "{format:?} {e}");
        }
    }
}

#[test]
fn an_output_limit_that_is_refused_is_learned() {
    let server = Server::start();
    let client = provider(profile(Format::Anthropic, server.base_url(Format::Anthropic)), Timeouts::default());
    let limit = |nth: usize| server.requests()[nth].body["max_tokens"].as_u64();
    let refusal = "max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for m";
    let error = json!({"type":"error","error":{"type":"invalid_request_error","message":refusal}});
    server.next(Reply::status(400, error.to_string()));
    assert_eq!(run(collect(&*client, question("a"))).text, "echo: a");
    assert_eq!((limit(0), limit(1)), (Some(32_000), Some(8_192)));
    // The next question asks for no more.
    assert_eq!(run(collect(&*client, question("b"))).text, "echo: b");
    assert_eq!((limit(2), server.requests().len()), (Some(8_192), 3));
    // One that names no limit, but tells of its models.
    let server = Server::start();
    let client = provider(profile(Format::Anthropic, server.base_url(Format::Anthropic)), Timeouts::default());
    server.otherwise(|_, request| match request.body["max_tokens"].as_u64() {
        None => Reply::raw("application/json", vec![br#"{"type":"model","id":"m","max_tokens":5000}"#.to_vec()]),
        Some(asked) if asked > 5_000 => Reply::status(400, "max_tokens is too large"),
        Some(_) => Reply::echo(),
    });
    assert_eq!(run(collect(&*client, question("a"))).text, "echo: a");
    let asked: Vec<_> = server.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(asked, ["/v1/messages", "/v1/models/m", "/v1/messages"]);
    // One that tells nothing: smaller ones are tried, a few.
    let server = Server::start();
    let client = provider(profile(Format::Anthropic, server.base_url(Format::Anthropic)), Timeouts::default());
    server.otherwise(|_, request| {
        if request.body["max_tokens"].as_u64().is_none_or(|asked| asked > 5_000) {
            Reply::status(400, "max_tokens is too large")
        } else {
            Reply::echo()
        }
    });
    assert_eq!(run(collect(&*client, question("a"))).text, "echo: a");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn an_output_limit_that_does_not_fit_beside_the_conversation_is_made_to_fit() {
    let server = Server::start();
    let client = provider(profile(Format::Anthropic, server.base_url(Format::Anthropic)), Timeouts::default());
    let refusal = "input length and `max_tokens` exceed context limit: 9000 + 32000 > 40000, decrease input length";
    server.next(Reply::status(400, json!({"error":{"message":refusal}}).to_string()));
    assert_eq!(run(collect(&*client, question("a"))).text, "echo: a");
    assert_eq!(run(collect(&*client, question("b"))).text, "echo: b");
    let limits: Vec<_> = server.requests().iter().map(|request| request.body["max_tokens"].as_u64()).collect();
    assert_eq!(limits, [Some(32_000), Some(31_000), Some(32_000)]);
}

#[test]
fn many_objects_on_one_line_are_read() {
    for format in [Format::Gemini, Format::Ollama] {
        let line = String::from_utf8(format.word("a", false)).unwrap();
        let object = line.trim_start_matches("data:").trim();
        let stop = String::from_utf8(format.stop(1)).unwrap();
        let stop = stop.trim_start_matches("data:").trim();
        for (open, between, close) in [("[", ",", "]"), ("", "", ""), ("", " ", "\n")] {
            let body = format!("{open}{}{stop}{close}", format!("{object}{between}").repeat(20_000));
            check(format, Reply::raw("application/json", vec![body.into()]), &"a".repeat(20_000));
        }
    }
}

#[test]
fn a_whole_answer_that_is_cut_off_behind_its_end_is_kept() {
    for format in Format::ALL {
        let text = whole(format).trim_end();
        let got = ask(format, Reply::raw("application/json", vec![text.into()]).end(End::Reset), Timeouts::default());
        assert_eq!((got.text.as_str(), got.error), ("a {b} \"c\"", None), "{format:?}");
    }
}

#[test]
fn a_conversation_that_is_too_long_is_asked_once() {
    for format in Format::ALL {
        let server = Server::start();
        server.otherwise(|_, _| {
            Reply::status(400, r#"{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}"#)
        });
        let client = provider(profile(format, server.base_url(format)), Timeouts::default());
        let request =
            Request { messages: vec![message(Role::User, "a"), message(Role::Assistant, "beginning")], ..question("") };
        let e = run(collect(&*client, request)).error.unwrap();
        assert_eq!((e.kind, e.retryable, server.requests().len()), (ErrorKind::Context, false, 1), "{format:?} {e}");
    }
}

#[test]
fn azure_is_asked_at_its_classic_endpoint() {
    let server = Server::start();
    let base_url = format!("{}/openai/deployments/d?api-version=2024-10-21", server.url());
    let own = Profile { auth_header: Some("api-key".to_owned()), ..profile(Format::OpenAi, base_url) };
    let first =
        b"data: {\"choices\":[],\"id\":\"\",\"model\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n"
            .to_vec();
    server.next(Reply::raw("text/event-stream", vec![first, Format::OpenAi.word("a", false), Format::OpenAi.stop(1)]));
    assert_eq!(run(collect(&*provider(own, Timeouts::default()), question("hi"))).text, "a");
    let request = server.requests().remove(0);
    assert_eq!(request.path, "/openai/deployments/d/chat/completions?api-version=2024-10-21");
    assert_eq!(request.headers.get("api-key").map(String::as_str), Some(KEY));
    assert_eq!(request.headers.get("authorization"), None);
}
