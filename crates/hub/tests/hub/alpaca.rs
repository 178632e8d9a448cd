//! Sessions of Alpaca's protocol. A comment `R1` refers to the requirement of that number in
//! `docs/alpaca.md`.

mod alive;
mod carriage;
mod data;
mod handshake;
mod kit;
mod login;
mod own_login;
mod subscribe;
