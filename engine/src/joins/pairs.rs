//! Whether two positions are a pair: by the straight line between their unit vectors where that is enough, and by the
//! very arithmetic of the functions where it is not.

use sky::position::{ON_BOUNDARY, Position};

use super::{condition::Test, index::Entry};
use crate::functions;

/// How near to the rim a straight line leaves open on which side it ends: fifty times what rounding does.
const DOUBT: f64 = 1e-14;
/// What is added to a radius before cells are looked up, in radians: a thousand times what rounding does.
const ROUNDING: f64 = 1e-12;
/// More than the square of any straight line.
const ENDLESS: f64 = 5.0;

/// A radius made ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    test: Test,
    /// In degrees, as given.
    radius: f64,
    /// In radians: nothing farther is a pair.
    pub(super) reach: f64,
    /// Squares of straight lines: less is a pair, more is none, between is open.
    surely_within: f64,
    surely_beyond: f64,
}

impl Limit {
    /// None where no two positions are a pair.
    pub(super) fn new(test: Test, radius: f64) -> Option<Self> {
        if (0.0..=180.0).contains(&radius) {
            let rim = 2.0 * ((radius.to_radians() + ON_BOUNDARY.0).min(std::f64::consts::PI) / 2.0).sin();
            return Some(Self {
                test,
                radius,
                reach: radius.to_radians() + ROUNDING,
                surely_within: (rim - DOUBT).max(0.0).powi(2),
                surely_beyond: (rim + DOUBT).powi(2),
            });
        }
        // A number above all distances, as NaN is; but there is no circle of this radius.
        let all = test != Test::InCircle && 180.0_f64.total_cmp(&radius).is_lt();
        let reach = std::f64::consts::PI + ROUNDING;
        all.then_some(Self { test, radius, reach, surely_within: ENDLESS, surely_beyond: ENDLESS })
    }

    /// Whether a position and that of an entry are a pair. `center` tells whether it is the entry that is the centre.
    #[inline]
    pub(super) fn holds(&self, place: &Place, entry: &Entry, center: bool) -> bool {
        let chord2 = place.chord2(entry);
        if chord2 > self.surely_beyond {
            return false;
        }
        chord2 < self.surely_within || self.exactly(place.position, entry, center)
    }

    fn exactly(&self, position: Position, entry: &Entry, center: bool) -> bool {
        let Some(other) = entry.position() else { return false };
        let (around, one) = if center { (other, position) } else { (position, other) };
        match self.test {
            Test::InCircle => functions::in_circle(one, around, self.radius),
            Test::Within => functions::within(one, around, self.radius),
            Test::Closer => functions::closer(one, around, self.radius),
        }
    }
}

/// A position that pairs are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) position: Position,
    vector: [f64; 3],
}

impl Place {
    pub(super) fn new(position: Position) -> Self {
        Self { position, vector: position.vector().xyz() }
    }

    /// The square of the straight line to an entry.
    #[inline]
    pub(super) fn chord2(&self, entry: &Entry) -> f64 {
        let [x, y, z] = self.vector;
        let [ex, ey, ez] = entry.vector;
        (x - ex) * (x - ex) + (y - ey) * (y - ey) + (z - ez) * (z - ez)
    }

    /// The distance in degrees, as DISTANCE tells it.
    pub(super) fn distance(&self, entry: &Entry) -> f64 {
        entry.position().map_or(f64::NAN, |other| sky::Deg::from(self.position.distance(other)).0)
    }
}

/// The nearest of many entries to one place.
#[derive(Debug, Default)]
pub(super) struct NearestOf {
    /// Squares of straight lines, and which entry by layer and place.
    found: Vec<(f64, u32, u32)>,
    chords: Vec<f64>,
    /// By distance and rank.
    ranked: Vec<(f64, u32, u32)>,
    /// From how many on they are thinned.
    full: usize,
}

impl NearestOf {
    pub(super) fn clear(&mut self) {
        self.found.clear();
        self.full = 4096;
    }

    /// Adds one; now and then those are left out that are not among the `k` nearest.
    #[inline]
    pub(super) fn push(&mut self, chord2: f64, layer: u32, at: u32, k: usize) {
        self.found.push((chord2, layer, at));
        if self.found.len() > self.full {
            self.thin(k);
            self.full = 2 * self.found.len() + 4096;
        }
    }

    /// Leaves those that may be among the `k` nearest.
    fn thin(&mut self, k: usize) {
        if self.found.len() <= k {
            return;
        }
        self.chords.clear();
        self.chords.extend(self.found.iter().map(|found| found.0));
        let (_, last, _) = self.chords.select_nth_unstable_by(k - 1, f64::total_cmp);
        let most = (last.sqrt() + 2.0 * DOUBT + 1e-12 * last.sqrt()).powi(2) + blunt(*last);
        self.found.retain(|found| found.0 <= most);
    }

    /// The rows of the `k` nearest, by distance and then by rank.
    pub(super) fn nearest<'a>(
        &mut self,
        k: usize,
        place: &Place,
        entry: impl Fn(u32, u32) -> &'a Entry,
        mut each: impl FnMut(u32),
    ) {
        self.thin(k);
        if self.found.len() <= k {
            self.found.iter().for_each(|(_, layer, at)| each(entry(*layer, *at).row));
            return;
        }
        let ranked = self.found.iter().map(|(_, layer, at)| {
            let entry = entry(*layer, *at);
            (place.distance(entry), entry.rank, entry.row)
        });
        self.ranked.clear();
        self.ranked.extend(ranked);
        self.ranked.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        self.ranked.iter().take(k).for_each(|(_, _, row)| each(*row));
    }
}

/// Near the other side of the sky a straight line says little of an angle: degrees that are equal by rounding may be of
/// lines this far apart in their squares.
fn blunt(chord2: f64) -> f64 {
    if chord2 > 1.0 { 1e-12 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Position> {
        (0.0..360.0, -1.0..1.0_f64).prop_map(|(lon, z)| Position::from_deg(lon, z.asin().to_degrees()).unwrap())
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_the_function_near_the_rim_too(
            one in place(), other in place(), ulps in -3_i64..4,
            test in prop::sample::select(vec![Test::InCircle, Test::Within, Test::Closer]),
        ) {
            let distance = sky::Deg::from(one.distance(other)).0;
            let radius = f64::from_bits((distance.to_bits() as i64 + ulps) as u64);
            let expected = match test {
                Test::InCircle => functions::in_circle(one, other, radius),
                Test::Within => functions::within(one, other, radius),
                Test::Closer => functions::closer(one, other, radius),
            };
            let limit = Limit::new(test, radius);
            let held = limit.is_some_and(|limit| limit.holds(&Place::new(one), &Entry::new(other, None, 0), true));
            prop_assert_eq!(held, expected);
        }
    }

    #[test]
    fn what_is_no_radius_is_answered_as_the_function_does() {
        let (one, other) = (Position::from_deg(10.0, 5.0).unwrap(), Position::from_deg(190.0, -5.0).unwrap());
        for radius in [-1.0, -0.0, 180.0, 180.1, f64::INFINITY, f64::NAN, -f64::NAN, f64::NEG_INFINITY] {
            for (test, expected) in [
                (Test::InCircle, functions::in_circle(one, other, radius)),
                (Test::Within, functions::within(one, other, radius)),
                (Test::Closer, functions::closer(one, other, radius)),
            ] {
                let limit = Limit::new(test, radius);
                let held = limit.is_some_and(|limit| limit.holds(&Place::new(one), &Entry::new(other, None, 0), true));
                assert_eq!(held, expected, "{test:?} {radius}");
            }
        }
    }
}
