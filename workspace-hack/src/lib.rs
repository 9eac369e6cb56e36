//! No code: this crate turns on, for every build, the features that the workspace as a whole needs of its dependencies.
//!
//! Cargo compiles a dependency anew for each set of features that it is asked for, and DataFusion with it. Because every
//! room depends on this crate, `cargo test -p engine` asks for the same sets as `cargo run` does, and nothing is built
//! twice. `sky` is left out: its few dependencies are small, and it stays free of everything else.
