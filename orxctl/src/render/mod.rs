//! How results look: functions from values to text, so that each can be compared with a golden file.

pub(crate) mod activity;
pub(crate) mod approvals;
pub(crate) mod daemon;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod money;
pub(crate) mod run;
pub(crate) mod sessions;
pub(crate) mod survival;
pub(crate) mod workers;
