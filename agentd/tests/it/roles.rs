//! What the roles answer.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Link};

async fn error(daemon: &mut Daemon, link: &mut Link, method: &str, params: Value) -> (String, String, String) {
    let body = daemon.dispatch(link, "d", method, params).await;
    let error = &body["error"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&error["data"]["kind"]), text(&error["message"]), text(&error["data"]["hint"]))
}

#[tokio::test]
async fn names_are_numbered_kept_and_the_same_when_dispatched_again() {
    let mut daemon = Daemon::start();
    let (_child, mut link) = daemon.start_worker("naming", &[]).await;
    let params = json!({ "domain": "auth", "purpose": "logs in with {n} factors" });
    let first = daemon.result(&mut link, "dsp_1", "naming.allocate_capability", params.clone()).await;
    assert_eq!(
        (&first["slug"], &first["domain"], &first["sequence"]),
        (&json!("CAP-AUTH-1"), &json!("AUTH"), &json!(1))
    );
    assert_eq!(first["purpose"], "logs in with {n} factors");
    let ulid = first["cid"].as_str().unwrap().strip_prefix("cid:centerfire:capability:").unwrap();
    assert_eq!(ulid.len(), 26);
    assert_eq!(first["directory"], format!("CAP-AUTH-1__{}", &ulid[..8]));
    assert!(first["allocated"].as_str().unwrap().ends_with('Z'));

    let again = daemon.result(&mut link, "dsp_1", "naming.allocate_capability", params.clone()).await;
    assert_eq!(again, first);
    let second = daemon.result(&mut link, "dsp_2", "naming.allocate_capability", params).await;
    assert_eq!(second["slug"], "CAP-AUTH-2");
    assert_ne!(second["cid"], first["cid"]);

    for (id, text) in [("dsp_3", "description"), ("dsp_4", "purpose")] {
        let params = json!({ "domain": "AUTH", text: "x", "request_id": "r-1" });
        let reply = daemon.result(&mut link, id, "naming.allocate_capability", params).await;
        assert_eq!((&reply["slug"], &reply["request_id"]), (&json!("CAP-AUTH-3"), &json!("r-1")));
    }
}

#[tokio::test]
async fn sessions_and_namespaces_are_named_as_they_always_were() {
    let mut daemon = Daemon::start();
    let (_child, mut link) = daemon.start_worker("naming", &[]).await;
    let session = daemon.result(&mut link, "s1", "naming.allocate_session", json!({})).await;
    assert!(session["session_id"].as_str().unwrap().starts_with("SES-CLAUDE-1-"));
    assert_eq!((&session["type"], &session["context"]), (&json!("claude_coding"), &json!("session")));
    let mut generic = Vec::new();
    for (id, kind) in [("s2", "review"), ("s3", "deploy"), ("s4", "review")] {
        let session = daemon.result(&mut link, id, "naming.allocate_session", json!({ "type": kind })).await;
        generic.push(session["session_id"].as_str().unwrap().to_owned());
    }
    generic.sort_unstable();
    generic.dedup();
    assert_eq!(generic.len(), 3, "{generic:?}");

    let params = json!({ "project": "centerfire", "environment": "dev", "class_type": "concept", "request_id": 7 });
    let namespace = daemon.result(&mut link, "n1", "naming.allocate_namespace", params).await;
    assert_eq!(namespace["namespace"], "centerfire.dev.ns1");
    assert_eq!((&namespace["className"], &namespace["request_id"]), (&json!("Centerfire_Dev_Concept"), &json!(7)));
    assert!(namespace["cid"].as_str().unwrap().starts_with("cid:centerfire:dev:namespace:"));
}

