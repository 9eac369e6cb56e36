//! The same place in another frame: pure rotations of points, circles and polygons.
//!
//! Every frame is given by its rotation to ICRS. `FK4` is B1950.0 without the terms of elliptic aberration, which are no
//! rotation (up to 0.35 arcsec), and at the epoch B1950.0, as the frame turns slowly. `ECLIPTIC` is the mean ecliptic and
//! equinox of J2000.0 of the IAU 2006 precession.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Float64Array, ListArray, StructArray},
        datatypes::{DataType, Float64Type},
    },
    common::{exec_err, plan_err},
    error::Result,
    logical_expr::ColumnarValue,
};
use sky::{Position, UnitVector};

use super::{
    Function, Origin,
    declaration::declare,
    scalar::{Constants, Scalar},
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let ivo = declare!(
        Origin::Ivoa, "ivo_geom_transform" as "ivo_geom_transform",
        ("from_sys": "VARCHAR", "to_sys": "VARCHAR", "geo": "POINT") -> "POINT"
            | ("from_sys": "VARCHAR", "to_sys": "VARCHAR", "geo": "CIRCLE") -> "CIRCLE"
            | ("from_sys": "VARCHAR", "to_sys": "VARCHAR", "geo": "POLYGON") -> "POLYGON",
        "The same place in another frame, by a pure rotation. The frames are texts in quotes: ICRS, FK5 (J2000), FK4 (B1950, \
         without the E-terms), GALACTIC, SUPER_GALACTIC, ECLIPTIC (J2000).",
        "ivo_geom_transform('ICRS', 'GALACTIC', POINT(120, -23))",
    );
    let gavo = declare!(
        Origin::Gavo, "gavo_transform" as "gavo_transform",
        ("from_sys": "VARCHAR", "to_sys": "VARCHAR", "geo": "POINT") -> "POINT"
            | ("from_sys": "VARCHAR", "to_sys": "VARCHAR", "geo": "CIRCLE") -> "CIRCLE"
            | ("from_sys": "VARCHAR", "to_sys": "VARCHAR", "geo": "POLYGON") -> "POLYGON",
        "The same as ivo_geom_transform.", "gavo_transform('GALACTIC', 'ICRS', POINT(0, 0))",
    );
    let returns = |types: &[DataType]| match &types[2] {
        shape if kind_of(shape).is_some() => Ok(shape.clone()),
        DataType::Null => Ok(DataType::Null),
        other => plan_err!("only points, circles and polygons are taken to another frame, not {other}"),
    };
    let function = |declaration| Scalar::new(declaration, [], returns, transform).any([3]).checked(check).declared();
    vec![function(ivo), function(gavo)]
}

type Matrix = [[f64; 3]; 3];

/// From ICRS to FK5: Mignard and Froeschlé, A&A 354, 732 (2000), η₀ = -19.9 mas, ξ₀ = 9.1 mas, dα₀ = -22.9 mas.
const FK5: Matrix = [
    [0.999_999_999_999_992_1, -1.110_223_329_740_832_7e-7, -4.411_804_498_096_771e-8],
    [1.110_223_372_305_003_5e-7, 0.999_999_999_999_988_9, 9.647_792_246_010_129e-8],
    [4.411_803_426_976_326e-8, -9.647_792_751_958_126e-8, 0.999_999_999_999_994_3],
];

/// From FK4, B1950.0, to FK5, J2000.0: Murray, A&A 218, 325 (1989).
const FK4_TO_FK5: Matrix = [
    [0.999_925_679_495_687_7, -0.011_181_483_220_466_2, -0.004_859_003_815_359_2],
    [0.011_181_483_239_171_7, 0.999_937_484_893_313_5, -2.716_259_471_42e-5],
    [0.004_859_003_772_314_3, -2.717_029_374_4e-5, 0.999_988_194_602_374_2],
];

/// From ICRS to galactic: the definition of 1958 brought to FK5 J2000, with the pole at 192.8594812065348, 27.12825118085622
/// and the node at 122.9319185680026 degrees, after the rotation to FK5.
const GALACTIC: Matrix = [
    [-0.054_875_657_712_591_63, -0.873_437_051_955_615_9, -0.483_835_073_616_715_46],
    [0.494_109_437_192_726_8, -0.444_829_721_223_295_2, 0.746_982_183_986_667_6],
    [-0.867_666_137_559_657_6, -0.198_076_337_273_000_53, 0.455_983_813_687_301_6],
];

/// From galactic to supergalactic: the pole at l = 47.37, b = 6.32, the node at l = 137.37 degrees.
const SUPER_GALACTIC: Matrix = [
    [-0.735_742_574_804_374_9, 0.677_261_296_413_894_3, 0.0],
    [-0.074_553_778_365_233_7, -0.080_991_471_306_976_58, 0.993_922_590_399_774_9],
    [0.673_145_302_109_207_6, 0.731_271_165_816_964_5, 0.110_081_262_224_781_93],
];

