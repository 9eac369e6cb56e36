//! `demo.galaxies`: what another telescope found away from the plane. Three rows in ten are stars of `demo.stars` seen
//! again, each within a scatter of 0.3″ of where that table has it: the truth that a cross-match has to find is in the
//! column `star_source_id`.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float32Builder, Float64Builder, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, SchemaRef};

use crate::columns::{self, Column, Nulls};
use crate::direction::{Direction, identifier};
use crate::draws::{Draws, Purpose, Stream};
use crate::photometry::ten_to;
use crate::stars::{Star, Stars};

/// The share of rows that are stars seen again.
const COUNTERPARTS: f64 = 0.3;
/// Their scatter along each axis, in radians.
const SCATTER: f64 = 0.3 / 206_264.806_247_096_36;
/// The number of rows among which a group of galaxies finds its members.
const GROUP: u64 = 64;
/// The faintest magnitude.
const FAINTEST: f64 = 22.8;

pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        columns::schema(
            "Invented galaxies and quasars away from the galactic plane, and stars of demo.stars that another telescope \
             saw within 0.3 arcsec (one sigma on each axis) of their place. ICRS, epoch J2000.0.",
            fields(),
        )
    });
    Arc::clone(&SCHEMA)
}

#[rustfmt::skip]
fn fields() -> Vec<Field> {
    use DataType::{Float32, Float64, Int64, Utf8};
    use Nulls::{Never, Sometimes};
    let column = |name, kind, nulls, unit, ucd, description| Column { name, kind, nulls, unit, ucd, description }.field();
    vec![
        column("object_id", Int64, Never, "", "meta.id;meta.main",
            "Identifier: HEALPix pixel of order 12 (nested) in the bits from 35 on, a running number below"),
        column("ra", Float64, Never, "deg", "pos.eq.ra;meta.main", "Right ascension"),
        column("dec", Float64, Never, "deg", "pos.eq.dec;meta.main", "Declination"),
        column("z", Float64, Sometimes, "", "src.redshift",
            "Redshift; NULL for stars and for objects without a spectrum"),
        column("mag_r", Float32, Never, "mag", "phot.mag;em.opt.R", "Magnitude in the band r"),
        column("class", Utf8, Never, "", "src.class", "GALAXY, QSO or STAR, judged by shape and colour"),
        column("star_source_id", Int64, Sometimes, "", "meta.id.cross",
            "The source_id in demo.stars of the same object; NULL if it is none of those stars"),
        column("e1", Float32, Never, "", "src.ellipticity", "Ellipticity along the axes of right ascension and declination"),
        column("e2", Float32, Never, "", "src.ellipticity", "Ellipticity at 45 degrees to those axes"),
    ]
}

/// The given rows of the table, in a sky with this many stars.
pub(crate) fn batch(seed: u64, stars: u64, rows: Range<u64>) -> RecordBatch {
    let galaxies = Galaxies::new(seed, stars);
    let mut columns = GalaxyColumns::with_capacity((rows.end - rows.start) as usize);
    for row in rows {
        columns.push(&galaxies.galaxy(row));
    }
    columns.finish()
}

/// A row of the table.
struct Galaxy {
    object_id: i64,
    ra: f64,
    dec: f64,
    redshift: Option<f64>,
    magnitude: f64,
    class: &'static str,
    star: Option<i64>,
    ellipticity: (f64, f64),
}

struct Galaxies {
    stream: Stream,
    groups: Stream,
    stars: Stars,
    star_rows: u64,
}

impl Galaxies {
    fn new(seed: u64, star_rows: u64) -> Self {
        Self {
            stream: Stream::new(seed, Purpose::Galaxies),
            groups: Stream::new(seed, Purpose::GalaxyGroups),
            stars: Stars::new(seed),
            star_rows,
        }
    }

    fn galaxy(&self, row: u64) -> Galaxy {
        let mut draws = self.stream.row(row);
        let seen_again = draws.chance(COUNTERPARTS);
        match self.candidate(row) {
            Some(star) if seen_again => star_seen_again(row, &self.stars.star(star), &mut draws),
            _ => self.extragalactic(row, &mut draws),
        }
    }

    /// The star that a row may be: of the four that are this row's and no other's, the one farthest from the plane.
    fn candidate(&self, row: u64) -> Option<u64> {
        let first = row.checked_mul(4)?;
        let height = |star: u64| self.stars.direction(star).sin_galactic_latitude().abs();
        (first..first.saturating_add(4).min(self.star_rows))
            .map(|star| (height(star), star))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, star)| star)
    }

    fn extragalactic(&self, row: u64, draws: &mut Draws) -> Galaxy {
        let direction = if draws.chance(0.25) {
            let centre = away_from_the_plane(&mut self.groups.row(row / GROUP));
            let (east, north) = draws.normals();
            centre.offset(0.004 * east, 0.004 * north)
        } else {
            away_from_the_plane(draws)
        };
        let (ra, dec) = direction.to_icrs().to_degrees();
        let magnitude = FAINTEST + libm::log10(draws.unit()) * (1.0 / 0.45) + 0.1 * draws.bell();
        let quasar = draws.chance(0.04);
        let redshift = if quasar {
            (1.6 + 0.6 * draws.bell()).max(0.1)
        } else {
            // The fainter the farther; the shape is a gamma distribution's.
            let typical = 0.035 * ten_to(0.16 * (magnitude - 15.0));
            typical * -0.5 * libm::log(draws.unit() * draws.unit()) + 0.001
        };
        let has_spectrum = !draws.chance((0.05 * (magnitude - 17.0)).clamp(0.02, 0.9));
        Galaxy {
            object_id: identifier(ra, dec, row),
            ra,
            dec,
            redshift: has_spectrum.then_some(redshift),
            magnitude,
            class: if quasar { "QSO" } else { "GALAXY" },
            star: None,
            ellipticity: if quasar { point_like(draws) } else { extended(draws) },
        }
    }
}

