//! The holder's socket: who may connect, frames in and out, descriptors that come along, who of the viewers types, and
//! what each of them is sent of a flood.

pub mod attention;
pub mod connection;
pub mod control;
pub mod pace;
pub mod queue;
pub mod socket;
pub mod taken;
