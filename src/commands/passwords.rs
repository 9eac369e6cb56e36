//! A password that a person types, or that a program gives: never an argument, never shown.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use crate::failure::Failure;

/// Asks for a new password at a terminal, twice; elsewhere it is the first line of stdin.
pub(super) fn new_password(whose: &str) -> Result<String, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&mut stdin.lock());
    }
    let _silent = Silent::begin()?;
    let first = asked(&format!("Password of {whose}: "))?;
    if asked("The same again: ")? == first {
        Ok(first)
    } else {
        Err(Failure::Refused("the two passwords are not the same; nothing was changed".to_owned()))
    }
}

fn asked(question: &str) -> Result<String, Failure> {
    let mut out = io::stderr();
    write!(out, "{question}").and_then(|()| out.flush()).map_err(Failure::Output)?;
    let answer = line(&mut io::stdin().lock());
    let _ = writeln!(out); // the end of the line that was typed is not shown
    answer
}

fn line(input: &mut impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    match input.read_line(&mut line) {
        Ok(0) => Err(Failure::Refused("there is no password: write one line to stdin".to_owned())),
        Ok(_) => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Err(Failure::Refused(format!("the password cannot be read: {error}"))),
    }
}

/// A terminal that shows nothing of what is typed, for as long as this lives.
struct Silent(Termios);

impl Silent {
    fn begin() -> Result<Self, Failure> {
        let failed = |error| Failure::Refused(format!("the terminal cannot be told to hide a password: {error}"));
        let before = termios::tcgetattr(io::stdin()).map_err(failed)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &silent).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_with_its_spaces_and_without_its_end() {
        let read = |text: &str| line(&mut text.as_bytes()).map_err(|failure| failure.to_string());
        assert_eq!(read(" correct horse \r\nmore"), Ok(" correct horse ".into()));
        assert_eq!(read("correct horse"), Ok("correct horse".into()));
        assert!(read("").is_err());
    }
}