/// From ICRS to the mean ecliptic of J2000.0: the matrix `eraEcm06` of ERFA.
const ECLIPTIC: Matrix = [
    [0.999_999_999_999_994_1, -7.078_368_960_971_556e-8, 8.056_213_977_613_186e-8],
    [3.289_700_407_741_964_6e-8, 0.917_482_129_914_958_4, 0.397_776_999_444_047_93],
    [-1.020_704_472_548_435_5e-7, -0.397_776_999_444_043_04, 0.917_482_129_914_955_6],
];

const FRAMES: [&str; 6] = ["ICRS", "FK5", "FK4", "GALACTIC", "SUPER_GALACTIC", "ECLIPTIC"];

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| (0..3).map(|k| a[row][k] * b[k][column]).sum()))
}

fn inverse(a: &Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| a[column][row]))
}

/// The rotation from ICRS to a frame.
fn to_frame(name: &str) -> Option<Matrix> {
    Some(match name {
        "ICRS" => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        "FK5" => FK5,
        "FK4" => product(&inverse(&FK4_TO_FK5), &FK5),
        "GALACTIC" => GALACTIC,
        "SUPER_GALACTIC" => product(&SUPER_GALACTIC, &GALACTIC),
        "ECLIPTIC" => ECLIPTIC,
        _ => return None,
    })
}

/// How a struct keeps its positions.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// As `lon` and `lat`: a point, or a circle with `r` behind.
    Center,
    /// As a list of longitudes and latitudes in turn: a polygon.
    Vertices,
}

fn kind_of(shape: &DataType) -> Option<Kind> {
    let DataType::Struct(fields) = shape else { return None };
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    match names.as_slice() {
        ["lon", "lat"] | ["lon", "lat", "r"] => Some(Kind::Center),
        ["vertices"] => Some(Kind::Vertices),
        _ => None,
    }
}

