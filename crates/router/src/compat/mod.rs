//! The routers of the systems that orx takes over from, over the same catalogue and strategies: their requests, their answers,
//! their words.

pub mod s0;
pub mod s1;

#[cfg(test)]
mod tests;
