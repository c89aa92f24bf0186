//! The doors: bytes become requests here and nowhere else. What a request means is the business of `api`.

pub mod activation;
pub mod connection;
pub mod connections;
pub mod http;
pub mod lane;
pub mod outbox;
pub mod unix;
pub mod websocket;
