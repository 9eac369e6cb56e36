//! `demo.observations`: the log of a small telescope, forty exposures a night. Its columns are named as in ObsCore where
//! ObsCore has them. Calibrations have no position; some proposals keep their exposures to themselves for a while.

use std::fmt::Write;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};

use crate::columns::{self, Column, Nulls};
use crate::draws::{Draws, Purpose, Stream};

/// The night of the first exposure: 1 January 2023, as a modified Julian date.
const FIRST_NIGHT: f64 = 59_945.0;
const EXPOSURES_A_NIGHT: u64 = 40;
/// The day on which the log was copied, 1 January 2025: what is released by then is public.
const COPIED: f64 = 60_676.0;
/// 1 January 1970, from which timestamps count.
const UNIX_EPOCH: f64 = 40_587.0;
const MICROSECONDS_A_DAY: f64 = 86_400e6;

pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        columns::schema(
            "Log of an invented telescope, calibrations included. Positions in ICRS, times in UTC.",
            fields(),
        )
    });
    Arc::clone(&SCHEMA)
}

#[rustfmt::skip]
fn fields() -> Vec<Field> {
    use DataType::{Boolean, Float32, Float64, Timestamp, Utf8};
    use Nulls::{Never, Sometimes};
    let column = |name, kind, nulls, unit, ucd, description| Column { name, kind, nulls, unit, ucd, description }.field();
    vec![
        column("obs_id", Utf8, Never, "", "meta.id;meta.main", "Identifier of the exposure"),
        column("target_name", Utf8, Never, "", "meta.id;src", "What was observed, or the kind of calibration"),
        column("s_ra", Float64, Sometimes, "deg", "pos.eq.ra", "Right ascension of the centre; NULL for calibrations"),
        column("s_dec", Float64, Sometimes, "deg", "pos.eq.dec", "Declination of the centre; NULL for calibrations"),
        column("t_min", Float64, Never, "d", "time.start;obs.exposure", "Start, as a modified Julian date"),
        column("t_max", Float64, Never, "d", "time.end;obs.exposure", "End, as a modified Julian date"),
        column("t_exptime", Float64, Never, "s", "time.duration;obs.exposure", "Exposure time"),
        column("instrument_name", Utf8, Never, "", "meta.id;instr", "Instrument"),
        column("filter", Utf8, Sometimes, "", "meta.id;instr.filter", "Filter; NULL if there was none in the beam"),
        column("seeing", Float32, Sometimes, "arcsec", "instr.obsty.seeing",
            "Full width at half maximum of a point source; NULL for calibrations and if it was not measured"),
        column("proposal_id", Utf8, Never, "", "meta.id;obs.proposal", "Proposal for which the exposure was made"),
        column("obs_release_date", Timestamp(TimeUnit::Microsecond, None), Never, "", "time.release",
            "When anybody may have the exposure, in UTC"),
        column("is_public", Boolean, Never, "", "meta.code", "Whether that was so on 1 January 2025, when the log was copied"),
    ]
}

/// Names and ICRS places of what is observed again and again.
#[rustfmt::skip]
static TARGETS: [(&str, f64, f64); 10] = [
    ("M 31",                    10.684_7,  41.268_8),
    ("M 42",                    83.822_1,  -5.391_1),
    ("ω Centauri",             201.697_0, -47.479_5),
    ("47 Tucanæ",                6.023_6, -72.081_3),
    ("Große Magellansche Wolke", 80.893_8, -69.756_1),
    ("η Carinae",              161.264_8, -59.684_4),
    ("M 87",                   187.705_9,  12.391_1),
    ("M 13",                   250.423_5,  36.461_3),
    ("Pléiades",                56.75,     24.116_7),
    ("NGC 188",                 12.108,    85.255),
];

/// Proposals, and for how many days each keeps its exposures.
static PROPOSALS: [(&str, f64); 6] = [
    ("2023A-001", 365.0),
    ("2023A-014", 182.0),
    ("2023A-037", 730.0),
    ("2023A-102", 365.0),
    ("SURVEY-1", 3_652.0),
    ("OUTREACH", 0.0),
];

/// The proposal that calibrations are booked on: public at once.
const CALIBRATION: (&str, f64) = ("CALIB", 0.0);

/// An instrument and its filters.
static INSTRUMENTS: [(&str, &[&str]); 3] =
    [("WFC", &["u", "g", "r", "i", "z"]), ("NIRCam-2", &["J", "H", "Ks"]), ("Échelle", &[])];

/// The given rows of the table.
pub(crate) fn batch(seed: u64, rows: Range<u64>) -> RecordBatch {
    let stream = Stream::new(seed, Purpose::Observations);
    let mut columns = ObservationColumns::default();
    for row in rows {
        columns.push(row, &Exposure::draw(row, &mut stream.row(row)));
    }
    columns.finish()
}