fn check(constants: &Constants<'_>) -> Result<()> {
    for constant in &constants[..2] {
        match constant.and_then(|value| value.try_as_str().flatten()) {
            None => return plan_err!("the frames are texts in quotes: {}", FRAMES.join(", ")),
            Some(name) if to_frame(name).is_none() => {
                return plan_err!("there is no frame '{name}': the frames are {}", FRAMES.join(", "));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn rotation(arguments: &[ColumnarValue]) -> Option<Matrix> {
    let frame = |argument: &ColumnarValue| match argument {
        ColumnarValue::Scalar(name) => to_frame(name.try_as_str().flatten()?),
        ColumnarValue::Array(_) => None,
    };
    Some(product(&frame(&arguments[1])?, &inverse(&frame(&arguments[0])?)))
}

fn transform(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let names: Vec<Option<&str>> = arguments[..2]
        .iter()
        .map(|name| match name {
            ColumnarValue::Scalar(name) => name.try_as_str().flatten(),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let shapes = arguments[2].to_array(rows)?;
    let (Some(rotation), Some(shape)) = (rotation(arguments), shapes.as_struct_opt()) else {
        return match shapes.data_type() {
            DataType::Null => Ok(shapes),
            _ => exec_err!("the frames are texts in quotes: {}", FRAMES.join(", ")),
        };
    };
    if names[0] == names[1] {
        return Ok(shapes);
    }
    match kind_of(shapes.data_type()) {
        Some(Kind::Center) => turned_centers(shape, &rotation),
        Some(Kind::Vertices) => turned_vertices(shape, &rotation),
        None => exec_err!("only points, circles and polygons are taken to another frame"),
    }
}

/// One place turned; not a number where there is none.
fn turned(rotation: &Matrix, lon: f64, lat: f64) -> (f64, f64) {
    let Ok(position) = Position::from_deg(lon, lat) else { return (f64::NAN, f64::NAN) };
    let from = position.vector().xyz();
    let [x, y, z] = std::array::from_fn(|row| (0..3).map(|k| rotation[row][k] * from[k]).sum());
    match UnitVector::new(x, y, z).map(UnitVector::position) {
        Some(to) => (to.lon.deg(), to.lat.deg()),
        None => (f64::NAN, f64::NAN),
    }
}

fn turned_centers(shape: &StructArray, rotation: &Matrix) -> Result<ArrayRef> {
    let part = |part: usize| shape.column(part).as_primitive::<Float64Type>();
    let places = part(0).values().iter().zip(part(1).values());
    let (lon, lat): (Vec<f64>, Vec<f64>) = places.map(|(lon, lat)| turned(rotation, *lon, *lat)).unzip();
    let mut parts = shape.columns().to_vec();
    parts[0] = Arc::new(Float64Array::new(lon.into(), part(0).nulls().cloned()));
    parts[1] = Arc::new(Float64Array::new(lat.into(), part(1).nulls().cloned()));
    Ok(Arc::new(StructArray::try_new(shape.fields().clone(), parts, shape.nulls().cloned())?))
}

fn turned_vertices(shape: &StructArray, rotation: &Matrix) -> Result<ArrayRef> {
    let lists = shape.column(0).as_list::<i32>();
    let coordinates = lists.values().as_primitive::<Float64Type>();
    let mut values = coordinates.values().to_vec();
    for ends in lists.offsets().windows(2) {
        for pair in values[ends[0] as usize..ends[1] as usize].as_chunks_mut::<2>().0 {
            (pair[0], pair[1]) = turned(rotation, pair[0], pair[1]);
        }
    }
    let values = Arc::new(Float64Array::new(values.into(), coordinates.nulls().cloned()));
    let DataType::List(item) = lists.data_type() else { return exec_err!("vertices are a list") };
    let lists = ListArray::try_new(Arc::clone(item), lists.offsets().clone(), values, lists.nulls().cloned())?;
    Ok(Arc::new(StructArray::try_new(shape.fields().clone(), vec![Arc::new(lists)], shape.nulls().cloned())?))
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::datatypes::{Field, Float64Type as F},
        common::ScalarValue,
    };

    use super::*;
    use crate::functions::testing::{call, constant, double};

    fn at(from: &str, to: &str, lon: f64, lat: f64) -> (f64, f64) {
        let point = call("POINT", &[double(&[Some(lon)]), double(&[Some(lat)])]).unwrap();
        let answer = call("ivo_geom_transform", &[constant(from), constant(to), ColumnarValue::Array(point)]).unwrap();
        let part = |part: usize| answer.as_struct().column(part).as_primitive::<F>().value(0);
        (part(0), part(1))
    }

    /// Computed with astropy 8.0.2: `SkyCoord(120°, -23°).transform_to(…)` with FK5(equinox="J2000"),
    /// FK4NoETerms(equinox="B1950", obstime="B1950"), BarycentricMeanEcliptic(equinox="J2000"), Supergalactic. The galactic
    /// place is the example of the IVOA's catalogue, too.
    #[test]
    fn places_in_other_frames_are_those_of_astropy() {
        for (frame, lon, lat) in [
            ("GALACTIC", 241.121_831_182_603_33, 3.627_857_881_108_101),
            ("FK5", 120.000_006_605_086_55, -23.000_006_051_084_814),
            ("FK4", 119.461_614_412_177_41, -22.861_936_980_496_96),
            ("ECLIPTIC", 128.627_795_198_974_72, -42.499_897_067_051_97),
            ("SUPER_GALACTIC", 144.439_122_336_501_75, -73.044_423_178_255_63),
        ] {
            let (found_lon, found_lat) = at("ICRS", frame, 120.0, -23.0);
            // Of FK4, which turns slowly, astropy takes B1950.0 for a moment 18 minutes from 1950.0.
            assert!(
                (found_lon - lon).abs() < 1e-9 && (found_lat - lat).abs() < 1e-9,
                "{frame}: {found_lon} {found_lat}"
            );
            let (back_lon, back_lat) = at(frame, "ICRS", found_lon, found_lat);
            assert!(
                (back_lon - 120.0).abs() < 1e-10 && (back_lat + 23.0).abs() < 1e-10,
                "{frame}: {back_lon} {back_lat}"
            );
        }
        assert_eq!(at("FK5", "FK5", 359.0, 90.0), (359.0, 90.0), "untouched");
    }

    #[test]
    fn circles_keep_their_radius_and_polygons_their_number_of_vertices() {
        let circle = call("CIRCLE", &[double(&[Some(120.0)]), double(&[Some(-23.0)]), double(&[Some(2.0)])]).unwrap();
        let answer =
            call("gavo_transform", &[constant("ICRS"), constant("GALACTIC"), ColumnarValue::Array(circle)]).unwrap();
        let part = |part: usize| answer.as_struct().column(part).as_primitive::<F>().value(0);
        assert!((part(0) - 241.121_831_182_6).abs() < 1e-9 && part(2) == 2.0, "{answer:?}");

        let vertices = ListArray::from_iter_primitive::<F, _, _>([
            Some([120.0, -23.0, 121.0, -23.0, 120.0, -22.0].map(Some).to_vec()),
            None,
        ]);
        let field = Field::new("vertices", vertices.data_type().clone(), true);
        let nulls = vertices.nulls().cloned();
        let polygon: ArrayRef = Arc::new(StructArray::new(vec![field].into(), vec![Arc::new(vertices)], nulls));
        let answer =
            call("gavo_transform", &[constant("ICRS"), constant("GALACTIC"), ColumnarValue::Array(polygon)]).unwrap();
        assert!(answer.is_null(1));
        let turned = answer.as_struct().column(0).as_list::<i32>().value(0);
        assert_eq!(turned.len(), 6);
        assert!((turned.as_primitive::<F>().value(1) - 3.627_857_881_1).abs() < 1e-9, "{turned:?}");
    }

    #[test]
    fn a_frame_that_nobody_knows_is_a_mistake() {
        let refusal = call("gavo_transform", &[constant("icrs"), constant("GALACTIC"), constant(ScalarValue::Null)]);
        assert!(refusal.unwrap_err().to_string().contains("there is no frame 'icrs': the frames are ICRS, FK5"));
    }
}
