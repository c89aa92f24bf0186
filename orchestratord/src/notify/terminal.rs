//! Telling the terminals that are attached to any session, by the sequence that they know for it.

use orx_protocol::api::notification::{Notification, Status};
use orx_protocol::hold::{NoticeForm, NoticeParams, method};
use orx_protocol::{RpcError, SessionId};
use serde::Deserialize;
use std::path::Path;

use crate::sessions::{Sessions, holder};

#[derive(Deserialize)]
struct Told {
    viewers: usize,
}

pub(super) async fn tell(notification: &Notification, form: NoticeForm, sessions: &Sessions) -> Status {
    let running = match sessions.list(false).await {
        Ok(running) => running,
        Err(error) => return Status::Failed(error.to_string()),
    };
    let notice = NoticeParams { title: notification.title.clone(), body: notification.body.clone(), form };
    let mut viewers = 0;
    let mut failed: Option<(SessionId, RpcError)> = None;
    for session in running.into_iter().filter(|session| session.cols > 0 && session.pid.is_some()) {
        let Ok(row) = sessions.row(session.session).await else { continue };
        match holder::ask_now::<_, Told>(Path::new(&row.socket), method::NOTICE, &notice).await {
            Ok(told) => viewers += told.viewers,
            Err(error) => failed = Some((session.session, error)),
        }
    }
    match (viewers, failed) {
        (0, Some((session, error))) => Status::Failed(format!("{session}: {error}")),
        (0, None) => Status::Nobody,
        (viewers, _) => Status::Delivered(format!("sent to {viewers} attached terminals")),
    }
}
