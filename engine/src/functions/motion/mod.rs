//! Positions, parameters and their errors at another epoch. The formulas are in `kernel`.
//!
//! A missing parallax means infinitely far, and so does one that is not positive: the radial velocity then changes nothing.
//! Missing proper motions and radial velocities count as 0. Without a position or an epoch there is no answer.

mod kernel;

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, FixedSizeListArray, Float64Array},
        buffer::{BooleanBuffer, NullBuffer},
        datatypes::{
            DataType::{self, Float64},
            Field,
        },
    },
    error::Result,
    logical_expr::ColumnarValue,
};

use self::kernel::{AU_PER_YEAR, Matrix, Star, propagate, propagate_covariance};
use super::{
    Function, Origin,
    declaration::declare,
    numbers::{Reals, present, reals},
    points::{point_type, points},
    scalar::Scalar,
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let mut functions = of_positions();
    functions.extend(of_parameters());
    functions
}

fn of_positions() -> Vec<Function> {
    let ivo = declare!(
        Origin::Ivoa, "ivo_epoch_prop_pos" as "ivo_epoch_prop_pos",
        ("ra": "DOUBLE PRECISION", "dec": "DOUBLE PRECISION", "parallax": "DOUBLE PRECISION", "pmra": "DOUBLE PRECISION", "pmdec": "DOUBLE PRECISION",
         "radial_velocity": "DOUBLE PRECISION", "ref_epoch": "DOUBLE PRECISION", "out_epoch": "DOUBLE PRECISION") -> "POINT",
        "Where a star is at out_epoch (Julian years) that moves along a straight line in space. Degrees, mas, mas/yr (pmra with \
         cos(dec)), km/s. A NULL parallax, or one of 0 or below, means infinitely far; NULL motions are 0.",
        "ivo_epoch_prop_pos(7.606083572, 11.79044105, 125, 300, -428.8, 52.51, 2016.0, 1875.0)",
    );
    let esa = declare!(
        Origin::Almagest, "EPOCH_PROP_POS" as "adql_epoch_prop_pos",
        ("ra": "DOUBLE PRECISION", "dec": "DOUBLE PRECISION", "parallax": "DOUBLE PRECISION", "pmra": "DOUBLE PRECISION", "pmdec": "DOUBLE PRECISION",
         "radial_velocity": "DOUBLE PRECISION", "ref_epoch": "DOUBLE PRECISION", "out_epoch": "DOUBLE PRECISION") -> "POINT",
        "The same as ivo_epoch_prop_pos, by the name that it has in the Gaia archive.",
        "EPOCH_PROP_POS(7.606083572, 11.79044105, 125, 300, -428.8, 52.51, 2016.0, 1875.0)",
    );
    let gavo = declare!(
        Origin::Gavo, "gavo_apply_pm" as "gavo_apply_pm",
        ("ra": "DOUBLE PRECISION", "dec": "DOUBLE PRECISION", "pmra": "DOUBLE PRECISION", "pmde": "DOUBLE PRECISION", "epdist": "DOUBLE PRECISION") -> "POINT",
        "Where a position is after epdist years with these proper motions, in degrees per year (pmra with cos(dec)).",
        "gavo_apply_pm(10, 20, 0.001, -0.002, 100)",
    );
    let point = |_: &[DataType]| Ok(point_type());
    vec![
        Scalar::new(ivo, [vec![Float64; 8]], point, positions).lenient().declared(),
        Scalar::new(esa, [vec![Float64; 8]], point, positions).lenient().declared(),
        Scalar::new(gavo, [vec![Float64; 5]], point, moved).declared(),
    ]
}