/// What was pointed at.
enum Target {
    Named(&'static str, f64, f64),
    Survey(f64, f64),
    Calibration(&'static str),
}

struct Exposure {
    target: Target,
    start: f64,
    seconds: f64,
    instrument: &'static str,
    filter: Option<&'static str>,
    seeing: Option<f64>,
    proposal: &'static str,
    released: f64,
}

impl Exposure {
    fn draw(row: u64, draws: &mut Draws) -> Self {
        let night = (row / EXPOSURES_A_NIGHT) as f64;
        let turn = (row % EXPOSURES_A_NIGHT) as f64;
        // Turns are 15 minutes; the longest exposure and the slack before it fit into one.
        let start = FIRST_NIGHT + night + 0.1 + (turn * 900.0 + draws.between(0.0, 200.0)) / 86_400.0;
        let target = target(draws);
        let (instrument, filters) = draws.pick(&INSTRUMENTS);
        let dark = matches!(target, Target::Calibration("BIAS" | "DARK"));
        let filter = if dark || filters.is_empty() { None } else { Some(draws.pick(filters)) };
        let seconds = match target {
            Target::Calibration("BIAS") => 0.0,
            Target::Calibration(_) => 30.0,
            Target::Named(..) | Target::Survey(..) => draws.pick(&[30.0, 60.0, 120.0, 300.0, 600.0]),
        };
        let on_sky = !matches!(target, Target::Calibration(_));
        let (proposal, kept) = if on_sky { draws.pick(&PROPOSALS) } else { CALIBRATION };
        let seeing = 0.9 * libm::exp(0.3 * draws.bell());
        Self {
            seeing: (on_sky && !draws.chance(0.05)).then_some(seeing),
            // Released at noon of the day after the night, or of that many days later.
            released: (start + kept).floor() + 1.5,
            target,
            start,
            seconds,
            instrument,
            filter,
            proposal,
        }
    }
}

fn target(draws: &mut Draws) -> Target {
    let kind = draws.unit();
    if kind < 0.12 {
        return Target::Calibration(draws.pick(&["BIAS", "DARK", "FLAT"]));
    }
    if kind < 0.5 {
        let (name, ra, dec) = draws.pick(&TARGETS);
        return Target::Named(name, ra, dec);
    }
    // Fields of a survey are a grid of one degree.
    let dec = draws.between(-30.0, 80.0).floor();
    Target::Survey(draws.between(0.0, 360.0).floor(), dec)
}

#[derive(Default)]
struct ObservationColumns {
    obs_id: StringBuilder,
    target_name: StringBuilder,
    ra: Float64Builder,
    dec: Float64Builder,
    start: Float64Builder,
    end: Float64Builder,
    seconds: Float64Builder,
    instrument: StringBuilder,
    filter: StringBuilder,
    seeing: Float32Builder,
    proposal: StringBuilder,
    released: TimestampMicrosecondBuilder,
    public: BooleanBuilder,
}

impl ObservationColumns {
    fn push(&mut self, row: u64, exposure: &Exposure) {
        // Writing to a builder cannot fail.
        let _ = write!(self.obs_id, "ALM-{row:06}");
        self.obs_id.append_value("");
        let place = match exposure.target {
            Target::Named(name, ra, dec) => {
                self.target_name.append_value(name);
                Some((ra, dec))
            }
            Target::Survey(ra, dec) => {
                let _ = write!(self.target_name, "SURVEY {ra:03}{dec:+03}");
                self.target_name.append_value("");
                Some((ra, dec))
            }
            Target::Calibration(kind) => {
                self.target_name.append_value(kind);
                None
            }
        };
        self.ra.append_option(place.map(|(ra, _)| ra));
        self.dec.append_option(place.map(|(_, dec)| dec));
        self.start.append_value(exposure.start);
        self.end.append_value(exposure.start + exposure.seconds / 86_400.0);
        self.seconds.append_value(exposure.seconds);
        self.instrument.append_value(exposure.instrument);
        self.filter.append_option(exposure.filter);
        self.seeing.append_option(exposure.seeing.map(|seeing| seeing as f32));
        self.proposal.append_value(exposure.proposal);
        self.released.append_value(((exposure.released - UNIX_EPOCH) * MICROSECONDS_A_DAY) as i64);
        self.public.append_value(exposure.released <= COPIED);
    }

    fn finish(mut self) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.obs_id.finish()),
            Arc::new(self.target_name.finish()),
            Arc::new(self.ra.finish()),
            Arc::new(self.dec.finish()),
            Arc::new(self.start.finish()),
            Arc::new(self.end.finish()),
            Arc::new(self.seconds.finish()),
            Arc::new(self.instrument.finish()),
            Arc::new(self.filter.finish()),
            Arc::new(self.seeing.finish()),
            Arc::new(self.proposal.finish()),
            Arc::new(self.released.finish()),
            Arc::new(self.public.finish()),
        ];
        columns::record_batch(schema(), columns)
    }
}
