//! Shapes as text: the STC-S that TAP services speak, and the number lists of DALI.
//!
//! Numbers are written with the fewest digits that read back as the same number, so a shape survives going round. What
//! cannot be read is refused with the word concerned; nothing is guessed and no frame is converted.

pub mod dali;
pub mod stcs;

use crate::error::SkyError;
use crate::position::Position;

/// Reads a word as a number of degrees. `inf` and `nan` are words for a number, but not for a place.
fn number(format: &'static str, word: &str) -> Result<f64, SkyError> {
    match word.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(problem(format, format!("{} is not a finite number", quoted(word)))),
        Err(_) => Err(problem(format, format!("{} is not a number", quoted(word)))),
    }
}

fn problem(format: &'static str, problem: String) -> SkyError {
    SkyError::Text { format, problem }
}

/// A word in quotes, cut short if it is not a word that somebody would want to read back.
fn quoted(word: &str) -> String {
    const LONGEST: usize = 40;
    match word.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{:?}", format!("{}…", &word[..cut])),
        None => format!("{word:?}"),
    }
}

/// Longitudes and latitudes, separated by blanks.
fn write_positions(positions: &[Position]) -> String {
    let pairs: Vec<String> =
        positions.iter().map(|position| format!("{} {}", position.lon.deg(), position.lat.deg())).collect();
    pairs.join(" ")
}
