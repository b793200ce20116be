//! The oracle: bytes are framed by the letter of the specification. It shares no code with what it judges.

use super::super::Kind;

/// The lines of `bytes` by their ends: LF, CR LF, CR.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut begin, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let width = if bytes[at..].starts_with(b"\r\n") { 2 } else { usize::from(matches!(bytes[at], b'\n' | b'\r')) };
        if width > 0 {
            lines.push(&bytes[begin..at]);
            begin = at + width;
        }
        at += width.max(1);
    }
    lines.push(&bytes[begin..]);
    lines
}

/// The data of the events by the letter of the specification, but that the end of the bytes ends an event too. Events without data
/// are left out.
pub(super) fn oracle_frames(kind: Kind, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if kind == Kind::Ollama {
        let is_blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
        return lines(bytes).into_iter().filter(|line| !is_blank(line)).map(|line| Some(line.to_vec())).collect();
    }
    let (mut found, mut data) = (Vec::new(), None::<Vec<u8>>);
    for line in lines(&[bytes, b"\n\n"].concat()) {
        if line.is_empty() {
            found.extend(data.take().filter(|data| !data.is_empty()).map(Some));
            continue;
        }
        let colon = line.iter().position(|b| *b == b':');
        let (name, value) = colon.map_or((line, None), |at| (&line[..at], Some(&line[at + 1..])));
        let value = value.map(|value| value.strip_prefix(b" ").unwrap_or(value)).unwrap_or_default();
        if name == b"data" {
            data = Some(data.map_or_else(|| value.to_vec(), |before| [&before, &b"\n"[..], value].concat()));
        }
    }
    found
}
