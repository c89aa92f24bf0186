//! Events of the journal: everything that changed, in the order in which it became durable.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One entry of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Position in the journal: grows by one from event to event, never reused.
    pub seq: u64,
    /// When it became durable, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What happened, `<noun>.<past participle>`; see [`kind`].
    pub kind: String,
    /// What it happened to: an identifier, or a name such as a worker role.
    pub subject: String,
    /// The particulars, an object.
    pub data: Box<RawValue>,
}

/// The kinds of event that this version writes.
pub mod kind {
    /// The daemon answered its first request.
    pub const DAEMON_READY: &str = "daemon.ready";
    /// The daemon began to drain.
    pub const DAEMON_DRAINING: &str = "daemon.draining";
    /// A worker registered.
    pub const WORKER_REGISTERED: &str = "worker.registered";
    /// A worker's connection ended.
    pub const WORKER_LOST: &str = "worker.lost";
    /// A supervised worker died more often than its back-off allows.
    pub const WORKER_CRASH_LOOP: &str = "worker.crash_loop";
    /// A session was recorded, before its process was started.
    pub const SESSION_CREATED: &str = "session.created";
    /// A session's process runs.
    pub const SESSION_STARTED: &str = "session.started";
    /// A session's process ended, with its exit status.
    pub const SESSION_ENDED: &str = "session.ended";
    /// A session's holder is gone without a record of how the process ended.
    pub const SESSION_LOST: &str = "session.lost";
    /// What a session's agent does has changed.
    pub const SESSION_ACTIVITY: &str = "session.activity";
    /// A session changed its place in its life cycle.
    pub const SESSION_LIFE: &str = "session.life";
    /// A session got another holder: its old one died, or was replaced by a newer version.
    pub const SESSION_HOLDER_REPLACED: &str = "session.holder_replaced";
    /// The engine's own name of a session's conversation became known.
    pub const SESSION_CONVERSATION: &str = "session.conversation";
    /// A session's structured channel stands, or is lost.
    pub const SESSION_CHANNEL: &str = "session.channel";
    /// A session is parked, since nobody takes its calls: `{message, reason, until_ms, why, again}`; `again` when it was already.
    pub const SESSION_PARKED: &str = "session.parked";
    /// A session is parked no more: `{message, reason, lasted_ms}`.
    pub const SESSION_RESUMED: &str = "session.resumed";
    /// What a session used is told anew.
    pub const SESSION_USAGE: &str = "session.usage";
    /// A checkpoint of a session was taken.
    pub const SESSION_CHECKPOINTED: &str = "session.checkpointed";
    /// A session was set back to a checkpoint.
    pub const SESSION_RESTORED: &str = "session.restored";
    /// A session that runs elsewhere is looked after from now on.
    pub const SESSION_ADOPTED: &str = "session.adopted";
    /// A text was handed to a session, with how far it is known to have come.
    pub const SESSION_SENT: &str = "session.sent";
    /// An agent asks for a permission or an answer.
    pub const APPROVAL_REQUESTED: &str = "approval.requested";
    /// An approval was decided, by whomever.
    pub const APPROVAL_DECIDED: &str = "approval.decided";
    /// The engine heard a decision, or could not be told.
    pub const APPROVAL_DELIVERED: &str = "approval.delivered";
    /// The answer to a question that still waits goes another way from now on.
    pub const APPROVAL_MOVED: &str = "approval.moved";
    /// An agent asks no more.
    pub const APPROVAL_WITHDRAWN: &str = "approval.withdrawn";
    /// A standing decision was made.
    pub const RULE_ADDED: &str = "rule.added";
    /// A standing decision was removed.
    pub const RULE_REMOVED: &str = "rule.removed";
    /// Somebody was notified, or could not be.
    pub const NOTIFICATION_SENT: &str = "notification.sent";
    /// A cap of the gateway is near its end: `{message, standing}`.
    pub const BUDGET_ALERT: &str = "budget.alert";
    /// A cap of the gateway is reached, and calls are refused: `{message, call}`.
    pub const BUDGET_REACHED: &str = "budget.reached";
    /// A key with a name was made: `{name, cap}`.
    pub const KEY_ADDED: &str = "key.added";
    /// A key with a name is void from now on: `{name}`.
    pub const KEY_REVOKED: &str = "key.revoked";
    /// A breaker of the gateway changed: `{route, change}`.
    pub const LLM_BREAKER: &str = "llm.breaker";
    /// A run was accepted.
    pub const RUN_STARTED: &str = "run.started";
    /// A run was taken up again after a restart or by a person.
    pub const RUN_RESUMED: &str = "run.resumed";
    /// A run reached `done`, `failed` or `cancelled`.
    pub const RUN_ENDED: &str = "run.ended";
    /// A run entered a stage.
    pub const STAGE_STARTED: &str = "run.stage_started";
    /// A run left a stage.
    pub const STAGE_ENDED: &str = "run.stage_ended";
    /// An item of the backlog changed its status.
    pub const ITEM_CHANGED: &str = "run.item_changed";
    /// A gate gave its verdict.
    pub const GATE_ENDED: &str = "run.gate_ended";
    /// A guardrail refused a change.
    pub const GUARDRAIL_VIOLATED: &str = "run.guardrail_violated";
    /// A change was committed on the run's branch.
    pub const RUN_COMMITTED: &str = "run.committed";
    /// Something a person should know that stops nothing.
    pub const RUN_WARNING: &str = "run.warning";
    /// A record was written for a worker.
    pub const RECORD_WRITTEN: &str = "record.written";
    /// A sequence gave a number.
    pub const SEQUENCE_ADVANCED: &str = "sequence.advanced";
    /// A peer was refused before its bytes were read.
    pub const ACCESS_REFUSED: &str = "access.refused";
}
