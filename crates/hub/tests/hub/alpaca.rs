//! Sessions that speak Alpaca's protocol, as its clients do. Where a test holds one of the requirements of
//! `docs/alpaca.md`, its comment names it.

mod alive;
mod carriage;
mod data;
mod handshake;
mod kit;
mod login;
mod own_login;
mod subscribe;