/// A star's row in this table: most are recognised, some are taken for something else.
fn star_seen_again(row: u64, star: &Star, draws: &mut Draws) -> Galaxy {
    let (east, north) = draws.normals();
    let (ra, dec) = Direction::from_degrees(star.ra, star.dec).offset(SCATTER * east, SCATTER * north).to_degrees();
    let class = match draws.unit() {
        u if u < 0.85 => "STAR",
        u if u < 0.95 => "QSO",
        _ => "GALAXY",
    };
    let redshift = draws.between(0.05, 3.0);
    let has_spectrum = class != "STAR" && draws.chance(0.2);
    Galaxy {
        object_id: identifier(ra, dec, row),
        ra,
        dec,
        redshift: has_spectrum.then_some(redshift),
        magnitude: star.g - 0.1 + 0.08 * draws.bell(),
        class,
        star: Some(star.source_id),
        ellipticity: point_like(draws),
    }
}

/// A galactic direction: uniform over the sky but for the ten degrees to either side of the plane, which thin out to none.
fn away_from_the_plane(draws: &mut Draws) -> Direction {
    /// The sine of ten degrees, and the share of directions within, for which the density has no step there.
    const HIDDEN: f64 = 0.173_648_177_666_930_35;
    const WITHIN: f64 = HIDDEN / (2.0 - HIDDEN);
    let u = draws.unit();
    let height =
        if u < WITHIN { HIDDEN * (u / WITHIN).sqrt() } else { HIDDEN + (1.0 - HIDDEN) * (u - WITHIN) / (1.0 - WITHIN) };
    let z = if draws.chance(0.5) { height } else { -height };
    let ring = (1.0 - z * z).max(0.0).sqrt();
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * draws.unit());
    Direction { x: ring * cos, y: ring * sin, z }
}

fn point_like(draws: &mut Draws) -> (f64, f64) {
    (0.02 * draws.bell(), 0.02 * draws.bell())
}

/// The ellipticity of a galaxy, whose length stays below 1.
fn extended(draws: &mut Draws) -> (f64, f64) {
    let (e1, e2) = (0.22 * draws.bell(), 0.22 * draws.bell());
    // At 1 it would be a line.
    let scale = 0.95 / (e1 * e1 + e2 * e2).sqrt().max(0.95);
    (e1 * scale, e2 * scale)
}

struct GalaxyColumns {
    object_id: Int64Builder,
    ra: Float64Builder,
    dec: Float64Builder,
    redshift: Float64Builder,
    magnitude: Float32Builder,
    class: StringBuilder,
    star: Int64Builder,
    e1: Float32Builder,
    e2: Float32Builder,
}

impl GalaxyColumns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            object_id: Int64Builder::with_capacity(rows),
            ra: Float64Builder::with_capacity(rows),
            dec: Float64Builder::with_capacity(rows),
            redshift: Float64Builder::with_capacity(rows),
            magnitude: Float32Builder::with_capacity(rows),
            class: StringBuilder::with_capacity(rows, rows * "GALAXY".len()),
            star: Int64Builder::with_capacity(rows),
            e1: Float32Builder::with_capacity(rows),
            e2: Float32Builder::with_capacity(rows),
        }
    }

    fn push(&mut self, galaxy: &Galaxy) {
        self.object_id.append_value(galaxy.object_id);
        self.ra.append_value(galaxy.ra);
        self.dec.append_value(galaxy.dec);
        self.redshift.append_option(galaxy.redshift);
        self.magnitude.append_value(galaxy.magnitude as f32);
        self.class.append_value(galaxy.class);
        self.star.append_option(galaxy.star);
        self.e1.append_value(galaxy.ellipticity.0 as f32);
        self.e2.append_value(galaxy.ellipticity.1 as f32);
    }

    fn finish(mut self) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.object_id.finish()),
            Arc::new(self.ra.finish()),
            Arc::new(self.dec.finish()),
            Arc::new(self.redshift.finish()),
            Arc::new(self.magnitude.finish()),
            Arc::new(self.class.finish()),
            Arc::new(self.star.finish()),
            Arc::new(self.e1.finish()),
            Arc::new(self.e2.finish()),
        ];
        columns::record_batch(schema(), columns)
    }
}
