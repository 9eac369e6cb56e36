//! Which request meets which fault.
//!
//! The decision is a pure function of the rules, the seed and the order in which requests arrive: no clock, no socket.

use std::str::FromStr;
use std::time::Duration;

use hyper::Method;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::Fault;

/// How often a rule strikes among the requests that it matches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// Each time.
    Always,
    /// The first so many times, then never again.
    First(u64),
    /// The n-th time, the 2n-th time and so on.
    Every(u64),
    /// By chance, with this probability between 0 and 1, from the seeded generator.
    Chance(f64),
}

/// A fault, the requests that it is meant for, and how often it strikes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    fault: Fault,
    method: Option<Method>,
    path: Option<String>,
    when: When,
}

impl Rule {
    /// Strikes at every request, until narrowed by the other methods.
    pub fn new(fault: Fault) -> Self {
        Self { fault, method: None, path: None, when: When::Always }
    }

    /// Only requests of this method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only requests whose path and query, as sent, contain this text.
    pub fn path_contains(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// Only so often.
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|m| m == method) && self.path.as_ref().is_none_or(|part| path.contains(part))
    }
}

/// What is to be done with one request: a delay, then at most one other fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) delay: Option<Duration>,
    pub(crate) fault: Option<Fault>,
}

/// The rules in their order, with what each has seen so far.
#[derive(Debug)]
pub(crate) struct RuleBook {
    rules: Vec<(Rule, u64)>,
    chance: ChaCha8Rng,
}

impl RuleBook {
    pub(crate) fn new(rules: Vec<Rule>, seed: u64) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, 0)).collect(), chance: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Delays add up; of the other faults the first rule that strikes wins, and later rules do not count the request.
    pub(crate) fn decide(&mut self, method: &Method, path: &str) -> Decision {
        let mut decision = Decision::default();
        for (rule, seen) in &mut self.rules {
            if !rule.matches(method, path) {
                continue;
            }
            *seen += 1;
            let strikes = match rule.when {
                When::Always => true,
                When::First(n) => *seen <= n,
                When::Every(n) => n > 0 && seen.is_multiple_of(n),
                When::Chance(p) => self.chance.random::<f64>() < p,
            };
            match (&rule.fault, strikes) {
                (_, false) => {}
                (Fault::Latency(wait), true) => {
                    decision.delay = Some(decision.delay.unwrap_or_default() + *wait);
                }
                (fault, true) => {
                    decision.fault = Some(fault.clone());
                    return decision;
                }
            }
        }
        decision
    }
}

/// Why the text of a rule was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RuleError {
    /// The first word is none of the faults.
    #[error(
        "unknown fault `{0}`: use latency:MILLISECONDS, slow-down, reset-request, reset-before-headers, reset-after-headers:BYTES, truncate:BYTES or wrong-etag"
    )]
    UnknownFault(String),
    /// A later word is no condition.
    #[error("unknown condition `{0}`: use method=GET, path=TEXT, first=N, every=N or chance=P")]
    UnknownCondition(String),
    /// A number does not parse or makes no sense.
    #[error("`{0}` needs {1}")]
    BadNumber(String, &'static str),
}

/// `FAULT [method=M] [path=TEXT] [first=N | every=N | chance=P]`, separated by spaces.
impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut words = text.split_whitespace();
        let mut rule = Rule::new(parse_fault(words.next().unwrap_or_default())?);
        for word in words {
            let number = |what| RuleError::BadNumber(word.to_owned(), what);
            rule = match word.split_once('=') {
                Some(("method", method)) => rule.method(method.parse().map_err(|_| number("an HTTP method"))?),
                Some(("path", part)) => rule.path_contains(part),
                Some(("first", n)) => rule.when(When::First(n.parse().map_err(|_| number("a whole number"))?)),
                Some(("every", n)) => match n.parse() {
                    Ok(n) if n > 0 => rule.when(When::Every(n)),
                    _ => return Err(number("a whole number from 1")),
                },
                Some(("chance", p)) => match p.parse() {
                    Ok(p) if (0.0..=1.0).contains(&p) => rule.when(When::Chance(p)),
                    _ => return Err(number("a probability between 0 and 1")),
                },
                _ => return Err(RuleError::UnknownCondition(word.to_owned())),
            };
        }
        Ok(rule)
    }
}

