//! Almagest as its users meet it: the built program, real servers, and clients that nobody here wrote.
//!
//! `scripts/test` starts PostgreSQL and an S3 server and says in the environment where they are. A plain `cargo test`
//! runs what needs neither; a test that lacks a server says so in one line and passes. Under `scripts/test` nothing may
//! be lacking: `ALMAGEST_TEST_NO_SKIP` turns that line into a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod answers;
mod bad_inputs;
mod clients;
mod command_line;
mod harness;
mod hats;
mod imports;
mod interruption;
mod killed;
mod map;
mod matches;
mod postgres;
mod query;
mod quickstart;
mod s3;
mod s3_tables;
mod store;
mod thread;
mod users;
mod versions;