fn of_parameters() -> Vec<Function> {
    let ivo = declare!(
        Origin::Almagest, "ivo_epoch_prop" as "ivo_epoch_prop",
        ("ra": "DOUBLE PRECISION", "dec": "DOUBLE PRECISION", "parallax": "DOUBLE PRECISION", "pmra": "DOUBLE PRECISION", "pmdec": "DOUBLE PRECISION",
         "radial_velocity": "DOUBLE PRECISION", "ref_epoch": "DOUBLE PRECISION", "out_epoch": "DOUBLE PRECISION") -> "DOUBLE PRECISION[6]",
        "The six parameters of a star at another epoch, in the order and the units in which they are given (the radial velocity \
         in km/s), by the rules of ivo_epoch_prop_pos. What was NULL comes out NULL.",
        "ivo_epoch_prop(269.452, 4.6934, 546.98, -801.55, 10362.39, -110.6, 2016.0, 3016.0)",
    );
    let esa = declare!(
        Origin::Almagest, "EPOCH_PROP" as "adql_epoch_prop",
        ("ra": "DOUBLE PRECISION", "dec": "DOUBLE PRECISION", "parallax": "DOUBLE PRECISION", "pmra": "DOUBLE PRECISION", "pmdec": "DOUBLE PRECISION",
         "radial_velocity": "DOUBLE PRECISION", "ref_epoch": "DOUBLE PRECISION", "out_epoch": "DOUBLE PRECISION") -> "DOUBLE PRECISION[6]",
        "The six parameters of a star at another epoch as the Gaia archive gives them: as ivo_epoch_prop, but the sixth is the \
         radial proper motion in mas/yr, which is the radial velocity times the parallax / 4.740470463.",
        "EPOCH_PROP(269.452, 4.6934, 546.98, -801.55, 10362.39, -110.6, 2016.0, 3016.0)",
    );
    let error = declare!(
        Origin::Almagest, "EPOCH_PROP_ERROR" as "adql_epoch_prop_error",
        ("ra": "DOUBLE PRECISION", "dec": "DOUBLE PRECISION", "parallax": "DOUBLE PRECISION", "pmra": "DOUBLE PRECISION", "pmdec": "DOUBLE PRECISION",
         "radial_velocity": "DOUBLE PRECISION", "ra_error": "DOUBLE PRECISION", "dec_error": "DOUBLE PRECISION", "parallax_error": "DOUBLE PRECISION",
         "pmra_error": "DOUBLE PRECISION", "pmdec_error": "DOUBLE PRECISION", "radial_velocity_error": "DOUBLE PRECISION", "ra_dec_corr": "DOUBLE PRECISION",
         "ra_parallax_corr": "DOUBLE PRECISION", "ra_pmra_corr": "DOUBLE PRECISION", "ra_pmdec_corr": "DOUBLE PRECISION", "dec_parallax_corr": "DOUBLE PRECISION",
         "dec_pmra_corr": "DOUBLE PRECISION", "dec_pmdec_corr": "DOUBLE PRECISION", "parallax_pmra_corr": "DOUBLE PRECISION",
         "parallax_pmdec_corr": "DOUBLE PRECISION", "pmra_pmdec_corr": "DOUBLE PRECISION", "ref_epoch": "DOUBLE PRECISION", "out_epoch": "DOUBLE PRECISION")
            -> "DOUBLE PRECISION[21]",
        "The errors of what EPOCH_PROP answers, from all errors and correlations of a star of Gaia: six standard errors (mas, \
         mas/yr), the sixth of the radial proper motion, then the fifteen correlations row by row (ra_dec, ra_parallax, …, \
         pmdec_radial). NULL errors and correlations count as 0.",
        "EPOCH_PROP_ERROR(269.452, 4.6934, 546.98, -801.55, 10362.39, -110.6, 0.02, 0.03, 0.04, 0.03, 0.03, 0.2, \
         0.1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2016.0, 1991.25)",
    );
    vec![
        Scalar::new(ivo, [vec![Float64; 8]], |_| Ok(list(6)), |a, n| parameters(a, n, true)).lenient().declared(),
        Scalar::new(esa, [vec![Float64; 8]], |_| Ok(list(6)), |a, n| parameters(a, n, false)).lenient().declared(),
        Scalar::new(error, [vec![Float64; 24]], |_| Ok(list(21)), errors).lenient().declared(),
    ]
}

fn list(length: i32) -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new_list_field(Float64, true)), length)
}

/// The arguments of a star in every row.
struct Stars<'a> {
    arguments: &'a [Reals],
    known: Vec<Option<NullBuffer>>,
}

