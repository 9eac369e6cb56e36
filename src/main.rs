//! The `almagest` command: parse the arguments, read the configuration, start the log, run one command.
//!
//! This package only wires the rooms together. It opens nothing before the command line is known to be right, starts
//! threads only for the commands that need them, and prints the one sentence of a failure.

mod cli;
mod commands;
mod config;
mod failure;
mod logs;
mod output;
mod process;
mod progress;
mod shutdown;
mod wiring;
mod words;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    cli::{Cli, Command, GlobalArgs, QuickstartArgs},
    config::{Flag, Threads},
    failure::Failure,
};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if output::reader_left() => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn run(Cli { global, command }: Cli) -> Result<(), Failure> {
    match &command {
        Command::Completions(args) => return print(&cli::completions(args.shell)),
        Command::Config(args) if args.default => return print(config::default_file().as_bytes()),
        _ => {}
    }

    let effective = config::load(global.config.as_deref(), &flags(&global, &command))?;
    let config = effective.config.clone();
    // A person who asks one question wants its answer; a service keeps a diary.
    let serves = matches!(command, Command::Serve | Command::Quickstart(_));
    logs::start(&config.log, !serves && effective.is_default("log", "level"));

    let threads = config.query.threads;
    match command {
        Command::Quickstart(args) => run_on(threads, commands::quickstart::run(config, args)),
        Command::Serve => run_on(threads, commands::serve::run(config)),
        Command::Import(args) => run_on(threads, commands::import::run(config, *args)),
        Command::Attach(args) => run_on(threads, commands::attach::run(config, args)),
        Command::Match(args) => run_on(threads, commands::pairing::run(config, args)),
        Command::Query(args) => run_on(threads, commands::query::run(config, *args)),
        Command::Catalog(command) => run_on(threads, commands::catalog::run(config, command)),
        Command::User(command) => run_on(threads, commands::users::run(config, command)),
        Command::Token(command) => run_on(threads, commands::users::run_token(config, command)),
        Command::Group(command) => run_on(threads, commands::users::run_group(config, command)),
        Command::Generate(args) => commands::generate::run(args),
        Command::Config(_) => print(effective.to_string().as_bytes()),
        Command::Completions(_) => Ok(()), // Answered above, before any configuration was read.
    }
}

/// What the command line says about keys of the configuration.
fn flags(global: &GlobalArgs, command: &Command) -> Vec<Flag> {
    let mut flags = Vec::new();
    if let Some(level) = &global.log_level {
        flags.push(Flag::new("--log-level", "log", "level", level));
    }
    if let Some(format) = &global.log_format {
        flags.push(Flag::new("--log-format", "log", "format", format));
    }
    if let Command::Quickstart(QuickstartArgs { dir, .. }) = command {
        // The first run touches nothing but its folder, whatever else is configured here.
        flags.push(Flag::new("--dir", "store", "url", &dir.to_string_lossy()));
        flags.push(Flag::new("--dir", "metadata", "url", ""));
    }
    flags
}

/// Runs a command on threads of its own, and waits for none of them when it is done.
fn run_on(threads: Threads, command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.count())
        // Planning recurses as deep as a query is nested, which is bounded: for that bound there is room here.
        .thread_stack_size(16 << 20)
        .enable_all()
        .build()
        .map_err(Failure::Threads)?;
    let outcome = runtime.block_on(command);
    // Dropping it would wait, without bound, for blocking work that a drain has already given up.
    runtime.shutdown_background();
    outcome
}

fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = output::stdout();
    stdout.write_all(text).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// One sentence on stderr; what lies beneath it only for those who ask for the debug log.
fn report(failure: &Failure) -> ExitCode {
    // Where even stderr is closed, the exit status alone must say it.
    let _ = writeln!(io::stderr(), "almagest: {failure}");
    let mut beneath = failure.source();
    while let Some(cause) = beneath {
        tracing::debug!("caused by: {cause}");
        beneath = cause.source();
    }
    failure.exit_code()
}
