//! What the server's log says about all the processes of a round: who asked what and when, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::answers::{asked, mark, session_of};
use crate::disk::Moment;
use crate::process::{Acknowledged, Past, sender};
use crate::round::{Deed, Round, What};
use crate::server::Logged;

/// A process opens its next request for a session when the end of the one before is committed; its connection may be seen to be closed a
/// little later.
const OWN_OVERLAP: Duration = Duration::from_secs(2);

/// A piece that took so long is worth a line.
const UNUSUAL: Duration = Duration::from_millis(400);

/// The requests of the process `number` that were answered at this moment, or wholly answered before: its place in the log, the
/// question, and when its pieces were sent.
pub(crate) fn open_at(requests: &[Logged], number: usize, at: Duration) -> Vec<(usize, String, Vec<Duration>)> {
    let by = |request: &Logged| sender(request) == number && request.at <= at && request.status == 200;
    let open = requests.iter().enumerate().filter(|(_, r)| by(r) && r.ended.is_none_or(|ended| ended >= at));
    // The last moment is the stop's, which is no piece of the text.
    open.map(|(nth, request)| (nth, asked(request), request.sent.clone())).collect()
}

/// Judges the round when all has ended.
pub(crate) fn judge(round: &mut Round, moment: &Moment, acknowledged: &[Acknowledged]) {
    let requests = round.server.requests();
    one_process_a_session(round, &requests);
    nothing_is_sent_twice(round, &requests, moment);
    in_order(round, &requests, acknowledged);
    ends(round, &requests, moment);
    told(round, moment);
    lags(round, &requests);
    let figures = &mut round.figures;
    figures.requests += requests.len();
    figures.acknowledged += acknowledged.len();
    figures.unsaid += moment.entries.len() - acknowledged.len();
}

/// At any time one process streams a session.
fn one_process_a_session(round: &mut Round, requests: &[Logged]) {
    let mut last: BTreeMap<i64, (usize, &Logged)> = BTreeMap::new();
    for (nth, request) in requests.iter().enumerate() {
        if let Some((before_nth, before)) = last.insert(session_of(&asked(request)), (nth, request)) {
            let ended = before.ended.unwrap_or(Duration::MAX);
            if ended > request.at {
                let both = format!(
                    "requests {before_nth} and {nth}: {} until {ended:?}, {} from {:?}",
                    asked(before),
                    asked(request),
                    request.at
                );
                assert_eq!(sender(before), sender(request), "two processes in one session at a time: {both}");
                assert!(ended - request.at < OWN_OVERLAP, "two turns in one session at a time: {both}");
                round.figures.overlaps.push(ended - request.at);
            }
        }
    }
}

/// A question is asked again only where nothing was kept of what had come, and where a person has said that it shall; or because the
/// server refused it; or to go on.
fn nothing_is_sent_twice(round: &mut Round, requests: &[Logged], moment: &Moment) {
    let mut by_question: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (nth, request) in requests.iter().enumerate() {
        by_question.entry(asked(request)).or_default().push(nth);
    }
    for (question, asked) in by_question {
        let (id, entry) = moment.asking(&question).unwrap_or_else(|| panic!("never committed, and sent: {question}"));
        let has = |nth: usize| entry.answer.iter().flat_map(|answer| &answer.parts).any(|part| part.request == nth);
        for pair in asked.windows(2) {
            let (first, second) = (&requests[pair[0]], &requests[pair[1]]);
            if first.status != 200 {
                continue;
            }
            let until = second.at;
            if has(pair[0]) {
                round.figures.continued += 1;
                let goes_on =
                    |deed: &Deed| !matches!(deed.what, What::Kill(_)) && has_ended(deed, first, entry.session, until);
                let gave_way = round.deeds.iter().any(goes_on);
                let told = || (moments(first), moments(second), &entry.state, &entry.text);
                assert!(gave_way, "#{id} was kept in part, and is sent again: {pair:?}, {:#?}", told());
                continue;
            }
            round.figures.again += 1;
            let ended = |deed: &&Deed| has_ended(deed, first, entry.session, until);
            let ended: Vec<_> = round.deeds.iter().filter(ended).collect();
            assert!(!ended.is_empty(), "#{id} is sent again, and nothing has ended it: requests {pair:?}");
            let resumed = |from| round.deeds.iter().any(|deed| deed.what == What::Resumes && deed.within(from, until));
            let said = ended.iter().any(|deed| !matches!(deed.what, What::Kill(_)) || resumed(deed.from));
            assert!(said, "#{id} is sent again, and nobody has said so: requests {pair:?}");
        }
    }
}

/// A request as a failure tells of it.
fn moments(request: &Logged) -> (usize, u16, Duration, Option<&Duration>, usize, Option<Duration>) {
    (sender(request), request.status, request.at, request.sent.first(), request.sent.len(), request.ended)
}

/// Whether it may have ended the turn of this request.
fn ends_turns_of(deed: &Deed, request: &Logged, session: i64) -> bool {
    match deed.what {
        What::Kill(number) | What::Left(number) => number == sender(request),
        What::Ends(ended) => ended == session,
        What::Resumes => false,
    }
}

/// Whether it has ended the turn of this request by then. A process is known by its number and ends once; a slow server reads the
/// request of one that is dead already.
fn has_ended(deed: &Deed, request: &Logged, session: i64, until: Duration) -> bool {
    let from = if matches!(deed.what, What::Kill(_) | What::Left(_)) { Duration::ZERO } else { request.at };
    ends_turns_of(deed, request, session) && deed.within(from, until)
}

