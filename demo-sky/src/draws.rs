//! Random numbers by counting: a row's numbers follow from the seed, the table and the row, and from nothing before them.
//!
//! This is SplitMix64 (Steele, Lea and Flood, 2014), started anew for each row. A generator with a state to carry along
//! would tie a row to the rows before it; a generator from a library would tie the demo sky to the library's version.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// What a stream of rows is drawn for. The numbers are part of every demo sky: a new use takes a new one.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Stars = 1,
    Clusters = 2,
    Galaxies = 3,
    GalaxyGroups = 4,
    Observations = 5,
}

/// The random numbers of all rows of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Stream {
    key: u64,
}

impl Stream {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        Self { key: mix(mix(seed.wrapping_add(GOLDEN)) ^ (purpose as u64).wrapping_mul(GOLDEN)) }
    }

    pub(crate) fn row(self, row: u64) -> Draws {
        Draws { state: mix(self.key.wrapping_add(row.wrapping_mul(GOLDEN))) }
    }
}

/// The random numbers of one row, in the order in which they are asked for.
pub(crate) struct Draws {
    state: u64,
}

impl Draws {
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in the open interval (0, 1): its logarithm is finite.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }

    /// Uniform between two numbers.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of a list's items, each as likely as the next.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[(self.unit() * items.len() as f64) as usize]
    }

    /// Two independent numbers of the standard normal distribution.
    pub(crate) fn normals(&mut self) -> (f64, f64) {
        let radius = (-2.0 * libm::log(self.unit())).sqrt();
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * self.unit());
        (radius * cos, radius * sin)
    }

    /// Nearly normal: mean 0, variance 1, never beyond 3.47. Four uniform numbers added up cost a fraction of a true
    /// normal one, and serve where nobody looks at the tails: the spread of colours, velocities, photometric noise.
    pub(crate) fn bell(&mut self) -> f64 {
        let bits = self.bits();
        let sum = (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
        (sum as f64 - 131_070.0) * (1.0 / 37_837.226_6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_deviation(mut draw: impl FnMut(&mut Draws) -> f64) -> (f64, f64) {
        let stream = Stream::new(1, Purpose::Stars);
        let n = 200_000;
        let values: Vec<f64> = (0..n).map(|row| draw(&mut stream.row(row))).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64).sqrt())
    }

    #[test]
    fn neighbouring_rows_draw_independent_uniform_numbers() {
        let (mean, deviation) = mean_and_deviation(Draws::unit);
        assert!((mean - 0.5).abs() < 0.003 && (deviation - 0.288_675).abs() < 0.002, "{mean} {deviation}");
        let stream = Stream::new(1, Purpose::Stars);
        let lagged: f64 =
            (0..200_000).map(|row| (stream.row(row).unit() - 0.5) * (stream.row(row + 1).unit() - 0.5)).sum();
        assert!((lagged / 200_000.0).abs() < 0.001, "{lagged}");
    }

    #[test]
    fn normal_and_bell_numbers_have_mean_zero_and_deviation_one() {
        for (mean, deviation) in [
            mean_and_deviation(|d| d.normals().0),
            mean_and_deviation(|d| d.normals().1),
            mean_and_deviation(Draws::bell),
        ] {
            assert!(mean.abs() < 0.01 && (deviation - 1.0).abs() < 0.01, "{mean} {deviation}");
        }
    }

    #[test]
    fn streams_of_two_purposes_or_two_seeds_differ() {
        let first = |seed, purpose| Stream::new(seed, purpose).row(0).bits();
        assert_ne!(first(1, Purpose::Stars), first(1, Purpose::Galaxies));
        assert_ne!(first(1, Purpose::Stars), first(2, Purpose::Stars));
    }
}
