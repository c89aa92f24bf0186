//! Approvals and rules.

use crate::support::Fixture;
use orx_protocol::api::approval::{Approval, ApprovalKind, ApprovalState, Effect, Road, Rule};
use orx_protocol::{ApprovalId, RuleId, SessionId};
use orx_store::{StoreError, approvals};

fn asked(session: SessionId, at_ms: u64) -> Approval {
    Approval::pending(ApprovalId::generate(), session, "claude", ApprovalKind::Command, Road::Hook, at_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_are_listed_by_state_and_session_and_outlive_a_restart() {
    let fixture = Fixture::new();
    let (first, second) = (SessionId::generate(), SessionId::generate());
    let rows = [asked(first, 30), asked(first, 10), asked(second, 20)];
    let kept = rows.clone();
    fixture.store.write(move |tx| kept.iter().try_for_each(|row| approvals::insert(tx, row))).await.unwrap();
    let again = rows[0].clone();
    let twice = fixture.store.write(move |tx| approvals::insert(tx, &again)).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    let decided = Approval { state: ApprovalState::Denied, reason: Some("no".to_owned()), ..rows[2].clone() };
    let change = decided.clone();
    fixture.store.write(move |tx| approvals::update(tx, &change)).await.unwrap();

    let fixture = fixture.reopen().await;
    let list = |all: bool, session: Option<SessionId>, limit: u32| {
        let store = fixture.store.clone();
        async move { store.read(move |reader| approvals::list(reader, all, session, limit)).await.unwrap() }
    };
    assert_eq!(list(false, None, 10).await, [rows[1].clone(), rows[0].clone()]);
    assert_eq!(list(true, None, 10).await, [rows[1].clone(), decided.clone(), rows[0].clone()]);
    assert_eq!(list(true, None, 2).await, [decided.clone(), rows[0].clone()]);
    assert_eq!(list(false, Some(second), 10).await, []);
    assert_eq!(list(true, Some(second), 10).await, [decided]);
    let missing = ApprovalId::generate();
    let read = fixture.store.read(move |reader| approvals::get(reader, missing)).await;
    assert!(matches!(read, Err(StoreError::NotFound(_))), "{read:?}");
    let unknown = asked(first, 1);
    let written = fixture.store.write(move |tx| approvals::update(tx, &unknown)).await;
    assert!(matches!(written, Err(StoreError::NotFound(_))), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_kept_in_their_order_until_they_are_removed() {
    let fixture = Fixture::new();
    let rule = |at_ms: u64| Rule {
        rule: RuleId::generate(),
        effect: Effect::Deny,
        engine: None,
        kind: None,
        tool: None,
        command: Some("git push *".to_owned()),
        path: None,
        cwd: None,
        session: None,
        expires_at_ms: None,
        created_at_ms: at_ms,
        created_by: "a test".to_owned(),
        reason: None,
    };
    let (later, sooner) = (rule(2), rule(1));
    let kept = [later.clone(), sooner.clone()];
    fixture.store.write(move |tx| kept.iter().try_for_each(|rule| approvals::insert_rule(tx, rule))).await.unwrap();
    assert_eq!(fixture.store.read(approvals::rules).await.unwrap(), [sooner.clone(), later.clone()]);
    let name = sooner.rule;
    let removed = fixture.store.write(move |tx| approvals::remove_rule(tx, name)).await.unwrap();
    assert_eq!(removed, sooner);
    let again = fixture.store.write(move |tx| approvals::remove_rule(tx, name)).await;
    assert!(matches!(again, Err(StoreError::NotFound(_))), "{again:?}");
    assert_eq!(fixture.store.read(approvals::rules).await.unwrap(), [later]);
}
