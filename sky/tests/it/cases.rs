//! How many random cases, and from which seed.
//!
//! Left alone, every run tries the same cases, so that a red build is red again on the next machine. With
//! `PROPTEST_CASES` set, that many fresh ones are tried; the seed is printed, and `PROPTEST_RNG_SEED` brings it back.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::{Config, RngSeed};

/// The settings of a property that tries `default` cases unless the environment asks for another number.
pub(crate) fn cases(default: u32) -> Config {
    let wanted: Option<u32> = number("PROPTEST_CASES");
    let seed = match (number("PROPTEST_RNG_SEED"), wanted) {
        (Some(seed), _) => seed,
        (None, None) => 20_261_120,
        (None, Some(_)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.as_nanos() as u64
        }
    };
    if wanted.is_some() {
        eprintln!("PROPTEST_RNG_SEED={seed}");
    }
    Config {
        cases: wanted.unwrap_or(default),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    }
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
}
