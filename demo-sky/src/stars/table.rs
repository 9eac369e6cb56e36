//! The stars of a batch as Arrow columns.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListArray, RecordBatch,
    StringBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, SchemaRef};

use super::{Star, Stars};
use crate::columns::{self, Column, Nulls, list_element};

const BANDS: usize = 5;

pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        columns::schema(
            "Invented stars: a galactic plane, a bulge, a halo, clusters and the Magellanic Clouds, as a survey from \
             space might list them. The first rows are well-known stars of the real sky. ICRS, epoch J2000.0.",
            fields(),
        )
    });
    Arc::clone(&SCHEMA)
}

#[rustfmt::skip]
fn fields() -> Vec<Field> {
    use DataType::{Boolean, Float32, Float64, Int32, Int64, Utf8};
    use Nulls::{Never, Sometimes};
    let column = |name, kind, nulls, unit, ucd, description| Column { name, kind, nulls, unit, ucd, description }.field();
    let flux = column(
        "flux", DataType::List(list_element(Float32)), Never, "uJy", "phot.flux.density;em.opt",
        "Flux density in the bands u, g, r, i and z; NULL in a band that was not measured",
    );
    let mut flux_metadata = flux.metadata().clone();
    flux_metadata.insert("vo:positions".to_owned(), "u g r i z".to_owned());
    vec![
        column("source_id", Int64, Never, "", "meta.id;meta.main",
            "Identifier: HEALPix pixel of order 12 (nested) in the bits from 35 on, a running number below"),
        column("ra", Float64, Never, "deg", "pos.eq.ra;meta.main", "Right ascension"),
        column("dec", Float64, Never, "deg", "pos.eq.dec;meta.main", "Declination"),
        column("ra_error", Float32, Never, "mas", "stat.error;pos.eq.ra",
            "Standard error of the right ascension times the cosine of the declination"),
        column("dec_error", Float32, Never, "mas", "stat.error;pos.eq.dec", "Standard error of the declination"),
        column("parallax", Float64, Sometimes, "mas", "pos.parallax.trig",
            "Parallax as measured: noise makes it negative for some distant stars"),
        column("parallax_error", Float32, Sometimes, "mas", "stat.error;pos.parallax.trig",
            "Standard error of the parallax"),
        column("pmra", Float64, Sometimes, "mas.yr**-1", "pos.pm;pos.eq.ra",
            "Proper motion in right ascension times the cosine of the declination"),
        column("pmdec", Float64, Sometimes, "mas.yr**-1", "pos.pm;pos.eq.dec", "Proper motion in declination"),
        column("phot_g_mean_mag", Float32, Never, "mag", "phot.mag;em.opt", "Mean magnitude in the broad band G"),
        column("bp_rp", Float32, Sometimes, "mag", "phot.color;em.opt.B;em.opt.R", "Colour BP - RP"),
        flux.with_metadata(flux_metadata),
        column("flags", Int32, Never, "", "meta.code",
            "Sum of: 1 saturated, 2 blended, 4 unresolved binary, 8 no parallax and proper motion, 16 white dwarf"),
        column("variable", Boolean, Sometimes, "", "src.var",
            "Whether the brightness varies; NULL if too few visits to tell"),
        column("name", Utf8, Sometimes, "", "meta.id", "Proper name and designation of a few bright stars"),
    ]
}

/// The given rows of the table.
pub(crate) fn batch(seed: u64, rows: Range<u64>) -> RecordBatch {
    let stars = Stars::new(seed);
    let mut columns = StarColumns::with_capacity((rows.end - rows.start) as usize);
    for row in rows {
        columns.push(&stars.star(row));
    }
    columns.finish()
}

struct StarColumns {
    source_id: Int64Builder,
    ra: Float64Builder,
    dec: Float64Builder,
    ra_error: Float32Builder,
    dec_error: Float32Builder,
    parallax: Float64Builder,
    parallax_error: Float32Builder,
    pmra: Float64Builder,
    pmdec: Float64Builder,
    g: Float32Builder,
    colour: Float32Builder,
    flux: Float32Builder,
    flags: Int32Builder,
    variable: BooleanBuilder,
    name: StringBuilder,
}

impl StarColumns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            source_id: Int64Builder::with_capacity(rows),
            ra: Float64Builder::with_capacity(rows),
            dec: Float64Builder::with_capacity(rows),
            ra_error: Float32Builder::with_capacity(rows),
            dec_error: Float32Builder::with_capacity(rows),
            parallax: Float64Builder::with_capacity(rows),
            parallax_error: Float32Builder::with_capacity(rows),
            pmra: Float64Builder::with_capacity(rows),
            pmdec: Float64Builder::with_capacity(rows),
            g: Float32Builder::with_capacity(rows),
            colour: Float32Builder::with_capacity(rows),
            flux: Float32Builder::with_capacity(rows * BANDS),
            flags: Int32Builder::with_capacity(rows),
            variable: BooleanBuilder::with_capacity(rows),
            name: StringBuilder::with_capacity(rows, 0),
        }
    }

    fn push(&mut self, star: &Star) {
        self.source_id.append_value(star.source_id);
        self.ra.append_value(star.ra);
        self.dec.append_value(star.dec);
        self.ra_error.append_value(star.ra_error as f32);
        self.dec_error.append_value(star.dec_error as f32);
        let astrometry = star.astrometry.as_ref();
        self.parallax.append_option(astrometry.map(|a| a.parallax));
        self.parallax_error.append_option(astrometry.map(|a| a.parallax_error as f32));
        self.pmra.append_option(astrometry.map(|a| a.pmra));
        self.pmdec.append_option(astrometry.map(|a| a.pmdec));
        self.g.append_value(star.g as f32);
        self.colour.append_option(star.colour.map(|colour| colour as f32));
        for band in star.flux {
            self.flux.append_option(band.map(|flux| flux as f32));
        }
        self.flags.append_value(star.flags);
        self.variable.append_option(star.variable);
        self.name.append_option(star.name);
    }

    fn finish(mut self) -> RecordBatch {
        let flux = Arc::new(self.flux.finish());
        let lists = OffsetBuffer::from_lengths(std::iter::repeat_n(BANDS, self.ra.values_slice().len()));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.source_id.finish()),
            Arc::new(self.ra.finish()),
            Arc::new(self.dec.finish()),
            Arc::new(self.ra_error.finish()),
            Arc::new(self.dec_error.finish()),
            Arc::new(self.parallax.finish()),
            Arc::new(self.parallax_error.finish()),
            Arc::new(self.pmra.finish()),
            Arc::new(self.pmdec.finish()),
            Arc::new(self.g.finish()),
            Arc::new(self.colour.finish()),
            Arc::new(ListArray::new(list_element(DataType::Float32), lists, flux, None)),
            Arc::new(self.flags.finish()),
            Arc::new(self.variable.finish()),
            Arc::new(self.name.finish()),
        ];
        columns::record_batch(schema(), columns)
    }
}
