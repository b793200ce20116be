//! Proxies that refuse, want a password, hang or are misspelled, and servers that are spoken to in the wrong way: the error names
//! what is at fault, and the variable or the key that mends it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::program::{Home, Outcome, Program};
use crate::server::{Format, Server};

/// A host that no proxy test ever connects to.
const HOST: &str = "llm.example.test";
const SECRET: &str = "pw-0123456789";

/// A home whose model is at this address.
fn home(base_url: &str) -> Home {
    let home = Home::fresh();
    home.configure(&format!(
        "model = \"m:x\"\n[retry]\nmax_attempts = 2\ninitial_delay = \"1ms\"\n[timeouts]\nconnect = \"500ms\"\nheaders = \"1s\"\n\
         [providers.m]\nkind = \"openai\"\nbase_url = \"{base_url}\"\n"
    ));
    home
}

/// Asks once, with these variables.
fn ask(home: &Home, variables: &[(&str, &str)]) -> Outcome {
    let mut command = home.command(&[]);
    command.envs(variables.iter().copied());
    let mut program = Program::start(command);
    program.send("hi");
    program.finish()
}

/// Somebody who answers each connection with these bytes once something has come, or with nothing, and reads on.
fn answering(reply: &'static [u8]) -> SocketAddr {
    serving(move |mut stream| {
        let mut block = [0; 4_096];
        if stream.read(&mut block).is_ok() && !reply.is_empty() {
            let _ = stream.write_all(reply);
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        while stream.read(&mut block).is_ok_and(|n| n > 0) {}
    })
}

fn serving(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A port where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The error of a question to `base_url` says these parts, names the variable and the proxy, and no password.
fn check(base_url: &str, variable: &str, scheme: &str, proxy: SocketAddr, says: &str) {
    let value = format!("{scheme}me:{SECRET}@{proxy}");
    let outcome = ask(&home(base_url), &[(variable, &value)]).code(1);
    let named = format!("proxy {proxy} ({variable})");
    let error = &outcome.err;
    assert!(error.contains(&named) && error.contains(says), "{base_url} {variable} {scheme}: {error}");
    assert!(!error.contains(SECRET), "{error}");
    assert!(!error.contains("is the server running"), "{error}");
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let [http, https] = ["http", "https"].map(|scheme| format!("{scheme}://{HOST}/v1"));
    check(&http, "HTTP_PROXY", "http://", nobody(), "connection refused");
    check(&http, "http_proxy", "", nobody(), "connection refused");
    check(&http, "ALL_PROXY", "https://", nobody(), "connection refused");
    check(&https, "HTTPS_PROXY", "http://", nobody(), "connection refused");
    check(&https, "all_proxy", "http://", nobody(), "connection refused");
    check(&http, "ALL_PROXY", "socks5h://", nobody(), "is it running");
    check(&https, "ALL_PROXY", "socks4a://", nobody(), "is it running");
}

#[test]
fn a_proxy_whose_name_is_unknown_is_named() {
    let outcome = ask(&home(&format!("http://{HOST}/v1")), &[("HTTP_PROXY", "http://no-such-proxy.invalid:3128")]);
    outcome.code(1).err(&["no address for the proxy no-such-proxy.invalid:3128 (HTTP_PROXY): check HTTP_PROXY"]);
}

#[test]
fn a_proxy_that_answers_for_itself_is_named() {
    let [http, https] = ["http", "https"].map(|scheme| format!("{scheme}://{HOST}/v1"));
    let password = answering(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
    check(&http, "HTTP_PROXY", "http://", password, "user and password");
    check(&https, "HTTPS_PROXY", "http://", password, "user and password");
    let outcome = ask(&home(&https), &[("https_proxy", &password.to_string())]).code(1);
    outcome.err(&["wants a user and a password: write http://USER:PASSWORD@HOST:PORT in https_proxy"]);
    for refused in [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".as_slice(),
        b"HTTP/1.1 502 Bad Gateway\r\nVia: 1.1 box\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    ] {
        let proxy = answering(refused);
        check(&https, "HTTPS_PROXY", "http://", proxy, &format!("made no connection to https://{HOST} (it refused)"));
        check(&http, "HTTP_PROXY", "http://", proxy, "(through the proxy");
    }
}

#[test]
fn a_proxy_that_hangs_is_named() {
    let [http, https] = ["http", "https"].map(|scheme| format!("{scheme}://{HOST}/v1"));
    let silent = answering(b"");
    check(&https, "HTTPS_PROXY", "http://", silent, "within 500 ms");
    check(&https, "ALL_PROXY", "socks5h://", silent, "within 500 ms");
    check(&http, "HTTP_PROXY", "http://", silent, "within 1.0 s");
}

#[test]
fn a_proxy_that_speaks_something_else_is_named() {
    let [http, https] = ["http", "https"].map(|scheme| format!("{scheme}://{HOST}/v1"));
    let plain = answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    check(&https, "HTTPS_PROXY", "https://", plain, "does not speak TLS: write http:// in HTTPS_PROXY");
    check(&http, "HTTP_PROXY", "http://", answering(b"\x15\x03\x03\x00\x02\x02\x46"), "does not speak HTTP");
    // A refusal by SOCKS 5: "connection not allowed by ruleset".
    check(&http, "ALL_PROXY", "socks5h://", answering(b"\x05\xff"), "made no connection");
}

#[test]
fn a_variable_that_names_no_proxy_is_said() {
    for (variable, value, scheme) in [
        ("HTTP_PROXY", "http://", "http"),
        ("https_proxy", "ftp://box:1", "https"),
        ("ALL_PROXY", "socks5://me:pw-0123456789@", "https"),
    ] {
        let outcome = ask(&home(&format!("{scheme}://{HOST}/v1")), &[(variable, value)]).code(1);
        assert!(outcome.err.contains(&format!("{variable} is not the URL of a proxy")), "{}", outcome.err);
        assert!(!outcome.err.contains(SECRET), "{}", outcome.err);
    }
}

/// Passes connections on to `target`, whatever it is asked for: SOCKS 5 with a name, as RFC 1928 has it.
fn socks(target: SocketAddr) -> SocketAddr {
    serving(move |mut client| {
        let mut exact = |n: usize| {
            let mut bytes = vec![0; n];
            client.read_exact(&mut bytes).map(|()| bytes)
        };
        let Ok(greeting) = exact(2) else { return };
        if exact(greeting[1].into()).is_err() || client.write_all(&[5, 0]).is_err() {
            return;
        }
        let mut head = [0; 5];
        if client.read_exact(&mut head).is_err() {
            return;
        }
        assert_eq!(head[3], 3, "the proxy looks the name up");
        let mut rest = vec![0; usize::from(head[4]) + 2];
        let named = client.read_exact(&mut rest).is_ok() && rest.starts_with(HOST.as_bytes());
        assert!(named && client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).is_ok());
        let server = TcpStream::connect(target).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut &server, &mut client);
    })
}

#[test]
fn an_answer_comes_through_a_socks_proxy() {
    let server = Server::start();
    let target = server.url().strip_prefix("http://").unwrap().parse().unwrap();
    for (variable, scheme) in [("ALL_PROXY", "socks5h"), ("http_proxy", "socks")] {
        let value = format!("{scheme}://{}", socks(target));
        ask(&home(&format!("http://{HOST}/v1")), &[(variable, &value)]).code(0).out("echo: hi\n");
    }
    assert_eq!(server.requests()[0].format, Format::OpenAi);
}

#[test]
fn an_answer_comes_through_an_http_proxy_and_past_it() {
    let answer: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"by proxy\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let proxy = format!("http://{}", answering(answer));
    ask(&home(&format!("http://{HOST}/v1")), &[("HTTP_PROXY", &proxy)]).code(0).out("by proxy\n");
    // This machine's own servers, and what NO_PROXY names, are never asked through it.
    let server = Server::start();
    ask(&home(&server.base_url(Format::OpenAi)), &[("HTTP_PROXY", &proxy)]).code(0).out("echo: hi\n");
    let past = [("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", "example.test")];
    ask(&home(&format!("http://{HOST}/v1")), &past).code(1).err(&["no address for http://llm.example.test"]);
}

#[test]
fn a_server_that_is_spoken_to_in_the_wrong_way_says_so() {
    let check = |scheme: &str, reply: &'static [u8], says: &str| {
        let server = answering(reply);
        let outcome = ask(&home(&format!("{scheme}://{server}/v1")), &[]).code(1);
        assert!(outcome.err.contains(&says.replace("SERVER", &server.to_string())), "{scheme}: {}", outcome.err);
    };
    // Alerts: unexpected message, protocol version; and a handshake.
    for reply in [&b"\x15\x03\x01\x00\x02\x02\x0a"[..], b"\x15\x03\x03\x00\x02\x02\x46", b"\x16\x03\x03\x00\x05hello"] {
        check("http", reply, "TLS: write https://SERVER in base_url");
    }
    check("https", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "does not speak TLS");
    check("https", b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak TLS");
}

#[test]
fn a_server_that_cannot_be_reached_says_why() {
    let refused = nobody();
    let outcome = ask(&home(&format!("http://{refused}/v1")), &[]).code(1);
    outcome.err(&[&format!("connection refused at http://{refused}: is the server running?")]);
    let unknown = ask(&home("https://no-such-host.invalid/v1"), &[]).code(1);
    unknown.err(&["no address for https://no-such-host.invalid: check base_url and the network"]);
}
