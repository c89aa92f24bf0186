//! The real program against a small daemon that keeps its promises about registration, dispatch and sequences.

#![cfg(test)]

mod daemon;
mod lifecycle;
mod roles;
