//! The crowded places: open clusters along the plane, globular clusters around the centre, the Magellanic Clouds, and a
//! few small fields that somebody observed much deeper than the rest. They make the partitions of a catalogue uneven.

use crate::direction::Direction;
use crate::draws::{Draws, Purpose, Stream};
use crate::milky_way::{FixedDistance, Sequence, dust};

const OPEN_CLUSTERS: u64 = 240;
const GLOBULAR_CLUSTERS: u64 = 120;
const DEEP_FIELDS: u64 = 4;

/// Shares of the stars that lie in such places, of those that lie in any.
const IN_OPEN: f64 = 0.34;
const IN_GLOBULAR: f64 = 0.22;
const IN_CLOUDS: f64 = 0.30;
const IN_DEEP_FIELDS: f64 = 0.14;

/// A place where stars crowd around a centre.
pub(crate) struct Crowd {
    centre: Direction,
    /// Tangent of the angle within which half of the stars lie.
    half: f64,
    /// What its stars are when they belong together; None in a deep field, whose stars are those of the line of sight.
    pub(crate) members: Option<FixedDistance>,
}

impl Crowd {
    /// A direction within the crowd, by the profile of Plummer, which has wide wings and no edge.
    pub(crate) fn place(&self, draws: &mut Draws) -> Direction {
        let enclosed = draws.unit() * 0.98;
        let radius = self.half * (enclosed / (1.0 - enclosed)).sqrt();
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * draws.unit());
        self.centre.offset(radius * cos, radius * sin)
    }
}

/// All crowds of a sky, and how the stars are shared out among them.
pub(crate) struct Crowds {
    crowds: Vec<Crowd>,
    /// Running sum of the crowds' shares: the last is the whole.
    shares: Vec<f64>,
}

impl Crowds {
    pub(crate) fn new(seed: u64) -> Self {
        let stream = Stream::new(seed, Purpose::Clusters);
        let (mut crowds, mut shares) = (Vec::new(), Vec::new());
        let mut row = 0;
        let mut add = |number: u64, share: f64, make: &dyn Fn(u64, &mut Draws) -> Crowd| {
            let first = crowds.len();
            let mut weights = Vec::new();
            for index in 0..number {
                let mut draws = stream.row(row);
                row += 1;
                crowds.push(make(index, &mut draws));
                // A few rich clusters and many poor ones.
                weights.push(1.0 / (draws.unit() + 0.02));
            }
            let whole: f64 = weights.iter().sum();
            let before = if first == 0 { 0.0 } else { shares[first - 1] };
            let mut running = 0.0;
            for weight in weights {
                running += weight;
                shares.push(before + share * running / whole);
            }
        };
        add(OPEN_CLUSTERS, IN_OPEN, &|_, draws| open_cluster(draws));
        add(GLOBULAR_CLUSTERS, IN_GLOBULAR, &|_, draws| globular_cluster(draws));
        add(MAGELLANIC.len() as u64, IN_CLOUDS, &|index, _| cloud(&MAGELLANIC[index as usize]));
        add(DEEP_FIELDS, IN_DEEP_FIELDS, &|_, draws| deep_field(draws));
        Self { crowds, shares }
    }

    pub(crate) fn pick(&self, draws: &mut Draws) -> &Crowd {
        let at = draws.unit();
        let index = self.shares.partition_point(|&share| share <= at);
        // The shares add up to 1 but for rounding.
        &self.crowds[index.min(self.crowds.len() - 1)]
    }
}

fn open_cluster(draws: &mut Draws) -> Crowd {
    let distance = draws.between(0.15, 4.0);
    let lon = draws.between(0.0, 360.0);
    // Fifty parsecs above or below the plane.
    let lat = libm::atan(0.05 * draws.bell() / distance).to_degrees();
    let centre = Direction::from_degrees(lon, lat);
    let size = draws.between(0.001_5, 0.004);
    let velocity = [12.0 * draws.bell(), 12.0 * draws.bell(), 7.0 * draws.bell()];
    let turn_off = draws.between(-1.5, 3.0);
    Crowd {
        centre,
        half: size / distance,
        members: Some(FixedDistance::new(
            distance,
            dust(distance, centre.z),
            Sequence::Young { turn_off },
            velocity,
            0.8,
        )),
    }
}

fn globular_cluster(draws: &mut Draws) -> Crowd {
    // Around the galactic centre, not around the Sun; the Sun is 8.2 kpc from it.
    let (x, y) = draws.normals();
    let (z, _) = draws.normals();
    let from_sun = [8.2 + 4.5 * x, 4.5 * y, 0.4 * z.signum() + 4.0 * z];
    let distance = from_sun.iter().map(|v| v * v).sum::<f64>().sqrt().max(2.0);
    let centre = Direction::of(from_sun);
    let size = draws.between(0.003, 0.008);
    let velocity = [120.0 * draws.bell(), -220.0 + 120.0 * draws.bell(), 110.0 * draws.bell()];
    Crowd {
        centre,
        half: size / distance,
        members: Some(FixedDistance::new(distance, dust(distance, centre.z), Sequence::Old, velocity, 6.0)),
    }
}

/// Galactic longitude and latitude, tangent of the half angle, and distance in kpc, of the Large and the Small Cloud.
const MAGELLANIC: [(f64, f64, f64, f64); 2] = [(280.47, -32.89, 0.035, 49.6), (302.81, -44.33, 0.016, 62.4)];

fn cloud(&(lon, lat, half, distance): &(f64, f64, f64, f64)) -> Crowd {
    Crowd {
        centre: Direction::from_degrees(lon, lat),
        half,
        members: Some(FixedDistance::new(distance, 0.2, Sequence::Old, [-60.0, -230.0, 200.0], 30.0)),
    }
}

fn deep_field(draws: &mut Draws) -> Crowd {
    let lon = draws.between(0.0, 360.0);
    let lat = draws.between(25.0, 75.0) * if draws.chance(0.5) { 1.0 } else { -1.0 };
    Crowd { centre: Direction::from_degrees(lon, lat), half: 0.004, members: None }
}
