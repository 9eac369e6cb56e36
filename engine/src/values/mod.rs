//! Shapes as values of a query.
//!
//! Arrow has no shapes, so each kind is a struct of its own: the type alone tells what a value is.
//!
//! | kind | Arrow | in an answer |
//! |---|---|---|
//! | point | `Struct{lon, lat}` | 2 numbers, xtype `point` |
//! | circle | `Struct{lon, lat, r}` | 3 numbers, xtype `circle` |
//! | polygon | `Struct{vertices: List<f64>}`, lon, lat, lon, lat … | numbers, xtype `polygon` |
//! | MOC | `Struct{moc: Utf8}`, ASCII | text, xtype `moc` |
//! | region | `Struct{region: Utf8}`, STC-S, another shape in every row | text, xtype `adql:REGION` |
//!
//! All is in degrees, in ICRS. A value that describes nothing on the sky is NULL. What the shapes are and how they relate
//! is said by `sky` alone; here they only change their clothes.

mod build;
mod read;

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::datatypes::{DataType, Field, Fields},
    common::ScalarValue,
};
use sky::{
    Shape, SkyError,
    text::{
        dali::Xtype,
        stcs::{self, Frame},
    },
};

pub(crate) use build::ShapeBuilder;
pub(crate) use read::{ShapeReader, Shapes};

/// Where the metadata of a field says what kind of value its numbers or its text are.
pub(crate) const XTYPE: &str = "vo:xtype";

/// A kind of shape, which is a type of ADQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ShapeType {
    Point,
    Circle,
    Polygon,
    Moc,
    /// Any shape that STC-S can say, a different one in every row.
    Region,
}

fn numbers(names: &[&str]) -> DataType {
    DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect())
}

fn one(name: &str, data_type: DataType) -> DataType {
    DataType::Struct(Fields::from(vec![Field::new(name, data_type, true)]))
}

/// The numbers of a list.
fn number_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float64, true))
}

static TYPES: LazyLock<[(ShapeType, DataType); 5]> = LazyLock::new(|| {
    [
        (ShapeType::Point, numbers(&["lon", "lat"])),
        (ShapeType::Circle, numbers(&["lon", "lat", "r"])),
        (ShapeType::Polygon, one("vertices", DataType::List(number_field()))),
        (ShapeType::Moc, one("moc", DataType::Utf8)),
        (ShapeType::Region, one("region", DataType::Utf8)),
    ]
});

impl ShapeType {
    /// The kind of shape that a column of this type holds. The names of the parts tell, whatever else is known of them.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        let DataType::Struct(fields) = data_type else { return None };
        let same = |known: &DataType| match known {
            DataType::Struct(parts) => {
                parts.len() == fields.len()
                    && parts.iter().zip(fields).all(|(part, field)| {
                        part.name() == field.name() && part.data_type().equals_datatype(field.data_type())
                    })
            }
            _ => false,
        };
        TYPES.iter().find(|(_, known)| same(known)).map(|(shape, _)| *shape)
    }

    /// The type of its columns.
    pub(crate) fn data_type(self) -> DataType {
        // Every kind is in the list, in the order of the kinds.
        TYPES[self as usize].1.clone()
    }

    /// What ADQL calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Point => "POINT",
            Self::Circle => "CIRCLE",
            Self::Polygon => "POLYGON",
            Self::Moc => "MOC",
            Self::Region => "REGION",
        }
    }

    /// What a VOTable calls it.
    pub(crate) const fn xtype(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Circle => "circle",
            Self::Polygon => "polygon",
            Self::Moc => "moc",
            Self::Region => "adql:REGION",
        }
    }

    /// The kind that an xtype stands for, in any case. What DALI calls a shape is a region whose words it shares.
    pub(crate) fn of_xtype(xtype: &str) -> Option<Self> {
        let known = [
            ("point", Self::Point),
            ("circle", Self::Circle),
            ("polygon", Self::Polygon),
            ("moc", Self::Moc),
            ("shape", Self::Region),
            ("adql:point", Self::Point),
            ("adql:circle", Self::Circle),
            ("adql:polygon", Self::Polygon),
            ("adql:region", Self::Region),
        ];
        known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(xtype.trim())).map(|(_, shape)| shape)
    }

    /// The kind that a shape is kept as. A box is the polygon of its corners.
    pub(crate) const fn of_shape(shape: &Shape) -> Self {
        match shape {
            Shape::Point(_) => Self::Point,
            Shape::Cone(_) => Self::Circle,
            Shape::Polygon(_) | Shape::Box(_) => Self::Polygon,
            Shape::Moc(_) => Self::Moc,
        }
    }

    /// The DALI text that describes it; a region is described by STC-S instead.
    pub(crate) const fn dali(self) -> Option<Xtype> {
        match self {
            Self::Point => Some(Xtype::Point),
            Self::Circle => Some(Xtype::Circle),
            Self::Polygon => Some(Xtype::Polygon),
            Self::Moc => Some(Xtype::Moc),
            Self::Region => None,
        }
    }
}