#[tokio::test]
async fn bad_requests_are_told_what_to_do_and_use_no_number() {
    let mut daemon = Daemon::start();
    let (_child, mut link) = daemon.start_worker("naming", &[]).await;
    for (action, params, expected) in [
        ("allocate_capability", Value::Null, "No params provided"),
        ("allocate_capability", json!([1]), "No params provided"),
        ("allocate_capability", json!({}), "Domain required"),
        ("allocate_capability", json!({ "domain": "" }), "Domain required"),
        ("allocate_capability", json!({ "domain": 7 }), "`domain` is not a text"),
        ("allocate_capability", json!({ "domain": "../etc" }), "`domain` is not usable: ../etc"),
        ("allocate_capability", json!({ "domain": "AUTH", "request_id": "a\nb" }), "`request_id` is no usable key"),
        ("allocate_session", json!({ "type": "a b" }), "`type` is not usable: a b"),
        ("allocate_namespace", json!({ "environment": "dev" }), "Project required"),
        ("allocate_namespace", json!({ "project": "x" }), "Environment required"),
        ("allocate_namespace", json!({ "project": "a.b", "environment": "c" }), "`project` is not usable: a.b"),
        ("validate_name", json!({}), "Name required"),
        ("validate_name", json!({ "name": "x", "kind": "color" }), "`kind` is not known: color"),
    ] {
        let (kind, message, hint) = error(&mut daemon, &mut link, &format!("naming.{action}"), params).await;
        assert_eq!((kind.as_str(), message.as_str()), ("invalid_params", expected));
        assert!(!hint.is_empty(), "{expected}");
    }
    assert_eq!(daemon.counter("centerfire.dev.sequence:CAP-AUTH"), 0);
    for action in ["allocate_module", "dance"] {
        let (kind, message, hint) = error(&mut daemon, &mut link, &format!("naming.{action}"), json!({})).await;
        assert_eq!((kind.as_str(), message), ("method_not_found", format!("Unknown action: {action}")));
        assert!(hint.contains("allocate_capability"));
    }
}

#[tokio::test]
async fn structure_maps_a_project() {
    let mut daemon = Daemon::start();
    let (_child, mut link) = daemon.start_worker("structure", &[]).await;
    let project = tempfile::tempdir().unwrap();
    std::fs::write(project.path().join("a.rs"), "pub fn alpha() {}\n").unwrap();
    std::fs::write(project.path().join("b.py"), "def beta(): pass\n").unwrap();
    let map = daemon.result(&mut link, "1", "structure.project_map", json!({ "path": project.path() })).await;
    assert_eq!((&map["files"][0]["path"], &map["files"][0]["symbols"][0]["name"]), (&json!("a.rs"), &json!("alpha")));
    let params = json!({ "path": project.path(), "max_files": 1 });
    let map = daemon.result(&mut link, "2", "structure.project_map", params).await;
    assert_eq!((map["files"].as_array().unwrap().len(), &map["omitted"][0]["reason"]), (1, &json!("too_many")));
    let params = json!({ "path": project.path(), "format": "text" });
    let map = daemon.result(&mut link, "3", "structure.project_map", params).await;
    assert!(map["text"].as_str().unwrap().contains("function beta"));
    for (params, kind) in [
        (json!({}), "invalid_params"),
        (json!({ "path": "relative" }), "invalid_params"),
        (json!({ "path": "/does/not/exist" }), "not_found"),
        (json!({ "path": project.path().join("a.rs") }), "not_found"),
    ] {
        assert_eq!(error(&mut daemon, &mut link, "structure.project_map", params).await.0, kind);
    }
}

#[tokio::test]
async fn semantic_finds_code_as_it_is_now() {
    let mut daemon = Daemon::start();
    let cache = daemon.directory.path().join("cache");
    let (_child, mut link) = daemon.start_worker("semantic", &["--cache", cache.to_str().unwrap()]).await;
    let project = tempfile::tempdir().unwrap();
    let file = project.path().join("a.rs");
    for (text, query) in [("fn parse_frame() {}\n", "parseFrame"), ("fn render_map() {}\n", "RenderMap")] {
        std::fs::write(&file, text).unwrap();
        let params = json!({ "path": project.path(), "query": query });
        let found = daemon.result(&mut link, query, "semantic.search", params).await;
        assert_eq!((&found["count"], &found["hits"][0]["path"]), (&json!(1), &json!("a.rs")), "{found}");
        assert_eq!(found["hits"][0]["symbol"], text[3..text.find('(').unwrap()]);
        assert_eq!(found["fresh"], true);
    }
    assert_eq!(
        std::fs::read_dir(&cache)
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "db") })
            .count(),
        1
    );
    for params in
        [json!({ "path": project.path() }), json!({ "path": "/", "query": "x", "limit": 0 }), json!({ "query": "x" })]
    {
        assert_eq!(error(&mut daemon, &mut link, "semantic.search", params).await.0, "invalid_params");
    }
}

#[tokio::test]
async fn manager_lists_workers_in_both_vocabularies() {
    let mut daemon = Daemon::start();
    let (_child, mut link) = daemon.start_worker("manager", &[]).await;
    for action in ["list", "list_agents"] {
        let listed = daemon.result(&mut link, action, &format!("manager.{action}"), json!({})).await;
        assert_eq!((&listed["status"], &listed["workers"][0]["role"]), (&json!("ok"), &json!("naming")));
        assert_eq!((&listed["agents"][0]["name"], &listed["agents"][0]["pid"]), (&json!("AGT-NAMING-1"), &json!(7)));
    }
}
