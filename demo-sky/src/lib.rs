//! The demo skies: a star catalogue, a galaxy catalogue and an observation log, drawn from a seed.
//!
//! They exist so that a first run, a test and a benchmark have something that looks like astronomy and needs no download:
//! stars that crowd toward a galactic plane and into clusters, galaxies part of which are the same objects seen again
//! 0.3″ away, a log whose rows are sometimes calibrations without a position.
//!
//! A row is a pure function of seed, table and row number: never of how many rows were asked for at a time, nor of the
//! thread that asked. Every transcendental function on the way comes from `libm`, which gives the same bits on every
//! machine; only the HEALPix pixel inside an identifier goes through the platform's own sine, which matters to a position
//! within one rounding error of a pixel's border and to no other.
//!
//! Nothing here reads, writes or waits. The objects are invented, except that the first rows of the stars are real ones.

mod clusters;
mod columns;
mod direction;
mod draws;
mod galaxies;
mod milky_way;
mod named_stars;
mod observations;
mod photometry;
mod stars;

use std::fmt;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

/// Rows in every batch of a table but its last.
pub const ROWS_PER_BATCH: usize = 32_768;

/// A demo sky: all its tables follow from a seed and from the number of stars.
///
/// ```
/// use demo_sky::{DemoSky, Table};
///
/// let sky = DemoSky { seed: 7, rows: 1_000 };
/// let rows: usize = sky.batches(Table::Galaxies).map(|batch| batch.num_rows()).sum();
/// assert_eq!(rows, 250);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoSky {
    /// What every random choice follows from.
    pub seed: u64,
    /// The number of stars, from which the sizes of the other tables follow.
    pub rows: u64,
}

/// One of the tables of a [`DemoSky`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// `demo.stars`: positions, parallaxes, proper motions and photometry of stars.
    Stars,
    /// `demo.galaxies`: galaxies and quasars, and stars taken for them, with redshifts and shapes.
    Galaxies,
    /// `demo.observations`: a telescope's log.
    Observations,
}

impl Table {
    /// Every table, the stars first.
    pub const ALL: [Table; 3] = [Table::Stars, Table::Galaxies, Table::Observations];

    /// The table's name as it is written in a query: `schema.table`.
    pub fn name(self) -> &'static str {
        match self {
            Table::Stars => "demo.stars",
            Table::Galaxies => "demo.galaxies",
            Table::Observations => "demo.observations",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DemoSky {
    /// The number of rows of a table.
    pub fn rows(&self, table: Table) -> u64 {
        match table {
            Table::Stars => self.rows,
            Table::Galaxies => (self.rows / 4).max(1),
            Table::Observations => (self.rows / 1_000).clamp(100, 20_000),
        }
    }

    /// The columns of a table, each with its unit, UCD and description (`vo:unit`, `vo:ucd`, `vo:description`) in its
    /// metadata. The unit of what has none is the empty string, as VOUnits writes it.
    pub fn schema(table: Table) -> SchemaRef {
        match table {
            Table::Stars => stars::schema(),
            Table::Galaxies => galaxies::schema(),
            Table::Observations => observations::schema(),
        }
    }

    /// The number of batches of a table.
    pub fn batch_count(&self, table: Table) -> u64 {
        self.rows(table).div_ceil(ROWS_PER_BATCH as u64)
    }

    /// One batch of a table: the rows from `index * ROWS_PER_BATCH` on. None past the last.
    ///
    /// Batches do not depend on each other, so threads may share the indices out among themselves.
    pub fn batch(&self, table: Table, index: u64) -> Option<RecordBatch> {
        let first = index.checked_mul(ROWS_PER_BATCH as u64)?;
        let rows = self.rows(table);
        let last = first.saturating_add(ROWS_PER_BATCH as u64).min(rows);
        (first < rows).then(|| self.rows_in(table, first..last))
    }

    /// All batches of a table in order. Each is drawn when it is asked for, so that memory holds one at a time.
    pub fn batches(&self, table: Table) -> impl Iterator<Item = RecordBatch> + Send + use<> {
        let sky = *self;
        (0..sky.batch_count(table)).map_while(move |index| sky.batch(table, index))
    }

    fn rows_in(&self, table: Table, rows: Range<u64>) -> RecordBatch {
        match table {
            Table::Stars => stars::batch(self.seed, rows),
            Table::Galaxies => galaxies::batch(self.seed, self.rows, rows),
            Table::Observations => observations::batch(self.seed, rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::compute::concat_batches;

    #[test]
    fn a_row_is_the_same_however_the_rows_are_cut() {
        let sky = DemoSky { seed: 11, rows: 4_000 };
        for table in Table::ALL {
            let rows = sky.rows(table);
            let whole = sky.rows_in(table, 0..rows);
            for step in [1, 7, 97, 1_000] {
                let parts: Vec<_> = (0..rows)
                    .step_by(step)
                    .map(|first| sky.rows_in(table, first..(first + step as u64).min(rows)))
                    .collect();
                let joined = concat_batches(&DemoSky::schema(table), &parts).expect("one schema");
                assert_eq!(joined, whole, "{table} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_larger_sky_begins_with_the_rows_of_a_smaller_one() {
        let (small, large) = (DemoSky { seed: 3, rows: 400 }, DemoSky { seed: 3, rows: 40_000 });
        for table in Table::ALL {
            let rows = small.rows(table);
            assert_eq!(small.rows_in(table, 0..rows), large.rows_in(table, 0..rows), "{table}");
        }
    }

    #[test]
    fn threads_draw_the_rows_that_one_thread_draws() {
        let sky = DemoSky { seed: 5, rows: 100_000 };
        let alone: Vec<_> = sky.batches(Table::Stars).collect();
        let together: Vec<_> = std::thread::scope(|scope| {
            let indices = 0..sky.batch_count(Table::Stars);
            let threads: Vec<_> = indices.map(|index| scope.spawn(move || sky.batch(Table::Stars, index))).collect();
            threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(alone.len(), 4);
        assert_eq!(alone, together);
    }
}
