//! What a terminal sends beside keys, kept away from the line: replies to what some program had asked it (colours, its kind, the cursor's
//! place), reports of focus and mouse, and keys in a spelling that rustyline does not know. Pure: bytes in, bytes out.
//!
//! rustyline gives up in the middle of a sequence that it does not know, and what follows would be typed. So only sequences that it reads
//! to their end are let through; of the others those that mean a key (kitty's `CSI … u`, xterm's `CSI 27;…~`) become that key. A paste is content:
//! nothing in it is looked at.

use super::paste::{PASTE_END, PASTE_START};

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
/// A reply that is longer is none.
const MAX_REPLY_BYTES: usize = 256;

/// Where the bytes between a terminal and the line pass.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// The beginning of something that is not whole yet.
    held: Vec<u8>,
    /// How many bytes of that were passed on already: an Esc, if any.
    passed: usize,
    in_paste: bool,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// So many bytes are for the line.
    Keys(usize),
    /// So many bytes are a report.
    Report(usize),
    /// So many bytes mean this key.
    Key(usize, Vec<u8>),
    /// A paste begins, with so many bytes.
    Paste(usize),
    /// It cannot be told yet.
    Incomplete,
}

impl Reports {
    /// Adds to `keys` what of these bytes, and of those held before, is for the line.
    pub(super) fn pass(&mut self, bytes: &[u8], keys: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let (mut rest, mut passed) = (held.as_slice(), std::mem::take(&mut self.passed));
        while !rest.is_empty() {
            let found = if self.in_paste { self.in_paste(rest) } else { at_start(rest) };
            self.in_paste |= matches!(found, Found::Paste(_));
            let used = match found {
                Found::Keys(n) | Found::Paste(n) => {
                    keys.extend_from_slice(&rest[passed..n]);
                    n
                }
                Found::Key(n, key) => {
                    keys.extend(key);
                    n
                }
                Found::Report(n) => n,
                Found::Incomplete => break,
            };
            (rest, passed) = (&rest[used..], 0);
        }
        // Esc is a key as well, and rustyline has a time of its own for what may follow.
        if rest == [ESC] && !self.in_paste && passed == 0 {
            keys.push(ESC);
            passed = 1;
        }
        (self.held, self.passed) = (rest.to_vec(), passed);
    }

    /// Whether something is held that is for the line if nothing more comes soon.
    pub(super) fn is_waiting(&self) -> bool {
        // The end of a paste is waited for as long as it takes.
        !self.held.is_empty() && !self.in_paste
    }

    /// Nothing more came: what is held is what it looks like.
    pub(super) fn give_up(&mut self, keys: &mut Vec<u8>) {
        keys.extend(self.held.drain(..).skip(std::mem::take(&mut self.passed)));
    }

    fn in_paste(&mut self, bytes: &[u8]) -> Found {
        if let Some(at) = bytes.windows(PASTE_END.len()).position(|part| part == PASTE_END) {
            self.in_paste = false;
            return Found::Keys(at + PASTE_END.len());
        }
        // The last bytes may be the beginning of its end.
        let most = bytes.len().min(PASTE_END.len() - 1);
        let tail = (1..=most).rev().find(|&n| bytes.ends_with(&PASTE_END[..n])).unwrap_or(0);
        if tail == bytes.len() { Found::Incomplete } else { Found::Keys(bytes.len() - tail) }
    }
}

fn at_start(bytes: &[u8]) -> Found {
    if bytes[0] != ESC {
        return Found::Keys(bytes.iter().position(|&byte| byte == ESC).unwrap_or(bytes.len()));
    }
    match bytes.get(1) {
        None => Found::Incomplete,
        Some(b'[') => control_sequence(bytes),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => control_string(bytes),
        Some(b'O') => match (bytes.get(2), bytes.get(3)) {
            (None, _) | (Some(b'0'..=b'9'), None) => Found::Incomplete,
            // A key with a modifier, as old terminals write it.
            (Some(b'0'..=b'9'), Some(b'A'..=b'Z' | b'a'..=b'z')) => Found::Report(4),
            (Some(_), _) => Found::Keys(2),
        },
        // An Alt-key; a second Esc begins something of its own.
        Some(_) => Found::Keys(1),
    }
}

/// OSC, DCS, SOS, PM, APC: up to BEL or ST. What has anything else in it that no reply has is somebody's Alt-key.
fn control_string(bytes: &[u8]) -> Found {
    for (at, &byte) in bytes.iter().enumerate().skip(2).take(MAX_REPLY_BYTES - 2) {
        match (byte, bytes.get(at + 1)) {
            (BEL, _) => return Found::Report(at + 1),
            (ESC, Some(b'\\')) => return Found::Report(at + 2),
            (ESC, None) => return Found::Incomplete,
            (0..0x20, _) => return Found::Keys(2),
            _ => {}
        }
    }
    if bytes.len() < MAX_REPLY_BYTES { Found::Incomplete } else { Found::Keys(2) }
}

