//! The client against a scripted daemon on real sockets.

#![cfg(test)]

mod calls;
mod events;
mod support;
mod terminal;
mod worker;
