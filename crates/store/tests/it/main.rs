//! Tests of the store through its public interface, in one program.

#![cfg(test)]

mod approvals;
mod checkpoints;
mod crash;
mod journal;
mod rows;
mod sequences;
mod support;
mod whole;