impl<'a> Stars<'a> {
    fn new(arguments: &'a [Reals], rows: usize) -> Self {
        Self { arguments, known: arguments.iter().map(|argument| present([argument], rows)).collect() }
    }

    fn is_known(&self, argument: usize, row: usize) -> bool {
        self.known[argument].as_ref().is_none_or(|known| known.is_valid(row))
    }

    /// The value of an argument, 0 where there is none.
    fn value(&self, argument: usize, row: usize) -> f64 {
        if self.is_known(argument, row) { self.arguments[argument].at(row) } else { 0.0 }
    }

    fn star(&self, row: usize) -> Star {
        let [ra, dec, parallax, pmra, pmdec, velocity] = [0, 1, 2, 3, 4, 5].map(|argument| self.value(argument, row));
        let radial = if parallax > 0.0 { velocity * parallax / AU_PER_YEAR } else { 0.0 };
        Star { ra, dec, parallax, pmra, pmdec, radial }
    }
}

/// Whether there is such a place of the sky, and such a time.
fn is_real(star: &Star, years: f64) -> bool {
    star.ra.is_finite() && star.dec.abs() <= 90.0 && years.is_finite()
}

fn positions(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let arguments = reals(arguments)?;
    let stars = Stars::new(&arguments, rows);
    let place = |row: usize| {
        let (star, years) = (stars.star(row), arguments[7].at(row) - arguments[6].at(row));
        if !is_real(&star, years) {
            return (f64::NAN, f64::NAN);
        }
        let later = propagate(&star, years);
        (later.ra, later.dec)
    };
    let (lon, lat) = (0..rows).map(place).unzip();
    Ok(points(lon, lat, present([&arguments[0], &arguments[1], &arguments[6], &arguments[7]], rows)))
}

fn moved(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    const MAS_PER_DEGREE: f64 = 3_600_000.0;
    let arguments = reals(arguments)?;
    let place = |row: usize| {
        let [ra, dec, pmra, pmdec, years] = [0, 1, 2, 3, 4].map(|argument: usize| arguments[argument].at(row));
        let (pmra, pmdec) = (pmra * MAS_PER_DEGREE, pmdec * MAS_PER_DEGREE);
        let star = Star { ra, dec, parallax: 0.0, pmra, pmdec, radial: 0.0 };
        if !is_real(&star, years) {
            return (f64::NAN, f64::NAN);
        }
        let later = propagate(&star, years);
        (later.ra, later.dec)
    };
    let (lon, lat) = (0..rows).map(place).unzip();
    Ok(points(lon, lat, present(&arguments, rows)))
}

/// Lists of `N` numbers a row. A number that is not finite is NULL, and a whole row where `known` says so.
fn lists<const N: usize>(rows: impl Iterator<Item = [f64; N]>, known: Option<NullBuffer>) -> Result<ArrayRef> {
    let values: Vec<f64> = rows.flatten().collect();
    let finite = BooleanBuffer::collect_bool(values.len(), |place| values[place].is_finite());
    let item = Arc::new(Field::new_list_field(Float64, true));
    let values = Arc::new(Float64Array::new(values.into(), Some(NullBuffer::new(finite))));
    Ok(Arc::new(FixedSizeListArray::try_new(item, N as i32, values, known)?))
}

fn parameters(arguments: &[ColumnarValue], rows: usize, velocity: bool) -> Result<ArrayRef> {
    let arguments = reals(arguments)?;
    let stars = Stars::new(&arguments, rows);
    let six = |row: usize| {
        let (star, years) = (stars.star(row), arguments[7].at(row) - arguments[6].at(row));
        if !is_real(&star, years) {
            return [f64::NAN; 6];
        }
        let later = propagate(&star, years);
        let missing = |argument: usize| if stars.is_known(argument, row) { 0.0 } else { f64::NAN };
        let radial = match velocity {
            true if star.parallax > 0.0 => later.radial * AU_PER_YEAR / later.parallax,
            true => stars.value(5, row),
            false => later.radial,
        };
        let parallax = later.parallax + missing(2);
        [later.ra, later.dec, parallax, later.pmra + missing(3), later.pmdec + missing(4), radial + missing(5)]
    };
    lists((0..rows).map(six), present([&arguments[0], &arguments[1], &arguments[6], &arguments[7]], rows))
}

