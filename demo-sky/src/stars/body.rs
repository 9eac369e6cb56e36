//! One star: drawn from its row number, first what it is and then what a survey would have measured of it.

use crate::direction::{Direction, galactic_to_icrs, identifier};
use crate::draws::{Draws, Purpose, Stream};
use crate::milky_way::{Field, FixedDistance, MilkyWay, Population, Sequence, dust};
use crate::named_stars::{NamedStar, named_star};
use crate::photometry::{
    apparent_magnitude, fluxes, giant_colour, main_sequence_colour, parallax_uncertainty, ten_to, white_dwarf_colour,
};

/// The speed in km/s of one astronomical unit a year.
const AU_PER_YEAR: f64 = 4.740_470_446;

/// The bits of `flags`.
pub(crate) mod flag {
    pub(crate) const SATURATED: i32 = 1;
    pub(crate) const BLENDED: i32 = 2;
    pub(crate) const UNRESOLVED_BINARY: i32 = 4;
    pub(crate) const NO_ASTROMETRY: i32 = 8;
    pub(crate) const WHITE_DWARF: i32 = 16;
}

/// A row of the table.
pub(crate) struct Star {
    pub(crate) source_id: i64,
    pub(crate) name: Option<&'static str>,
    pub(crate) ra: f64,
    pub(crate) dec: f64,
    pub(crate) ra_error: f64,
    pub(crate) dec_error: f64,
    pub(crate) astrometry: Option<Astrometry>,
    pub(crate) g: f64,
    pub(crate) colour: Option<f64>,
    pub(crate) flux: [Option<f64>; 5],
    pub(crate) flags: i32,
    pub(crate) variable: Option<bool>,
}

/// What takes a solution of five parameters.
pub(crate) struct Astrometry {
    pub(crate) parallax: f64,
    pub(crate) parallax_error: f64,
    pub(crate) pmra: f64,
    pub(crate) pmdec: f64,
}

/// All stars of a sky.
pub(crate) struct Stars {
    stream: Stream,
    milky_way: MilkyWay,
}

impl Stars {
    pub(crate) fn new(seed: u64) -> Self {
        Self { stream: Stream::new(seed, Purpose::Stars), milky_way: MilkyWay::new(seed) }
    }

    /// The ICRS direction of a star, at a fraction of the cost of the star.
    pub(crate) fn direction(&self, row: u64) -> Direction {
        match named_star(row) {
            Some(named) => Direction::from_degrees(named.ra, named.dec),
            None => self.milky_way.place(&mut self.stream.row(row)).1.to_icrs(),
        }
    }

    pub(crate) fn star(&self, row: u64) -> Star {
        let mut draws = self.stream.row(row);
        if let Some(named) = named_star(row) {
            let position = (named.ra, named.dec);
            let star = observe(row, position, Body::of_named(named), (named.pmra, named.pmdec), &mut draws);
            return Star { name: Some(named.name), ..star };
        }
        let (population, galactic) = self.milky_way.place(&mut draws);
        let (body, velocity, spread) = match &population {
            Population::Field(field) => (Body::of_field(field, galactic, &mut draws), field.velocity, field.spread),
            Population::Bulge(members) => (Body::of_member(members, &mut draws), members.velocity, members.spread),
            Population::Crowd(members) => {
                let mut body = Body::of_member(members, &mut draws);
                if draws.chance(0.3) {
                    body.flags |= flag::BLENDED;
                }
                (body, members.velocity, members.spread)
            }
        };
        let direction = galactic.to_icrs();
        let motion = proper_motion(direction, velocity, spread, body.distance, &mut draws);
        observe(row, direction.to_degrees(), body, motion, &mut draws)
    }
}

/// What a star is, before anybody measured it.
struct Body {
    g: f64,
    colour: f64,
    /// In kiloparsecs.
    distance: f64,
    giant: bool,
    flags: i32,
}

impl Body {
    fn of_named(star: &NamedStar) -> Self {
        Self { g: star.magnitude, colour: star.colour, distance: 1.0 / star.parallax, giant: false, flags: 0 }
    }

    /// A star of a smooth part of the galaxy: its apparent magnitude is drawn, then its kind among those that one sees at
    /// that magnitude; the distance follows.
    fn of_field(field: &Field, galactic: Direction, draws: &mut Draws) -> Self {
        let g = apparent_magnitude(draws.unit()) + 0.12 * draws.bell();
        let kind = draws.unit();
        let giants = (0.5 - 0.05 * (g - 6.0)).clamp(field.distant_giants, 0.5);
        let (absolute, intrinsic, flags) = if kind < 0.006 && g > 13.0 {
            let absolute = draws.between(9.5, 14.0);
            (absolute, white_dwarf_colour(absolute) + 0.03 * draws.bell(), flag::WHITE_DWARF)
        } else if kind < 0.006 + giants {
            let absolute = giant_magnitude(draws);
            (absolute, giant_colour(absolute) - field.blueward + 0.04 * draws.bell(), 0)
        } else {
            let drawn = field.commonest + field.change * (g - 15.0) + 1.3 * draws.bell();
            let single = if drawn < field.turn_off { 2.0 * field.turn_off - drawn } else { drawn };
            let colour = main_sequence_colour(single) - 0.6 * field.blueward + 0.03 * draws.bell();
            if draws.chance(0.15) { (single - 0.7, colour, flag::UNRESOLVED_BINARY) } else { (single, colour, 0) }
        };
        let clear = ten_to(0.2 * (g - absolute) - 2.0);
        // Dust dims, so the star is nearer than it looks, so there is less dust: the mean of two steps is close enough.
        let most = dust(clear, galactic.z);
        let absorbed = 0.5 * (most + dust(clear * ten_to(-0.2 * most), galactic.z));
        let distance = (clear * ten_to(-0.2 * absorbed)).clamp(0.002, 80.0);
        Self {
            g,
            colour: intrinsic + 0.5 * absorbed,
            distance,
            giant: flags == 0 && absolute < 3.0 && intrinsic > 0.9,
            flags,
        }
    }

