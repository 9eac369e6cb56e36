//! Where the stars of a demo sky are, and how far, how fast and behind how much dust.
//!
//! A galaxy of five parts: a thin disc, a thick disc, a bulge, a halo, and the crowds of [`clusters`](crate::clusters).
//! Directions are drawn by formulas that need no rejection, so that each star costs the same.

use crate::clusters::{Crowd, Crowds};
use crate::direction::Direction;
use crate::draws::Draws;
use crate::photometry::{BRIGHTEST_OLD, BRIGHTEST_YOUNG, share_brighter};

/// Motion of the Sun against its neighbourhood, km/s along the galactic axes (Schönrich et al. 2010).
const SUN: [f64; 3] = [11.1, 12.24, 7.25];

/// The colour–magnitude sequence on which stars of one age lie.
#[derive(Clone, Copy)]
pub(crate) enum Sequence {
    /// A main sequence up to a turn-off (absolute G), and giants beyond.
    Young {
        /// Absolute magnitude above which the main sequence has ended.
        turn_off: f64,
    },
    /// Turn-off at 4, giant branch, and the clump where giants burn helium.
    Old,
}

/// Stars that are all equally far.
pub(crate) struct FixedDistance {
    pub(crate) distance: f64,
    /// Absorption in G.
    pub(crate) dust: f64,
    pub(crate) sequence: Sequence,
    /// Mean velocity against the Sun along galactic axes, and its spread, km/s.
    pub(crate) velocity: [f64; 3],
    pub(crate) spread: f64,
    /// Apparent minus absolute magnitude.
    pub(crate) modulus: f64,
    /// The share of the magnitude law that is too bright for any star as far as this.
    pub(crate) too_bright: f64,
}

impl FixedDistance {
    pub(crate) fn new(distance: f64, dust: f64, sequence: Sequence, velocity: [f64; 3], spread: f64) -> Self {
        let brightest = match sequence {
            Sequence::Young { .. } => BRIGHTEST_YOUNG,
            Sequence::Old => BRIGHTEST_OLD,
        };
        let modulus = 10.0 + 5.0 * libm::log10(distance) + dust;
        Self {
            distance,
            dust,
            sequence,
            velocity: std::array::from_fn(|axis| velocity[axis] - SUN[axis]),
            spread,
            modulus,
            too_bright: share_brighter(modulus + brightest),
        }
    }
}

/// The part of the galaxy that a star belongs to.
pub(crate) enum Population<'a> {
    /// Found at all distances along the line of sight.
    Field(&'static Field),
    Bulge(FixedDistance),
    Crowd(&'a FixedDistance),
}

/// What distinguishes the stars of one smooth part of the galaxy.
pub(crate) struct Field {
    /// Absolute G of the commonest main-sequence star among those of apparent magnitude 15, and its change per magnitude.
    pub(crate) commonest: f64,
    pub(crate) change: f64,
    /// No main-sequence star is brighter than this: they have died.
    pub(crate) turn_off: f64,
    /// Shift of giants to the blue for lack of metals.
    pub(crate) blueward: f64,
    /// The share of giants among faint stars, which only a part of the galaxy that reaches far has.
    pub(crate) distant_giants: f64,
    pub(crate) velocity: [f64; 3],
    pub(crate) spread: f64,
}

static THIN_DISC: Field = Field {
    commonest: 5.1,
    change: 0.42,
    turn_off: -2.0,
    blueward: 0.0,
    distant_giants: 0.0,
    velocity: [-SUN[0], -10.0 - SUN[1], -SUN[2]],
    spread: 28.0,
};
static THICK_DISC: Field = Field {
    commonest: 5.0,
    change: 0.35,
    turn_off: 3.6,
    blueward: 0.07,
    distant_giants: 0.0,
    velocity: [-SUN[0], -45.0 - SUN[1], -SUN[2]],
    spread: 52.0,
};
static HALO: Field = Field {
    commonest: 4.6,
    change: 0.25,
    turn_off: 3.9,
    blueward: 0.17,
    distant_giants: 0.03,
    velocity: [-SUN[0], -220.0 - SUN[1], -SUN[2]],
    spread: 125.0,
};

pub(crate) struct MilkyWay {
    crowds: Crowds,
}

impl MilkyWay {
    pub(crate) fn new(seed: u64) -> Self {
        Self { crowds: Crowds::new(seed) }
    }

    /// The population of a star and its direction along the galactic axes.
    pub(crate) fn place(&self, draws: &mut Draws) -> (Population<'_>, Direction) {
        let part = draws.unit();
        if part < 0.52 {
            (Population::Field(&THIN_DISC), disc(0.45, 0.09, draws))
        } else if part < 0.66 {
            (Population::Field(&THICK_DISC), disc(0.55, 0.28, draws))
        } else if part < 0.79 {
            let direction = bulge(draws);
            let distance = 8.2 + 0.9 * draws.bell();
            let dust = dust(distance, direction.z);
            let rotating = [0.0, -220.0, 0.0];
            (Population::Bulge(FixedDistance::new(distance, dust, Sequence::Old, rotating, 110.0)), direction)
        } else if part < 0.90 {
            (Population::Field(&HALO), halo(draws))
        } else {
            let crowd: &Crowd = self.crowds.pick(draws);
            let direction = crowd.place(draws);
            match &crowd.members {
                Some(members) => (Population::Crowd(members), direction),
                None => (Population::Field(if draws.chance(0.5) { &HALO } else { &THICK_DISC }), direction),
            }
        }
    }
}

/// A disc seen from within: longitudes by the wrapped Cauchy distribution (narrower for a smaller `toward_centre`),
/// heights over distance by sech² of the given scale.
fn disc(toward_centre: f64, scale: f64, draws: &mut Draws) -> Direction {
    // Tangent of half the longitude, from which its sine and cosine follow without trigonometry.
    let half = toward_centre * libm::tan(std::f64::consts::PI * (draws.unit() - 0.5));
    let flat = 1.0 / (1.0 + half * half);
    let u = draws.unit();
    let height = 0.5 * scale * libm::log(u / (1.0 - u));
    Direction::of([(1.0 - half * half) * flat, 2.0 * half * flat, height])
}

fn bulge(draws: &mut Draws) -> Direction {
    let (along, above) = draws.normals();
    Direction::of([1.0, 0.15 * along, 0.09 * above])
}

/// All around, a little denser toward the centre.
fn halo(draws: &mut Draws) -> Direction {
    let z = draws.between(-1.0, 1.0);
    let ring = (1.0 - z * z).sqrt();
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * draws.unit());
    Direction::of([ring * cos + 0.3, ring * sin, z])
}

/// Absorption in G between us and a star, for the sine of its galactic latitude: 0.7 mag per kpc within a layer 120 pc
/// thick to either side, and never more than 5.
pub(crate) fn dust(distance: f64, sin_latitude: f64) -> f64 {
    let clear = 0.7 * distance / (1.0 + distance * sin_latitude.abs() * (1.0 / 0.12));
    5.0 * clear / (5.0 + clear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dust_grows_with_distance_and_toward_the_plane_and_has_a_limit() {
        assert!(dust(1.0, 0.0) > dust(0.5, 0.0));
        assert!(dust(1.0, 0.0) > dust(1.0, 0.5));
        assert!(dust(1e6, 0.0) < 5.0);
        assert!(dust(30.0, 1.0) < 0.1);
    }
}
