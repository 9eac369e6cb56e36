//! The right answers, computed from the generated file by other means than Almagest's: plain Parquet reading and a loop
//! over all rows.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Float64Type, Int64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// What is asked of each star.
pub(crate) const COLUMNS: &str = "source_id,ra,dec,phot_g_mean_mag";

/// One star.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Star {
    pub(crate) source_id: i64,
    pub(crate) ra: f64,
    pub(crate) dec: f64,
    pub(crate) phot_g_mean_mag: f32,
}

/// A circle on the sky, in degrees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cone {
    pub(crate) ra: f64,
    pub(crate) dec: f64,
    pub(crate) radius: f64,
}

impl Cone {
    /// The query for the stars inside.
    pub(crate) fn adql(&self) -> String {
        let Self { ra, dec, radius } = self;
        format!(
            "SELECT {COLUMNS} FROM demo.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE({ra:?}, {dec:?}, {radius:?}))"
        )
    }

    /// How far inside a position is, in degrees; negative outside.
    fn depth(&self, ra: f64, dec: f64) -> f64 {
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let haversine =
            half(dec - self.dec) + self.dec.to_radians().cos() * dec.to_radians().cos() * half(ra - self.ra);
        self.radius - (2.0 * haversine.sqrt().min(1.0).asin()).to_degrees()
    }
}

/// A table of stars, sorted by identifier.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stars(pub(crate) Vec<Star>);

impl Stars {
    /// Reads a generated Parquet file.
    pub(crate) fn from_parquet(path: &Path) -> Self {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS.split(','));
        let mut stars = Vec::new();
        for batch in builder.with_projection(mask).build().unwrap() {
            let batch = batch.unwrap();
            let column = |name| batch.column_by_name(name).unwrap();
            for name in COLUMNS.split(',') {
                assert_eq!(column(name).null_count(), 0, "{name}");
            }
            let (id, mag) = (column("source_id").as_primitive::<Int64Type>(), column("phot_g_mean_mag"));
            let (ra, dec) = (column("ra").as_primitive::<Float64Type>(), column("dec").as_primitive::<Float64Type>());
            let mag = mag.as_primitive::<Float32Type>();
            stars.extend((0..batch.num_rows()).map(|row| Star {
                source_id: id.value(row),
                ra: ra.value(row),
                dec: dec.value(row),
                phot_g_mean_mag: mag.value(row),
            }));
        }
        Self::sorted(stars)
    }

    /// Reads an answer in CSV.
    pub(crate) fn from_csv(text: &str) -> Self {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(COLUMNS));
        let star = |line: &str| {
            let [source_id, ra, dec, mag] = line.split(',').collect::<Vec<_>>().try_into().expect(line);
            Star {
                source_id: source_id.parse().expect(line),
                ra: ra.parse().expect(line),
                dec: dec.parse().expect(line),
                phot_g_mean_mag: mag.parse().expect(line),
            }
        };
        Self::sorted(lines.map(star).collect())
    }

    /// The stars inside a cone, found by looking at each. None may lie so near to the border that the last bits of two
    /// correct computations could differ about it.
    pub(crate) fn inside(&self, cone: &Cone) -> Self {
        let depth = |star: &Star| cone.depth(star.ra, star.dec);
        assert!(self.0.iter().all(|star| depth(star).abs() > 1e-9), "a star on the border of {cone:?}");
        Self(self.0.iter().filter(|star| depth(star) > 0.0).copied().collect())
    }

    /// As a CSV file that the third-party clients compare their answers with. Numbers are written so that reading them
    /// gives the same bits.
    pub(crate) fn write_csv(&self, path: &Path) {
        let mut text = format!("{COLUMNS}\n");
        for Star { source_id, ra, dec, phot_g_mean_mag } in &self.0 {
            writeln!(text, "{source_id},{ra:?},{dec:?},{phot_g_mean_mag:?}").unwrap();
        }
        std::fs::write(path, text).unwrap();
    }

    fn sorted(mut stars: Vec<Star>) -> Self {
        stars.sort_by_key(|star| star.source_id);
        Self(stars)
    }
}