fn errors(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let arguments = reals(arguments)?;
    let stars = Stars::new(&arguments, rows);
    let all = |row: usize| {
        let (star, years) = (stars.star(row), arguments[23].at(row) - arguments[22].at(row));
        if !is_real(&star, years) {
            return [f64::NAN; 21];
        }
        let covariance =
            covariance(&star, &std::array::from_fn(|place| stars.value(6 + place, row)), stars.value(5, row));
        told(&propagate_covariance(&star, &covariance, years))
    };
    lists((0..rows).map(all), present([&arguments[0], &arguments[1], &arguments[22], &arguments[23]], rows))
}

/// The covariance of the six parameters from six errors and ten correlations, in mas and years. The radial proper motion is
/// a product, so that it varies with the parallax too (Michalik et al., A&A 571, A85, 2014).
fn covariance(star: &Star, told: &[f64; 16], velocity: f64) -> Matrix {
    const PAIRS: [(usize, usize); 10] =
        [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)];
    let mut matrix = [[0.0; 6]; 6];
    for (parameter, row) in matrix.iter_mut().enumerate().take(5) {
        row[parameter] = told[parameter] * told[parameter];
    }
    for (place, (one, other)) in PAIRS.into_iter().enumerate() {
        matrix[one][other] = told[6 + place] * told[one] * told[other];
        matrix[other][one] = matrix[one][other];
    }
    if star.parallax > 0.0 {
        let (ratio, error) = (velocity / AU_PER_YEAR, told[5] / AU_PER_YEAR);
        let shared: [f64; 5] = std::array::from_fn(|parameter| matrix[parameter][2] * ratio);
        for (parameter, covariance) in shared.into_iter().enumerate() {
            matrix[parameter][5] = covariance;
            matrix[5][parameter] = covariance;
        }
        let distant = star.parallax * error;
        matrix[5][5] = matrix[2][2] * (ratio * ratio + error * error) + distant * distant;
    }
    matrix
}