fn parse_fault(word: &str) -> Result<Fault, RuleError> {
    let (name, argument) = word.split_once(':').unwrap_or((word, ""));
    let number =
        || argument.parse::<u64>().map_err(|_| RuleError::BadNumber(word.to_owned(), "a whole number after the colon"));
    match (name, argument.is_empty()) {
        ("latency", _) => Ok(Fault::Latency(Duration::from_millis(number()?))),
        ("reset-after-headers", _) => Ok(Fault::ResetAfterHeaders(number()?)),
        ("truncate", _) => Ok(Fault::TruncateBody(number()?)),
        ("slow-down", true) => Ok(Fault::SlowDown),
        ("reset-request", true) => Ok(Fault::ResetRequest),
        ("reset-before-headers", true) => Ok(Fault::ResetBeforeHeaders),
        ("wrong-etag", true) => Ok(Fault::WrongETag),
        _ => Err(RuleError::UnknownFault(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(book: &mut RuleBook, times: usize) -> Vec<bool> {
        (0..times).map(|_| book.decide(&Method::GET, "/bucket/part-7?x=1").fault.is_some()).collect()
    }

    #[test]
    fn first_strikes_at_the_beginning_only() {
        let mut book = RuleBook::new(vec![Rule::new(Fault::SlowDown).when(When::First(2))], 0);
        assert_eq!(strikes(&mut book, 4), [true, true, false, false]);
    }

    #[test]
    fn every_strikes_at_multiples() {
        let mut book = RuleBook::new(vec![Rule::new(Fault::SlowDown).when(When::Every(3))], 0);
        assert_eq!(strikes(&mut book, 7), [false, false, true, false, false, true, false]);
    }

    #[test]
    fn chance_repeats_with_its_seed_and_keeps_its_rate() {
        let rules = || vec![Rule::new(Fault::SlowDown).when(When::Chance(0.25))];
        let first = strikes(&mut RuleBook::new(rules(), 7), 10_000);
        assert_eq!(first, strikes(&mut RuleBook::new(rules(), 7), 10_000));
        assert_ne!(first, strikes(&mut RuleBook::new(rules(), 8), 10_000));
        let rate = first.iter().filter(|hit| **hit).count();
        assert!((2_300..2_700).contains(&rate), "{rate} of 10000 at probability 0.25");
    }

    #[test]
    fn a_rule_leaves_other_methods_and_paths_alone() {
        let rule = Rule::new(Fault::SlowDown).method(Method::PUT).path_contains("part-");
        let mut book = RuleBook::new(vec![rule], 0);
        assert_eq!(book.decide(&Method::GET, "/b/part-1"), Decision::default());
        assert_eq!(book.decide(&Method::PUT, "/b/other"), Decision::default());
        assert_eq!(book.decide(&Method::PUT, "/b/part-1").fault, Some(Fault::SlowDown));
    }

    #[test]
    fn delays_add_up_and_the_first_other_fault_wins() {
        let wait = Duration::from_millis(5);
        let mut book = RuleBook::new(
            vec![
                Rule::new(Fault::Latency(wait)),
                Rule::new(Fault::Latency(wait)),
                Rule::new(Fault::WrongETag).when(When::First(1)),
                Rule::new(Fault::SlowDown).when(When::First(1)),
            ],
            0,
        );
        let mut next = || book.decide(&Method::GET, "/");
        assert_eq!(next(), Decision { delay: Some(wait * 2), fault: Some(Fault::WrongETag) });
        assert_eq!(next(), Decision { delay: Some(wait * 2), fault: Some(Fault::SlowDown) });
        assert_eq!(next(), Decision { delay: Some(wait * 2), fault: None });
    }

    #[test]
    fn a_rule_is_read_from_text() {
        assert_eq!(
            "truncate:100 method=GET path=/bucket/x every=3".parse(),
            Ok(Rule::new(Fault::TruncateBody(100)).method(Method::GET).path_contains("/bucket/x").when(When::Every(3)))
        );
        assert_eq!("latency:20".parse(), Ok(Rule::new(Fault::Latency(Duration::from_millis(20)))));
        assert_eq!("slow-down chance=0.1".parse(), Ok(Rule::new(Fault::SlowDown).when(When::Chance(0.1))));
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused_with_the_word_that_is_wrong() {
        let refusal = |text: &str| text.parse::<Rule>().unwrap_err().to_string();
        assert!(refusal("slowdown").starts_with("unknown fault `slowdown`"));
        assert!(refusal("").starts_with("unknown fault ``"));
        assert_eq!(refusal("truncate"), "`truncate` needs a whole number after the colon");
        assert_eq!(refusal("slow-down every=0"), "`every=0` needs a whole number from 1");
        assert_eq!(refusal("slow-down chance=2"), "`chance=2` needs a probability between 0 and 1");
        assert!(refusal("slow-down often").starts_with("unknown condition `often`"));
    }
}
