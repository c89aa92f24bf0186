//! The holder's socket: who may connect, frames in and out, descriptors that come along, and who of the viewers types.

pub mod attention;
pub mod connection;
pub mod control;
pub mod socket;