/// The standard errors and the correlations of a covariance.
fn told(covariance: &Matrix) -> [f64; 21] {
    let errors: [f64; 6] = std::array::from_fn(|parameter| covariance[parameter][parameter].max(0.0).sqrt());
    let mut all = [0.0; 21];
    all[..6].copy_from_slice(&errors);
    let pairs = (0..6).flat_map(|one| (one + 1..6).map(move |other| (one, other)));
    for (place, (one, other)) in pairs.enumerate() {
        let both = errors[one] * errors[other];
        all[6 + place] = if both > 0.0 { covariance[one][other] / both } else { 0.0 };
    }
    all
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::{
        array::{Array, AsArray},
        datatypes::Float64Type,
    };

    use super::*;
    use crate::functions::testing::{call, double};

    fn star(changes: &[(usize, Option<f64>)]) -> Vec<ColumnarValue> {
        let mut values = [7.606_083_572, 11.790_441_05, 125.0, 300.0, -428.8, 52.51, 2016.0, 1875.0].map(Some).to_vec();
        for (place, value) in changes {
            values[*place] = *value;
        }
        values.into_iter().map(|value| double(&[value])).collect()
    }

    fn numbers(name: &str, arguments: &[ColumnarValue]) -> Vec<Option<f64>> {
        let answer = call(name, arguments).unwrap();
        answer.as_fixed_size_list().value(0).as_primitive::<Float64Type>().iter().collect()
    }

    /// The values are those of the IVOA's catalogue of functions.
    #[test]
    fn positions_at_other_epochs_are_those_of_the_catalogue() {
        for (changes, ra, dec) in [
            (vec![(7, Some(1992.25))], 7.604_061_404_627_978, 11.793_270_382_827_9),
            (vec![], 7.594_068_213_694_308, 11.807_251_375_203_935),
            (vec![(5, None)], 7.594_079_587_029_898, 11.807_235_464_326_332),
            (vec![(5, None), (4, None)], 7.594_080_321_498_365, 11.790_440_798_509_207),
            (vec![(2, None)], 7.594_079_587_020_846, 11.807_235_464_339_055),
        ] {
            for name in ["ivo_epoch_prop_pos", "EPOCH_PROP_POS"] {
                let answer = call(name, &star(&changes)).unwrap();
                let part = |part: usize| answer.as_struct().column(part).as_primitive::<Float64Type>().value(0);
                assert!((part(0) - ra).abs() < 2e-11 && (part(1) - dec).abs() < 2e-11, "{changes:?}: {answer:?}");
            }
        }
    }

    #[test]
    fn without_a_position_or_an_epoch_there_is_no_answer() {
        for place in [0, 1, 6, 7] {
            assert!(call("ivo_epoch_prop_pos", &star(&[(place, None)])).unwrap().is_null(0));
            assert!(call("EPOCH_PROP", &star(&[(place, None)])).unwrap().is_null(0));
        }
        assert!(call("ivo_epoch_prop_pos", &star(&[(1, Some(91.0))])).unwrap().is_null(0));
    }

    /// Computed as a straight line in space in extended precision (numpy.longdouble): at 1875.0, -141 years away.
    #[test]
    fn all_six_parameters_change_on_the_way() {
        let expected = [
            7.594_068_213_694_362,
            11.807_251_375_203_895,
            125.118_417_645_007_09,
            300.587_095_555_419_3,
            -429.599_935_757_168,
        ];
        for (name, sixth) in [("ivo_epoch_prop", 52.502_890_060_696_88), ("EPOCH_PROP", 1_385.744_005_097_723_2)] {
            let found = numbers(name, &star(&[]));
            for (found, expected) in found.iter().zip(expected.iter().chain([&sixth])) {
                assert!(
                    (found.unwrap() - expected).abs() < 1e-11 * expected.abs(),
                    "{name}: {found:?} is not {expected}"
                );
            }
        }
        let unknown = numbers("ivo_epoch_prop", &star(&[(2, None), (5, None)]));
        assert_eq!((unknown[2], unknown[5]), (None, None));
        assert!(unknown[3].is_some());
    }

    /// Over no time errors stay as they are. Over 24.75 years without correlations the error of a position is by far that of
    /// the proper motion times the time: √(0.02² + (0.03·24.75)²) for a star that hardly moves.
    #[test]
    fn errors_grow_with_the_time() {
        let told = [0.02, 0.03, 0.04, 0.03, 0.05, 0.2, 0.1, -0.2, 0.3, 0.0, 0.0, 0.5, 0.0, 0.0, -0.4, 0.2];
        let slow = [10.0, 20.0, 1.0, 1.0, 2.0, 10.0];
        let ask = |told: [f64; 16], out: f64| {
            let arguments: Vec<_> =
                slow.into_iter().chain(told).chain([2016.0, out]).map(|x| double(&[Some(x)])).collect();
            numbers("EPOCH_PROP_ERROR", &arguments).into_iter().map(Option::unwrap).collect::<Vec<_>>()
        };
        let same = ask(told, 2016.0);
        for (found, expected) in same.iter().zip(&told[..5]) {
            assert!((found - expected).abs() < 1e-15);
        }
        let correlations = [0.1, -0.2, 0.3, 0.0]; // of the right ascension, with dec, parallax, pmra and pmdec
        assert!(same[6..10].iter().zip(correlations).all(|(found, expected)| (found - expected).abs() < 1e-14));
        let radial = [1.0 * 0.2, 10.0 * 0.04, 0.2 * 0.04].iter().map(|x: &f64| x * x).sum::<f64>().sqrt() / AU_PER_YEAR;
        assert!((same[5] - radial).abs() < 1e-15, "the product rule of errors");
        let alone = std::array::from_fn(|place| if place < 6 { told[place] } else { 0.0 });
        let later = ask(alone, 1991.25);
        assert!((later[0] - 0.02_f64.hypot(0.03 * 24.75)).abs() < 1e-6, "{later:?}");
        assert!((later[1] - 0.03_f64.hypot(0.05 * 24.75)).abs() < 1e-6, "{later:?}");
    }
}
