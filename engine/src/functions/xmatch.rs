//! XMATCH and XMATCH_MUTUAL: conditions of joins, which `joins` makes of them. No row alone answers them, so neither is ever
//! computed.
//!
//! ```text
//!   XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), r, k) = 1   ─ rules::normalize_sky ─▶
//!       sky_nearest(a.ra, a.dec, b.ra, b.dec, r, k, false)     ─ joins::xmatch ───────▶   SkyJoin
//! ```

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::datatypes::DataType,
    common::plan_err,
    error::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};

use super::{Body, Function, Origin, declaration::declare};
use crate::values::{ShapeType, is_number};

pub(crate) const XMATCH: &str = "adql_xmatch";
pub(crate) const XMATCH_MUTUAL: &str = "adql_xmatch_mutual";
/// What both become: longitude and latitude of either side, the radius, how many, and whether of each other.
pub(crate) const NEAREST: &str = "sky_nearest";

/// What is said where no join can be made of it.
pub(crate) const REFUSED: &str = "XMATCH stands in ON or WHERE, alone or with AND, and joins two tables: its first position \
                                  comes from one of them, its second from the other";

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let nearest = declare!(
        Origin::Almagest, "XMATCH" as "adql_xmatch",
        ("from": "POINT", "to": "POINT", "radius": "DOUBLE PRECISION") -> "INTEGER"
            | ("from": "POINT", "to": "POINT", "radius": "DOUBLE PRECISION", "k": "INTEGER") -> "INTEGER",
        "1 if the row of the second position is among the k nearest (1 if not given, 1000 at most) of its side of the join to \
         the row of the first, within a radius in degrees. Only as a condition of a join, in ON or WHERE. Other conditions \
         choose among the nearest; to find the nearest of chosen rows, join a query that chooses them.",
        "(SELECT COUNT(*) FROM demo.t AS a JOIN demo.t AS b ON 1 = XMATCH(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.5))",
    );
    let mutual = declare!(
        Origin::Almagest, "XMATCH_MUTUAL" as "adql_xmatch_mutual",
        ("one": "POINT", "other": "POINT", "radius": "DOUBLE PRECISION") -> "INTEGER",
        "1 if each of two rows is the nearest to the other of its side of the join, within a radius in degrees. Only as a \
         condition of a join, in ON or WHERE.",
        "(SELECT COUNT(*) FROM demo.t AS a JOIN demo.t AS b \
         ON 1 = XMATCH_MUTUAL(POINT(a.ra, a.dec), POINT(b.ra, b.dec), 0.5))",
    );
    vec![
        Function { declaration: nearest, body: Body::Scalar(function(XMATCH)) },
        Function { declaration: mutual, body: Body::Scalar(function(XMATCH_MUTUAL)) },
    ]
}

/// The condition that both become.
pub(crate) fn nearest_function() -> Arc<ScalarUDF> {
    static NEAREST_OF_SIDES: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(NEAREST));
    Arc::clone(&NEAREST_OF_SIDES)
}

fn function(name: &'static str) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(OfPairs { name, signature: Signature::user_defined(Volatility::Immutable) }))
}

/// A function of a row of one table and all rows of another.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfPairs {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for OfPairs {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let point = ShapeType::Point.data_type();
        let is_point = |given: &DataType| ShapeType::of(given) == Some(ShapeType::Point);
        match (self.name, given) {
            (NEAREST, given) => Ok(given.to_vec()),
            (XMATCH | XMATCH_MUTUAL, [from, to, radius, k @ ..])
                if is_point(from)
                    && is_point(to)
                    && is_number(radius)
                    && (k.is_empty() || (k.len() == 1 && k[0].is_integer() && self.name == XMATCH)) =>
            {
                let k = k.iter().map(|_| DataType::Int64);
                Ok([point.clone(), point, DataType::Float64].into_iter().chain(k).collect())
            }
            (XMATCH, _) => plan_err!(
                "XMATCH takes two points, a radius in degrees and, if more than one row is asked for, how many"
            ),
            _ => plan_err!("XMATCH_MUTUAL takes two points and a radius in degrees"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.name == NEAREST { DataType::Boolean } else { DataType::Int32 })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        plan_err!("{REFUSED}")
    }
}