/// The shape that a constant is; none for NULL, for what is no shape, and for what describes nothing on the sky.
pub(crate) fn shape_of(value: &ScalarValue) -> Option<Shape> {
    match Shapes::of_scalar(value).ok()? {
        Shapes::Constant(shape) => shape.map(Arc::unwrap_or_clone),
        Shapes::Column(_) => None,
    }
}

/// The shape that an STC-S text describes. Coordinates are ICRS; those of FK5 are taken for it, from which they differ by
/// hundredths of an arc second. No other frame is converted.
pub(crate) fn region(text: &str) -> Result<Shape, SkyError> {
    let framed = stcs::parse(text)?;
    match framed.frame {
        None | Some(Frame::Icrs | Frame::Fk5) => Ok(framed.shape),
        Some(frame) => Err(SkyError::Text { format: "STC-S", problem: not_icrs(frame.name()) }),
    }
}

/// Refuses a coordinate system that is not ICRS, FK5 or none, as in `POINT('GALACTIC', l, b)`.
pub(crate) fn check_system(written: &str) -> Result<(), SkyError> {
    let frame = written.split_whitespace().next().unwrap_or_default();
    match ["", "ICRS", "FK5", "J2000", "UNKNOWNFRAME"].iter().any(|known| known.eq_ignore_ascii_case(frame)) {
        true => Ok(()),
        false => Err(SkyError::Text { format: "the coordinate system", problem: not_icrs(frame) }),
    }
}

fn not_icrs(frame: &str) -> String {
    format!("coordinates are ICRS, and {frame:?} is not converted; ivo_geom_transform turns shapes from frame to frame")
}

/// Whether an argument of this type holds numbers.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Whether an argument of this type holds text.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// What ADQL calls a type, in a sentence about a mistake.
pub(crate) fn spoken(data_type: &DataType) -> String {
    match data_type {
        shape if ShapeType::of(shape).is_some() => ShapeType::of(shape).map_or("", ShapeType::name).to_owned(),
        text if is_text(text) => "VARCHAR".to_owned(),
        DataType::Null => "NULL".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "SMALLINT".to_owned(),
        DataType::Int32 | DataType::UInt16 => "INTEGER".to_owned(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "BIGINT".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE PRECISION".to_owned(),
        DataType::Timestamp(..) => "TIMESTAMP".to_owned(),
        DataType::Boolean => "a truth value".to_owned(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "an array".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ShapeType; 5] =
        [ShapeType::Point, ShapeType::Circle, ShapeType::Polygon, ShapeType::Moc, ShapeType::Region];

    #[test]
    fn every_kind_is_told_by_its_type_and_by_its_xtype() {
        for kind in ALL {
            assert_eq!(ShapeType::of(&kind.data_type()), Some(kind));
            assert_eq!(ShapeType::of_xtype(&kind.xtype().to_uppercase()), Some(kind));
        }
        assert_eq!(ShapeType::of(&DataType::Float64), None);
        assert_eq!(ShapeType::of(&numbers(&["ra", "dec"])), None);
        assert_eq!(ShapeType::of_xtype("interval"), None);
    }

    #[test]
    fn a_constant_goes_round_and_a_null_is_no_shape() {
        for text in ["Position 10 -20", "Circle 10 -20 0.5", "Polygon 9 19 11 19 10 22"] {
            let shape = sky::text::stcs::parse(text).unwrap().shape;
            for kind in [ShapeType::of_shape(&shape), ShapeType::Region] {
                let mut builder = ShapeBuilder::new(kind);
                builder.push(Some(&shape)).unwrap();
                builder.push(None).unwrap();
                let column = builder.finish();
                assert_eq!(shape_of(&ScalarValue::try_from_array(&column, 0).unwrap()), Some(shape.clone()), "{text}");
                assert_eq!(shape_of(&ScalarValue::try_from_array(&column, 1).unwrap()), None);
            }
        }
        assert_eq!(shape_of(&ScalarValue::Float64(Some(1.0))), None);
    }
}
