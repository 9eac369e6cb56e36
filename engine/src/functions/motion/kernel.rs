//! The motion of a star along a straight line at constant speed, in the six astrometric parameters, and what becomes of
//! their covariance.
//!
//! After Lindegren, in "The Hipparcos and Tycho Catalogues", ESA SP-1200, volume 1 (1997), section 1.5.5, and Butkevich and
//! Lindegren, A&A 570, A62 (2014). With r the direction, μ the proper motion as a vector across it, ζ the radial one
//! (both per year), t the years, g = 1 + ζt and f = (g² + μ²t²)^-½, which is the distance at first over that at last:
//!
//! ```text
//! r' = (r g + μ t) f      ϖ' = ϖ f      μ' = (μ g − r μ² t) f³      ζ' = (ζ + (μ² + ζ²) t) f²
//! ```
//! No light-time, no relativity: the propagation is its own inverse.

type Xyz = [f64; 3];

/// Kilometres per second in one astronomical unit per Julian year.
pub(super) const AU_PER_YEAR: f64 = 4.740_470_463_533_349;

const MAS: f64 = std::f64::consts::PI / 648_000_000.0; // in radians

/// What is known of a star at an epoch. Proper motions are in mas/yr, that in right ascension with cos(dec).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Star {
    pub(super) ra: f64,
    pub(super) dec: f64,
    pub(super) parallax: f64,
    pub(super) pmra: f64,
    pub(super) pmdec: f64,
    /// The radial proper motion, mas/yr: radial velocity times parallax over [`AU_PER_YEAR`].
    pub(super) radial: f64,
}

fn dot(a: Xyz, b: Xyz) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Σ factor · vector.
fn sum<const N: usize>(terms: [(f64, Xyz); N]) -> Xyz {
    std::array::from_fn(|axis| terms.iter().map(|(factor, vector)| factor * vector[axis]).sum())
}

/// East, north and outward at a place of the sky.
#[derive(Clone, Copy)]
struct Triad {
    east: Xyz,
    north: Xyz,
    out: Xyz,
}

impl Triad {
    fn at(ra: f64, dec: f64) -> Self {
        let ((sin_ra, cos_ra), (sin_dec, cos_dec)) = (ra.sin_cos(), dec.sin_cos());
        Self {
            east: [-sin_ra, cos_ra, 0.0],
            north: [-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec],
            out: [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec],
        }
    }
}

/// A star on its way: the vectors and factors of the formulas above, in radians.
struct Way {
    start: Triad,
    end: Triad,
    motion: Xyz,
    radial: f64,
    years: f64,
    speed2: f64,
    g: f64,
    f: f64,
}

impl Way {
    fn of(star: &Star, years: f64) -> Self {
        let start = Triad::at(star.ra.to_radians(), star.dec.to_radians());
        let motion = sum([(star.pmra * MAS, start.east), (star.pmdec * MAS, start.north)]);
        let (radial, speed2) = (star.radial * MAS, dot(motion, motion));
        let g = 1.0 + radial * years;
        let f = (g * g + speed2 * years * years).sqrt().recip();
        let mut way = Self { start, end: start, motion, radial, years, speed2, g, f };
        let (ra, dec) = way.direction();
        way.end = Triad::at(ra, dec);
        way
    }

    fn direction(&self) -> (f64, f64) {
        let [x, y, z] = sum([(self.g, self.start.out), (self.years, self.motion)]);
        (y.atan2(x), z.atan2(x.hypot(y)))
    }

    /// μ g − r μ² t: the proper motion at the end, over f³.
    fn slowed(&self) -> Xyz {
        sum([(self.g, self.motion), (-self.speed2 * self.years, self.start.out)])
    }

    /// ζ + (μ² + ζ²) t: the radial proper motion at the end, over f².
    fn turned(&self) -> f64 {
        self.radial + (self.speed2 + self.radial * self.radial) * self.years
    }
}

