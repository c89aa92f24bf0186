//! What is typed into the program: names of keys and texts as bytes, and in which order they go in.

pub mod echo;
pub mod keys;
pub mod paste;
pub mod typist;
