//! No code: this crate turns on, for every build, the features that the workspace as a whole needs of its dependencies.
//!
//! Cargo compiles a dependency anew for each set of features that it is asked for, and DataFusion with it. Because every
//! room depends on this crate, `cargo test -p engine` asks for the same sets as `cargo run` does, and nothing is built
//! twice. `sky` depends on it in its tests only, so that as a library it stays free of everything else.