/// CSI, parameters, and a final byte.
fn control_sequence(bytes: &[u8]) -> Found {
    if bytes.get(2) == Some(&b'[') {
        // A function key of Linux's console.
        return if bytes.len() < 4 { Found::Incomplete } else { Found::Keys(4) };
    }
    let body = &bytes[2..];
    let Some(end) = body.iter().take(MAX_REPLY_BYTES).position(|byte| !(0x20..=0x3f).contains(byte)) else {
        return match body.len() {
            0..MAX_REPLY_BYTES if is_rxvt_key(body) => Found::Keys(2 + body.len()),
            0..MAX_REPLY_BYTES => Found::Incomplete,
            _ => Found::Keys(2),
        };
    };
    let whole = 2 + end + 1;
    let (parameters, last) = (&body[..end], body[end]);
    if is_rxvt_key(&parameters[..parameters.len().min(2)]) {
        return Found::Keys(4);
    }
    match last {
        0x40..=0x7e => {}
        // It broke off.
        _ => return Found::Report(2 + end),
    }
    if &bytes[..whole] == PASTE_START {
        return Found::Paste(whole);
    }
    if parameters.is_empty() && last == b'M' {
        // The mouse, in the oldest way: a button and a place follow, a byte each.
        return if bytes.len() < whole + 3 { Found::Incomplete } else { Found::Report(whole + 3) };
    }
    let Some(numbers) = numbers(parameters) else { return Found::Report(whole) };
    if is_known(parameters, &numbers, last) {
        return Found::Keys(whole);
    }
    let key = match (numbers.as_slice(), last) {
        ([code], b'u') => key_of(*code, 1),
        ([code, modifiers, ..], b'u') if !is_release(parameters) => key_of(*code, *modifiers),
        ([27, modifiers, code], b'~') => key_of(*code, *modifiers),
        _ => None,
    };
    key.map_or(Found::Report(whole), |key| Found::Key(whole, key))
}

/// rxvt ends a key with Shift by a `$`, which ends nothing elsewhere.
fn is_rxvt_key(parameters: &[u8]) -> bool {
    matches!(parameters, [b'1'..=b'8', b'$'])
}

/// The parameters, each without what follows a colon; an empty one is 1. `None` for a reply: it has a sign before or behind them.
fn numbers(parameters: &[u8]) -> Option<Vec<u32>> {
    let is_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
    if !parameters.iter().all(is_number) {
        return None;
    }
    let text = std::str::from_utf8(parameters).ok()?;
    let number = |part: &str| match part.split(':').next().unwrap_or_default() {
        "" => Some(1),
        digits => digits.parse().ok(),
    };
    if text.is_empty() { Some(Vec::new()) } else { text.split(';').map(number).collect() }
}

/// kitty's third kind of event: a key is let go.
fn is_release(parameters: &[u8]) -> bool {
    parameters.split(|&byte| byte == b';').nth(1).is_some_and(|modifiers| modifiers.ends_with(b":3"))
}

/// Whether rustyline reads this sequence to its end (`escape_csi` in its `tty/unix.rs`), whether or not it knows the key.
fn is_known(parameters: &[u8], numbers: &[u32], last: u8) -> bool {
    if parameters.contains(&b':') || matches!(parameters.first(), Some(b'0' | b'9')) {
        return false;
    }
    match (numbers, last) {
        ([], b'A'..=b'D' | b'F' | b'H' | b'Z' | b'a'..=b'd') => true,
        ([1..=8], b'A'..=b'D' | b'F' | b'H' | b'^' | b'@') => true,
        ([1, 2..=16], b'A'..=b'D' | b'F' | b'H' | b'P' | b'Q' | b'S') => true,
        // rxvt's digits with Ctrl.
        ([1, 5..=8], b'p'..=b'y') => true,
        ([1..=34 | 201], b'~') => true,
        ([1..=26 | 28..=34, 2..=16], b'~') => true,
        _ => false,
    }
}

