//! How a worker is reached. The roles know nothing of it.

pub mod unix;
