//! Frames on an emulated screen.

use rustyline::GraphemeClusterMode::WcWidth;

use super::super::live_row::tests::Screen;
use super::*;
use crate::domain::ErrorKind;

fn question(text: &str) -> Show {
    Show::Question { session: SessionId(1), name: "main".parse().unwrap(), text: text.into() }
}

fn end(state: AnswerState, why: Option<(Option<u16>, &str)>) -> Show {
    let error = why.map(|(status, text)| StoredError {
        kind: ErrorKind::Transport,
        status,
        text: text.into(),
        request_id: None,
    });
    Show::End { state, line: None, error }
}

fn switched(unread: bool, cut_bytes: u64) -> Show {
    Show::Switched { session: SessionId(2), name: "docs".parse().unwrap(), unread, cut_bytes }
}

fn text(text: &str) -> Show {
    Show::Text(text.into())
}

fn look(reasoning: Reasoning) -> Look {
    Look { reasoning, ..Look::default() }
}

fn shown(width: u16, reasoning: Reasoning, shows: &[Show]) -> Vec<String> {
    let mut screen = Screen::new(width);
    let mut renderer = Renderer::new(Kind::Screen, WcWidth, Palette::new(false), look(reasoning));
    // Each show in a frame of its own: more seams than there ever are.
    for show in shows {
        for print in renderer.render(std::slice::from_ref(show), width.into(), None) {
            screen.print(&print);
        }
    }
    screen.rows()
}

#[test]
fn frames_look_as_the_contract_says() {
    let check = |width, shows: &[Show], expected: &[&str]| {
        assert_eq!(shown(width, Reasoning::Dim, shows), expected, "{shows:?}");
    };
    let done = || end(AnswerState::Complete, None);
    check(
        40,
        &[
            question("hi\nthere"),
            text("Hel"),
            text("lo"),
            done(),
            question("more"),
            text("ok\n\n"),
            done(),
            question("x"),
        ],
        &["1:main> hi", "there", "Hello", "", "1:main> more", "ok", "", "1:main> x"],
    );
    check(
        40,
        &[text("part"), end(AnswerState::Interrupted, Some((None, "connection reset")))],
        &["part", "[interrupted: connection reset]"],
    );
    check(40, &[end(AnswerState::Interrupted, None)], &["[interrupted]"]);
    // What the stop reason says, once, and in place of all else.
    let stopped = |state, error| match end(state, error) {
        Show::End { state, error, .. } => Show::End { state, line: Some("[refused: no]".into()), error },
        other => other,
    };
    for state in [AnswerState::Complete, AnswerState::Interrupted] {
        check(40, &[text("part"), stopped(state, None), question("x")], &["part", "[refused: no]", "", "1:main> x"]);
    }
    check(40, &[stopped(AnswerState::Failed, Some((None, "refused: no")))], &["[refused: no]"]);
    check(40, &[end(AnswerState::Failed, Some((Some(401), "no key\nset one")))], &["[failed: 401 no key set one]"]);
    check(
        40,
        &[text("half a w"), Show::Notice("[2 docs] done".into()), text("ord"), Show::Error("no".into()), text("s")],
        &["[2 docs] done", "error: no", "half a words"],
    );
    check(
        40,
        &[
            text("live"),
            Show::Command { session: SessionId(1), name: "main".parse().unwrap(), line: "/queue".into() },
            Show::Block("a\nb\n".into()),
        ],
        &["1:main> /queue", "a", "b", "live"],
    );
    check(
        80,
        &[text("old"), switched(true, 4_089_446), text("new")],
        &["old", "", "── 2:docs · new ──", "… 3.9 MiB before this not shown: /replay shows all", "new"],
    );
    check(20, &[switched(false, 0)], &["── 2:docs ──"]);
    check(10, &[switched(false, 0)], &["── 2:d… ──"]);
    check(40, &[Show::Notice("\x1b[2Jevil\r".into())], &["␛[2Jevil␍"]);
}

#[test]
fn reasoning_is_told_from_the_answer() {
    let shows =
        [Show::Reasoning("hm".into()), Show::Reasoning(", yes".into()), text("Yes."), end(AnswerState::Complete, None)];
    let check = |reasoning, expected: &[&str]| assert_eq!(shown(40, reasoning, &shows), expected);
    check(Reasoning::Dim, &["[thinking] hm, yes", "", "Yes."]);
    check(Reasoning::Show, &["[thinking] hm, yes", "", "Yes."]);
    check(Reasoning::Hide, &["[thought, 7 characters: /set reasoning", "dim shows it]", "Yes."]);
    let long = [question("q"), Show::Reasoning("é".repeat(1_234)), end(AnswerState::Interrupted, None)];
    let row = "[thought, 1,234 characters: /set reasoning dim shows it]";
    assert_eq!(shown(80, Reasoning::Hide, &long), ["1:main> q", row, "[interrupted]"]);
}

#[test]
fn colour_is_only_there_when_wanted() {
    let shows = [question("q"), Show::Reasoning("r".into()), text("t"), Show::Error("e".into()), switched(true, 1)];
    let draw = |color| {
        let mut renderer = Renderer::new(Kind::Whole, WcWidth, Palette::new(color), Look::default());
        renderer.render(&shows, 80, None).concat()
    };
    assert!(!draw(false).contains('\x1b'));
    assert_eq!(anstream::adapter::strip_str(&draw(true)).to_string(), draw(false));
}

#[test]
fn long_texts_go_out_in_several_prints() {
    let long = "all work and no play\n".repeat(3_000);
    for show in [text(&long), Show::Block(long.clone())] {
        let mut renderer = Renderer::new(Kind::Screen, WcWidth, Palette::new(false), Look::default());
        let mut screen = Screen::new(80);
        let prints = renderer.render(&[show], 80, None);
        assert!(prints.len() > 2);
        for print in &prints {
            assert!(print.len() < 2 * PRINT_BYTES);
            screen.print(print);
        }
        let rows = screen.rows();
        assert_eq!(rows.len(), 3_000);
        assert!(rows.iter().all(|row| row == "all work and no play"));
    }
}

#[test]
fn sizes_read_well() {
    let check = |bytes, expected: &str| assert_eq!(size(bytes), expected);
    check(812, "812 B");
    check(1_536, "1.5 KiB");
    check(4_089_446, "3.9 MiB");
}
