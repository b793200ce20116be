//! A blocking server on a port of 127.0.0.1: a thread a connection, one request each.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Requests beyond this are no bench's.
const MAX_BODY_BYTES: u64 = 64 << 20;

/// Starts it. `answer` gets each request's body and the connection to answer on. It lives as long as the process.
pub(crate) fn start(
    answer: impl Fn(&[u8], TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A client that goes away ends its own measurement.
            thread::spawn(move || request(&connection).and_then(|body| answer(&body, connection)));
        }
    });
    Ok(address)
}

/// Reads a request; gives back its body.
fn request(connection: &TcpStream) -> io::Result<Vec<u8>> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = Vec::new();
    reader.take(MAX_BODY_BYTES.min(length)).read_to_end(&mut body)?;
    Ok(body)
}
