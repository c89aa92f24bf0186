//! Watchers of a session: what they are told and when, and that nobody waits for one that does not read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says by a panic that it failed.

mod support;

use orx_protocol::ErrorKind;
use orx_protocol::hold::method;
use orx_protocol::watch::{CHANGED, Changed, NoticeKind, Progress, PromptMark, Reader};
use serde_json::{Value, json};
use support::{Client, Session, eventually};

/// Watches a session.
fn watch(session: &Session) -> Client {
    let mut client = session.connect();
    assert_eq!(client.call(method::WATCH, json!({})).unwrap(), json!({}));
    client
}

fn next(client: &mut Client) -> Changed {
    let body: Value = serde_json::from_slice(&client.frame().expect("the holder tells")).unwrap();
    assert_eq!(body["method"], CHANGED, "{body}");
    serde_json::from_value(body["params"].clone()).unwrap()
}

/// What is told until something is as wanted.
fn until(client: &mut Client, wanted: impl Fn(&Changed) -> bool) -> Vec<Changed> {
    let mut told = Vec::new();
    loop {
        told.push(next(client));
        if wanted(told.last().unwrap()) {
            return told;
        }
    }
}

fn shows(news: &Changed, text: &str) -> bool {
    news.screen.as_ref().is_some_and(|screen| screen.lines.iter().any(|line| line.contains(text)))
}

#[test]
fn a_watcher_gets_everything_at_first_and_then_what_changes() {
    let session = Session::shell(
        "printf '\\033]0;first\\007\\033]133;C\\007here'; read line; \
         printf '\\033]0;second\\007\\033]9;done\\007\\033]9;4;1;40\\007\\007there'; read line",
    );
    session.shows("here");
    let mut client = watch(&session);
    let first = next(&mut client);
    assert_eq!((first.title.as_deref(), first.mark), (Some("first"), Some(PromptMark::Running)), "{first:?}");
    assert!(shows(&first, "here"));
    until(&mut client, |news| news.settled);
    session.call(method::KEYS, json!({"keys": ["enter"]}));
    let told = until(&mut client, |news| shows(news, "there"));
    let titles: Vec<_> = told.iter().filter_map(|news| news.title.clone()).collect();
    assert_eq!(titles, ["second"]);
    let notices: Vec<_> = told.iter().flat_map(|news| news.notices.iter().map(|notice| notice.kind)).collect();
    assert_eq!(notices, [NoticeKind::Osc9, NoticeKind::Bell]);
    assert_eq!(told.iter().find_map(|news| news.progress), Some(Progress::Percent(40)));
}

#[test]
fn who_reads_the_terminal_is_told_when_it_is_quiet() {
    let session = Session::shell("read line; sh -c 'read other'; sleep 600");
    let mut client = watch(&session);
    for reader in [Reader::Own, Reader::Other, Reader::Nobody] {
        let told = until(&mut client, |news| news.reader == Some(reader));
        assert!(told.last().unwrap().reader.is_some());
        session.call(method::KEYS, json!({"keys": ["enter"]}));
    }
}

#[test]
fn a_watcher_that_does_not_read_holds_up_nobody_and_gets_the_present_once_it_does() {
    let session = Session::shell(
        "i=0; while [ $i -lt 200000 ]; do echo \"line $i of many that nobody reads\"; i=$((i+1)); done; echo over; read line",
    );
    let mut lazy = watch(&session);
    session.shows("over");
    let mut told = Vec::new();
    eventually("the present", || {
        let news = next(&mut lazy);
        let is_present = shows(&news, "over");
        told.push(news);
        is_present.then_some(())
    });
    assert!(told.len() < 400, "{} notifications had been kept for it", told.len());
}

#[test]
fn watchers_are_few_come_and_go_and_pipes_have_none() {
    let session = Session::shell("echo here; read line");
    session.shows("here");
    let mut watchers: Vec<Client> = (0..8).map(|_| watch(&session)).collect();
    let refused = session.connect().call(method::WATCH, json!({})).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded, "{refused}");
    watchers.pop();
    eventually("a place", || session.connect().call(method::WATCH, json!({})).ok());
    let unknown = session.connect().call(method::WATCH, json!({"every_ms": 1})).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::InvalidParams);
    let mut pipes = Session::describe(&["/bin/sh", "-c", "sleep 600"]).on_pipes();
    pipes.start();
    let refused = pipes.connect().call(method::WATCH, json!({})).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition, "{refused}");
}