/// The bytes of a key that came as a number, as a terminal without such spellings would send them.
fn key_of(code: u32, modifiers: u32) -> Option<Vec<u8>> {
    let held = modifiers.checked_sub(1)?;
    let [shift, alt, ctrl] = [1, 2, 4].map(|bit| held & bit != 0);
    // Super, Hyper and Meta are a window manager's.
    if held & 0b11_1000 != 0 {
        return None;
    }
    let c = char::from_u32(code).filter(|c| !('\u{e000}'..='\u{f8ff}').contains(c))?;
    let byte = match (c, ctrl) {
        ('\r', _) if shift || alt || ctrl => return Some(b"\n".to_vec()),
        ('\t', _) if shift => return Some(b"\x1b[Z".to_vec()),
        ('\r' | '\t' | '\x1b', _) => u8::try_from(c).ok(),
        ('\u{8}' | '\u{7f}', _) => Some(0x7f),
        ('@'..='_' | 'a'..='z' | ' ', true) => u8::try_from(c).ok().map(|byte| byte & 0x1f),
        (_, true) => return None,
        (c, false) if c.is_control() => return None,
        (_, false) => None,
    };
    let mut key = if alt { vec![ESC] } else { Vec::new() };
    match byte {
        Some(byte) => key.push(byte),
        None if shift => key.extend(c.to_uppercase().collect::<String>().into_bytes()),
        None => key.extend(c.to_string().into_bytes()),
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passed(parts: &[&[u8]]) -> Vec<u8> {
        let (mut reports, mut keys) = (Reports::default(), Vec::new());
        parts.iter().for_each(|part| reports.pass(part, &mut keys));
        reports.give_up(&mut keys);
        keys
    }

    fn check(bytes: &[u8], expected: &[u8]) {
        let found = passed(&[bytes]);
        assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{}", bytes.escape_ascii());
    }

    /// Replies and reports, as terminals send them.
    const REPORTS: &[&[u8]] = &[
        b"\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\",
        b"\x1b]10;rgb:ffff/ffff/ffff\x07",
        b"\x1b]4;1;rgb:cd/00/00\x1b\\",
        b"\x1b]52;c;aGVsbG8=\x07",
        b"\x1b[?62;22c",
        b"\x1b[>1;4402;0c",
        b"\x1b[=0;1;2c",
        b"\x1b[?2026;1$y",
        b"\x1b[4;1$y",
        b"\x1b[24;80R",
        b"\x1b[1;1R",
        b"\x1b[?1;1R",
        b"\x1b[0n",
        b"\x1b[3n",
        b"\x1b[8;24;80t",
        b"\x1b[4;600;800t",
        b"\x1b[?997;1n",
        b"\x1b[I",
        b"\x1b[O",
        b"\x1b[<0;10;20M",
        b"\x1b[<35;100;20m",
        b"\x1b[M !!",
        b"\x1b[M\x20\xc8\xff",
        b"\x1b[?0u",
        b"\x1b[>4;2m",
        b"\x1bP>|XTerm(380)\x1b\\",
        b"\x1bP1+r544e=787465726d\x1b\\",
        b"\x1bP1$r0m\x1b\\",
        b"\x1b_Gi=31;OK\x1b\\",
        b"\x1b^private\x1b\\",
        b"\x1bXstring\x1b\\",
        b"\x1b[57441u",
        b"\x1b[97;5:3u",
        b"\x1b[97;9u",
        b"\x1b[29;2;3;4~",
        b"\x1b[9~",
        b"\x1b[E",
        b"\x1bO5P",
    ];

    #[test]
    fn a_report_leaves_nothing() {
        for report in REPORTS {
            check(report, b"");
            check(&[b"ab", *report, b"X\r"].concat(), b"abX\r");
            check(&[*report, *report].concat(), b"");
            // In two pieces too, if the second comes soon. An Esc alone is a key.
            for cut in 1..report.len() {
                let expected: &[u8] = if report[cut - 1] == ESC && cut == 1 { b"\x1b" } else { b"" };
                assert_eq!(passed(&[&report[..cut], &report[cut..]]), expected, "{} at {cut}", report.escape_ascii());
            }
        }
    }

    #[test]
    fn a_key_in_another_spelling_is_that_key() {
        for newline in
            [&b"\x1b[27;2;13~"[..], b"\x1b[27;5;13~", b"\x1b[27;3;13~", b"\x1b[13;2u", b"\x1b[13;5u", b"\x1b[13;6u"]
        {
            check(newline, b"\n");
        }
        check(b"\x1b[13u", b"\r");
        check(b"\x1b[13;1u", b"\r");
        check(b"\x1b[13;129u", b"\r");
        check(b"\x1b[97;5u", b"\x01");
        check(b"\x1b[27;5;99~", b"\x03");
        check(b"\x1b[27;6;88~", b"\x18");
        check(b"\x1b[97;3u", b"\x1ba");
        check(b"\x1b[228;2u", "Ä".as_bytes());
        check(b"\x1b[97:65;2u", b"A");
        check(b"\x1b[97;5:1u", b"\x01");
        check(b"\x1b[9;2u", b"\x1b[Z");
        check(b"\x1b[27u", b"\x1b");
        check(b"\x1b[127;3u", b"\x1b\x7f");
        check(b"\x1b[32;2u", b" ");
    }

    #[test]
    fn keys_pass_as_they_are() {
        for key in [
            &b"abc"[..],
            b"\r",
            b"\x03",
            b"\x1b",
            b"\x1b\x1b",
            b"\x1ba",
            b"\x1b\r",
            b"\x1b1",
            b"\x1b[A",
            b"\x1b[1;3D",
            b"\x1b[1;10A",
            b"\x1b[Z",
            b"\x1bOA",
            b"\x1bOP",
            b"\x1bOM",
            b"\x1b[15~",
            b"\x1b[24;5~",
            b"\x1b[3~",
            b"\x1b[3;5~",
            b"\x1b[H",
            b"\x1b[[A",
            b"\x1b[7$",
            b"\x1b[8^",
            b"\x1b[5A",
            b"\x1b\x1b[A",
            b"\x1b[a",
            b"\x1b[1;5S",
            b"\x1b[1;5w",
            b"\x1bP",
            b"\x1b]",
            b"\x1b_",
            b"\x1bO",
            "日本é".as_bytes(),
            b"\xff",
            b"\x1b]hello\r",
        ] {
            check(key, key);
            check(&[key, b"\r"].concat(), &[key, b"\r"].concat());
        }
        check(b"\x1b[", b"\x1b[");
    }

    #[test]
    fn a_paste_is_content() {
        for report in REPORTS {
            let paste = [b"\x1b[200~", *report, b"\r\n", *report, b"\x1b[201~"].concat();
            check(&[&paste, *report].concat(), &paste);
            for cut in 0..paste.len() {
                assert_eq!(
                    passed(&[&paste[..cut], &paste[cut..], report]),
                    paste,
                    "{} at {cut}",
                    report.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn what_is_too_long_or_breaks_off_holds_nothing_up() {
        let long = [b"\x1b]11;", vec![b'x'; MAX_REPLY_BYTES].as_slice(), b"\x07"].concat();
        check(&long, &long);
        let most = [b"\x1b]1", vec![b'x'; MAX_REPLY_BYTES - 4].as_slice(), b"\x07"].concat();
        assert_eq!(most.len(), MAX_REPLY_BYTES);
        check(&most, b"");
        check(b"\x1b[12\x1b[A", b"\x1b[A");
        check(b"\x1b[1\rX", b"\rX");
        let (mut reports, mut keys) = (Reports::default(), Vec::new());
        reports.pass(b"a\x1b", &mut keys);
        assert_eq!(keys, b"a\x1b", "a lone Esc waits for nothing");
        reports.pass(b"[12", &mut keys);
        assert!(reports.is_waiting());
        assert_eq!(keys, b"a\x1b");
        reports.give_up(&mut keys);
        assert!(!reports.is_waiting());
        assert_eq!(keys, b"a\x1b[12");
        reports.pass(b"\x1b[200~x\x1b[20", &mut keys);
        assert!(!reports.is_waiting(), "the end of a paste is waited for");
    }

    proptest! {
        /// Wherever it is cut; and what has no Esc in it is never touched.
        #[test]
        fn cuts_change_nothing(
            parts in prop::collection::vec(prop_oneof![
                prop::sample::select(REPORTS.to_vec()).prop_map(<[u8]>::to_vec),
                "[a-z\r日]{0,5}".prop_map(String::into_bytes),
            ], 0..6),
            cuts in prop::collection::vec(0usize..200, 0..4),
        ) {
            let whole = parts.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &whole[cut[0]..cut[1]]).collect();
            let typed: Vec<u8> = parts.iter().filter(|part| !part.contains(&ESC)).flatten().copied().collect();
            // A report that is cut behind its Esc leaves that.
            let found: Vec<u8> = passed(&pieces).into_iter().filter(|&byte| byte != ESC).collect();
            prop_assert_eq!(found, typed);
        }

        #[test]
        fn nothing_is_held_without_end(bytes in prop::collection::vec(prop::sample::select(b"\x1b\x1b[]PO_;019?$<uM~A\\\x07x".to_vec()), 0..400)) {
            let (mut reports, mut keys) = (Reports::default(), Vec::new());
            reports.pass(&bytes, &mut keys);
            prop_assert!(reports.held.len() <= 2 + MAX_REPLY_BYTES);
        }
    }
}