    /// A star whose distance is that of its fellows: its apparent magnitude says what it is.
    fn of_member(members: &FixedDistance, draws: &mut Draws) -> Self {
        let share = members.too_bright + (1.0 - members.too_bright) * draws.unit();
        let mut g = apparent_magnitude(share);
        let mut absolute = g - members.modulus;
        let mut flags = 0;
        let (giant, colour) = match members.sequence {
            Sequence::Young { turn_off } if absolute < turn_off => {
                let giant = draws.chance(0.3);
                (giant, if giant { giant_colour(absolute) } else { main_sequence_colour(0.5 * (absolute + turn_off)) })
            }
            Sequence::Old if absolute < 4.0 => {
                if (-0.4..1.6).contains(&absolute) && draws.chance(0.35) {
                    absolute = 0.5 + 0.1 * draws.bell();
                    g = members.modulus + absolute;
                }
                let risen = (4.0 - absolute).min(1.0);
                let colour = main_sequence_colour(absolute) * (1.0 - risen) + giant_colour(absolute) * risen;
                (absolute < 3.0, colour - 0.1)
            }
            Sequence::Young { .. } | Sequence::Old => {
                let binary = draws.chance(0.15);
                if binary {
                    flags |= flag::UNRESOLVED_BINARY;
                }
                (false, main_sequence_colour(if binary { absolute + 0.7 } else { absolute }))
            }
        };
        let colour = colour + 0.5 * members.dust + 0.015 * draws.bell();
        Self { g, colour, distance: members.distance, giant, flags }
    }
}

/// Half of the giants burn helium and are alike; the others are on their way up.
fn giant_magnitude(draws: &mut Draws) -> f64 {
    if draws.chance(0.5) {
        return 0.5 + 0.15 * draws.bell();
    }
    let risen = draws.unit();
    3.2 - 5.0 * risen * risen
}

/// In milliarcseconds a year, that in right ascension times the cosine of the declination.
fn proper_motion(
    direction: Direction,
    velocity: [f64; 3],
    spread: f64,
    distance: f64,
    draws: &mut Draws,
) -> (f64, f64) {
    let mean = galactic_to_icrs(velocity);
    let along = |axis: [f64; 3]| axis[0] * mean[0] + axis[1] * mean[1] + axis[2] * mean[2];
    let (east, north) = direction.east_and_north();
    let scale = 1.0 / (AU_PER_YEAR * distance);
    ((along(east) + spread * draws.bell()) * scale, (along(north) + spread * draws.bell()) * scale)
}

/// A survey's row for a star: noise, gaps and flags, each growing toward the faint end.
fn observe(row: u64, (ra, dec): (f64, f64), body: Body, (pmra, pmdec): (f64, f64), draws: &mut Draws) -> Star {
    let Body { g, colour, distance, giant, mut flags } = body;
    let uncertainty = parallax_uncertainty(g) * draws.between(0.8, 1.25);
    let (parallax_noise, colour_noise) = draws.normals();
    let astrometry = (!draws.chance(0.04 + 0.09 * (g - 18.0).max(0.0)) || g < 10.0).then_some(Astrometry {
        parallax: 1.0 / distance + uncertainty * parallax_noise,
        parallax_error: uncertainty,
        pmra,
        pmdec,
    });
    let colour_error = 0.005 + 0.08 * uncertainty;
    let measured = colour + colour_error * colour_noise;
    let has_colour = !draws.chance(0.01 + 0.02 * (g - 18.0).max(0.0));

    if g < 6.5 {
        flags |= flag::SATURATED;
    }
    if draws.chance(0.01) {
        flags |= flag::BLENDED;
    }
    if astrometry.is_none() {
        flags |= flag::NO_ASTROMETRY;
    }
    let classified = !draws.chance(0.05 + 0.2 * (g - 19.0).max(0.0));
    let varies = draws.chance(if giant { 0.12 } else { 0.02 });

    Star {
        source_id: identifier(ra, dec, row),
        name: None,
        ra,
        dec,
        ra_error: uncertainty * draws.between(0.7, 0.9),
        dec_error: uncertainty * draws.between(0.65, 0.85),
        astrometry,
        g,
        colour: has_colour.then_some(measured),
        flux: measured_fluxes(g, colour, draws),
        flags,
        variable: classified.then_some(varies),
    }
}

/// Fluxes in five bands with noise, so that a faint star may come out negative in u, and with gaps.
fn measured_fluxes(g: f64, colour: f64, draws: &mut Draws) -> [Option<f64>; 5] {
    /// Noise of the sky in each band, in microjanskys.
    const SKY: [f64; 5] = [0.9, 0.3, 0.35, 0.5, 1.1];
    /// How often a band has no measurement, in 4096ths.
    const GAPS: [u64; 5] = [330, 60, 40, 60, 90];
    let gaps = draws.bits();
    let mut flux = fluxes(g, colour).map(Some);
    for (band, value) in flux.iter_mut().enumerate() {
        let noise = draws.bell();
        let measured = (gaps >> (12 * band)) & 0xfff >= GAPS[band];
        *value = value.filter(|_| measured).map(|flux| flux + (SKY[band] + 0.01 * flux) * noise);
    }
    flux
}