/// The star some years later, or earlier.
pub(super) fn propagate(star: &Star, years: f64) -> Star {
    let way = Way::of(star, years);
    let (ra, dec) = way.direction();
    let (f, slowed) = (way.f, way.slowed());
    let ra = ra.to_degrees();
    Star {
        ra: if ra < 0.0 { ra + 360.0 } else { ra },
        dec: dec.to_degrees(),
        parallax: star.parallax * f,
        pmra: dot(way.end.east, slowed) * f.powi(3) / MAS,
        pmdec: dot(way.end.north, slowed) * f.powi(3) / MAS,
        radial: way.turned() * f * f / MAS,
    }
}

/// A matrix of the six parameters: right ascension times cos(dec), declination, parallax, the proper motions.
pub(super) type Matrix = [[f64; 6]; 6];

/// How the parameters at the end change with those at the beginning, in radians and years.
///
/// Column by column: a small change of one parameter at the beginning is followed through every formula. A shift on the
/// sky takes the proper motion along, so that it stays across the line of sight.
pub(super) fn jacobian(star: &Star, years: f64) -> Matrix {
    let way = Way::of(star, years);
    let Way { start, end, motion, radial, years: t, speed2, g, f } = way;
    let (slowed, turned, arrived) = (way.slowed(), way.turned(), sum([(g, start.out), (t, motion)]));
    let columns: Matrix = std::array::from_fn(|parameter| {
        let unit = |wanted: usize| f64::from(u8::from(parameter == wanted));
        let d_out = sum([(unit(0), start.east), (unit(1), start.north)]);
        let d_motion = sum([(unit(3), start.east), (unit(4), start.north), (-dot(motion, d_out), start.out)]);
        let (d_parallax, d_radial) = (unit(2), unit(5));
        let d_speed2 = 2.0 * dot(motion, d_motion);
        let d_f = -f.powi(3) * (g * t * d_radial + d_speed2 * t * t / 2.0);
        let d_arrived = sum([(g * f, d_out), (t * f * d_radial, start.out), (t * f, d_motion), (d_f, arrived)]);
        let d_slowed = sum([(g, d_motion), (t * d_radial, motion), (-speed2 * t, d_out), (-d_speed2 * t, start.out)]);
        let d_turned = d_radial + (d_speed2 + 2.0 * radial * d_radial) * t;
        let d_moving = sum([(f.powi(3), d_slowed), (3.0 * f * f * d_f, slowed)]);
        [
            dot(end.east, d_arrived),
            dot(end.north, d_arrived),
            d_parallax * f + star.parallax * MAS * d_f,
            dot(end.east, d_moving),
            dot(end.north, d_moving),
            d_turned * f * f + 2.0 * f * d_f * turned,
        ]
    });
    std::array::from_fn(|row| columns.map(|column| column[row]))
}