/// Messages are committed in the order in which they are acknowledged; and asked in the order of arrival, but for those that were held
/// because somebody died.
fn in_order(round: &Round, requests: &[Logged], acknowledged: &[Acknowledged]) {
    for past in &round.past {
        let entries: Vec<i64> = past.acknowledged().iter().map(|said| said.entry).collect();
        assert!(entries.is_sorted(), "the order of typing is lost: {entries:?}");
    }
    let mut first_asked: BTreeMap<String, Duration> = BTreeMap::new();
    for request in requests {
        first_asked.entry(asked(request)).or_insert(request.at);
    }
    let mut said: Vec<&Acknowledged> = acknowledged.iter().collect();
    said.sort_by_key(|said| said.entry);
    let mut last: BTreeMap<(i64, &str), (Duration, i64)> = BTreeMap::new();
    for said in said {
        let Some(&at) = first_asked.get(&said.text) else { continue };
        let place = last.entry((said.session, &said.priority)).or_insert((at, said.entry));
        if at < place.0 {
            let is_end = |deed: &Deed| matches!(deed.what, What::Kill(_) | What::Left(_)) && deed.from <= place.0;
            let died = round.deeds.iter().any(is_end);
            assert!(died, "#{} overtakes #{} and nobody has died", said.entry, place.1);
        } else {
            *place = (at, said.entry);
        }
    }
}

/// What has become of each message.
fn ends(round: &mut Round, requests: &[Logged], moment: &Moment) {
    for (id, entry) in &moment.entries {
        let answer = entry.answer.as_ref();
        match (entry.state.as_str(), answer.map(|answer| answer.state.as_str())) {
            ("done", Some("complete")) => round.figures.complete += 1,
            ("done", Some("interrupted")) => {
                round.figures.interrupted += 1;
                let its = requests.iter().filter(|request| asked(request) == entry.text).collect::<Vec<_>>();
                let ended = |deed: &Deed, request: &&Logged| has_ended(deed, request, entry.session, Duration::MAX);
                let cut = round.deeds.iter().any(|deed| its.iter().any(|request| ended(deed, request)));
                assert!(cut, "#{id} was interrupted, and nothing has ended it: {entry:?}");
            }
            ("cancelled", _) => {
                let cut = round.deeds.iter().any(|deed| deed.what == What::Ends(entry.session));
                assert!(cut, "#{id} is cancelled, and nobody has said so");
                round.figures.cancelled += 1;
            }
            ("dead", _) => {
                let refused = requests.iter().any(|r| asked(r) == entry.text && r.status != 200);
                assert!(refused, "#{id} is dead, and the server has never refused it");
            }
            other => panic!("#{id} has come to no end: {other:?}, {entry:?}"),
        }
    }
}

/// Who was not killed has been told what became of what it had asked; who was told that it is held has left it to others.
fn told(round: &Round, moment: &Moment) {
    let left = |event: &serde_json::Value| event["event"] == "error" && event["text"].to_string().contains("is held");
    let stayed = |past: &&Past| past.in_order && !past.events.iter().any(|(_, event)| left(event));
    for past in round.past.iter().filter(stayed) {
        for said in past.acknowledged() {
            let entry = &moment.entries[&said.entry];
            let finished: Vec<_> = past.of_entry("finished", said.entry).collect();
            let last = finished.last();
            let last =
                last.unwrap_or_else(|| panic!("process {} never heard of the end of {said:?}: {entry:?}", past.number));
            let complete = entry.answer.as_ref().filter(|answer| answer.state == "complete");
            assert_eq!(last["state"] == "complete", complete.is_some(), "{last}, and {entry:?}");
            assert!(complete.is_none_or(|answer| last["text"] == answer.text.as_str()), "{last}, and {entry:?}");
            assert!(finished.iter().filter(|event| event["state"] == "complete").count() < 2, "{said:?} ended twice");
            // Of a request that was cut before anything of it was kept it may have heard too.
            let heard: String = past.of_entry("delta", said.entry).filter_map(|event| event["text"].as_str()).collect();
            let whole = complete.is_none_or(|answer| heard.ends_with(&answer.text));
            assert!(whole, "process {} has not heard all of {said:?}: {heard:?} of {entry:?}", past.number);
        }
    }
}

/// How long each piece took from the server to who had asked.
fn lags(round: &mut Round, requests: &[Logged]) {
    let mut figures = std::mem::take(&mut round.figures);
    for past in &round.past {
        for (when, event) in &past.events {
            let text = event["text"].as_str().filter(|_| event["event"] == "delta").unwrap_or_default();
            let Some((request, piece)) = text.find('<').and_then(|at| mark(&text[at..])) else { continue };
            let Some(sent) = requests[request].sent.get(piece) else { panic!("shown before it was sent: {event}") };
            let lag = round.server.since_start(*when).saturating_sub(*sent);
            let its = if sender(&requests[request]) == past.number { &mut figures.own } else { &mut figures.followed };
            if lag > UNUSUAL {
                let (entry, of) = (&event["entry"], moments(&requests[request]));
                println!("{lag:.0?} from the server to process {} for #{entry}: {of:?}", past.number);
            }
            its.push(lag);
        }
    }
    round.figures = figures;
}