/// The covariance some years later: J C Jᵀ.
pub(super) fn propagate_covariance(star: &Star, covariance: &Matrix, years: f64) -> Matrix {
    let jacobian = jacobian(star, years);
    let product = |a: &Matrix, b: &dyn Fn(usize, usize) -> f64| -> Matrix {
        std::array::from_fn(|row| std::array::from_fn(|column| (0..6).map(|k| a[row][k] * b(k, column)).sum()))
    };
    let half = product(&jacobian, &|k, column| covariance[k][column]);
    product(&half, &|k, column| jacobian[column][k])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARNARD: Star = Star {
        ra: 269.452,
        dec: 4.6934,
        parallax: 546.98,
        pmra: -801.55,
        pmdec: 10362.39,
        radial: -110.6 * 546.98 / AU_PER_YEAR,
    };
    const POLAR: Star = Star {
        ra: 359.9999,
        dec: 89.9999,
        parallax: 100.0,
        pmra: 500.0,
        pmdec: 800.0,
        radial: 20.0 * 100.0 / AU_PER_YEAR,
    };

    /// Computed as a straight line in space, position plus velocity times time, in extended precision (numpy.longdouble).
    #[test]
    fn a_star_moves_along_a_straight_line() {
        let later = [
            (
                BARNARD,
                1000.0,
                [
                    269.212_814_485_603_13,
                    7.758_681_062_972_322,
                    582.214_293_683_131_1,
                    -913.458_486_614_714_2,
                    11_739.984_056_268_424,
                    -12_970.753_909_588_679,
                ],
            ),
            (
                POLAR,
                500.0,
                [
                    147.971_302_230_404_35,
                    89.869_191_367_610_77,
                    99.897_572_585_522,
                    0.381_455_470_326_261_1,
                    -941.466_429_091_378_6,
                    423.618_816_585_845_9,
                ],
            ),
        ];
        for (star, years, expected) in later {
            let Star { ra, dec, parallax, pmra, pmdec, radial } = propagate(&star, years);
            for (found, expected) in [ra, dec, parallax, pmra, pmdec, radial].into_iter().zip(expected) {
                assert!((found - expected).abs() < 2e-11 * expected.abs().max(1.0), "{found} is not {expected}");
            }
        }
    }

    #[test]
    fn the_way_back_ends_where_it_began() {
        for star in [BARNARD, POLAR] {
            let back = propagate(&propagate(&star, 5000.0), -5000.0);
            assert!(
                (back.ra - star.ra).abs() * star.dec.to_radians().cos() < 1e-12 && (back.dec - star.dec).abs() < 1e-12
            );
            assert!((back.pmra - star.pmra).abs() < 1e-6 && (back.radial - star.radial).abs() < 1e-8, "{back:?}");
        }
    }

    /// The derivatives beside differences: the star is moved a little along a parameter, its motion carried along in
    /// parallel, and what comes out is measured along the directions of the unmoved one.
    #[test]
    fn derivatives_are_the_limits_of_differences() {
        let years = 1000.0;
        let analytic = jacobian(&BARNARD, years);
        let base = Way::of(&BARNARD, years);
        let step = 1e-7;
        let moved = |parameter: usize, by: f64| -> [f64; 6] {
            let unit = |wanted: usize| if parameter == wanted { by } else { 0.0 };
            let out = sum([(1.0, base.start.out), (unit(0), base.start.east), (unit(1), base.start.north)]);
            let across = sum([(1.0, base.motion), (unit(3), base.start.east), (unit(4), base.start.north)]);
            let across = sum([(1.0, across), (-dot(across, out) / dot(out, out), out)]);
            let radial = base.radial + unit(5);
            let (out, speed2) = (out.map(|x| x / dot(out, out).sqrt()), dot(across, across));
            let g = 1.0 + radial * years;
            let f = (g * g + speed2 * years * years).sqrt().recip();
            let direction = sum([(g * f, out), (years * f, across)]);
            let motion = sum([(g * f.powi(3), across), (-speed2 * years * f.powi(3), out)]);
            let parallax = (BARNARD.parallax * MAS + unit(2)) * f;
            let last = (radial + (speed2 + radial * radial) * years) * f * f;
            [
                dot(base.end.east, direction),
                dot(base.end.north, direction),
                parallax,
                dot(base.end.east, motion),
                dot(base.end.north, motion),
                last,
            ]
        };
        for parameter in 0..6 {
            let (above, below) = (moved(parameter, step), moved(parameter, -step));
            let column = analytic.map(|row| row[parameter]);
            for (row, (above, below)) in above.into_iter().zip(below).enumerate() {
                let (difference, derivative) = ((above - below) / (2.0 * step), column[row]);
                let scale = derivative.abs().max(1e-3);
                assert!((derivative - difference).abs() < 1e-6 * scale, "{row}, {parameter}: {difference}");
            }
        }
    }

    #[test]
    fn a_covariance_that_goes_and_comes_back_is_the_same() {
        let start: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 + i as f64 } else { 0.1 }));
        let there = propagate_covariance(&BARNARD, &start, 300.0);
        let back = propagate_covariance(&propagate(&BARNARD, 300.0), &there, -300.0);
        for (found, expected) in back.iter().flatten().zip(start.iter().flatten()) {
            assert!((found - expected).abs() < 1e-6, "{back:?}");
        }
    }
}
