//! The cell of a coarser order around a cell.
//!
//! ```text
//! GROUP BY healpix_parent(_healpix_29, 8)      rows come sorted along the sky: groups end one after the other
//! WHERE healpix_parent(_healpix_29, 8) = 1234  →  _healpix_29 >= 1234·4²¹ AND _healpix_29 < 1235·4²¹
//! ```
//! `GAIA_HEALPIX_INDEX` is the same for Gaia's `source_id`, whose bits above the 35th are a cell of order 12.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, Int64Array},
        datatypes::{
            DataType::{self, Int64},
            Int64Type,
        },
    },
    common::{ScalarValue, plan_err},
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
        interval_arithmetic::Interval,
        preimage::PreimageResult,
        simplify::{ExprSimplifyResult, SimplifyContext},
        sort_properties::{ExprProperties, SortProperties},
    },
};

use super::{
    super::{Body, Declaration},
    Function, Origin, declare, integers, whole, whole_pairs,
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let parent = declare!(
        Origin::Almagest, "healpix_parent" as "healpix_parent",
        ("cell29": "BIGINT", "hpxOrder": "INTEGER") -> "BIGINT",
        "The HEALPix cell (nested scheme) of an order from 0 to 29 around a cell of order 29, such as a catalogue's \
         `_healpix_29` holds. The cheapest way to count rows by cells.",
        "healpix_parent(3458764513820540927, 3)",
    );
    let gaia = declare!(
        Origin::Almagest, "GAIA_HEALPIX_INDEX" as "gaia_healpix_index",
        ("hpxOrder": "INTEGER", "source_id": "BIGINT") -> "BIGINT",
        "The HEALPix cell (nested scheme) of an order from 0 to 12 that the identifier of a source of Gaia encodes.",
        "GAIA_HEALPIX_INDEX(5, 4295806720)",
    );
    [
        Parent { declaration: parent, cell: 0, order: 1, finest: 29, offset: 0 },
        Parent { declaration: gaia, cell: 1, order: 0, finest: 12, offset: 35 },
    ]
    .map(|parent| {
        let declaration = parent.declaration;
        Function { declaration, body: Body::Scalar(Arc::new(ScalarUDF::new_from_impl(parent))) }
    })
    .to_vec()
}

/// A shift of bits: numbers of cells of the order `finest`, `offset` bits up, to those of a coarser order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Parent {
    declaration: Declaration,
    cell: usize,
    order: usize,
    finest: i64,
    offset: u32,
}

impl Parent {
    /// How many bits stand for what is finer than this order.
    fn shift(&self, order: i64) -> Option<u32> {
        (0..=self.finest).contains(&order).then(|| self.offset + 2 * (self.finest - order) as u32)
    }

    fn parents(&self, arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
        let cells = integers(&arguments[self.cell], rows)?;
        if let ColumnarValue::Scalar(ScalarValue::Int64(order)) = &arguments[self.order] {
            return Ok(match order.and_then(|order| self.shift(order)) {
                Some(shift) => Arc::new(cells.unary::<_, Int64Type>(|cell| cell >> shift)),
                None => Arc::new(Int64Array::new_null(rows)),
            });
        }
        let orders = integers(&arguments[self.order], rows)?;
        Ok(Arc::new(whole_pairs(&cells, &orders, |cell, order| Some(cell >> self.shift(order)?))?))
    }
}

impl ScalarUDFImpl for Parent {
    fn name(&self) -> &str {
        let Declaration { planned, .. } = self.declaration;
        planned
    }

    fn signature(&self) -> &Signature {
        static SIGNATURE: std::sync::LazyLock<Signature> =
            std::sync::LazyLock::new(|| Signature::new(TypeSignature::Exact(vec![Int64; 2]), Volatility::Immutable));
        &SIGNATURE
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Int64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn simplify(&self, arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let order = arguments.get(self.order).and_then(super::super::scalar::constant);
        match whole(order) {
            Some(order) if self.shift(order).is_none() => {
                plan_err!("the HEALPix order is a number from 0 to {}, not {order}", self.finest)
            }
            _ => Ok(ExprSimplifyResult::Original(arguments)),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let answer = self.parents(&arguments.args, rows)?;
        match constant {
            // A constant of a wrong order is not folded, so that `simplify` sees it.
            true if answer.is_null(0)
                && arguments.args.iter().all(|a| !matches!(a, ColumnarValue::Scalar(s) if s.is_null())) =>
            {
                plan_err!("the HEALPix order is a number from 0 to {}", self.finest)
            }
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?)),
            false => Ok(ColumnarValue::Array(answer)),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(match inputs[self.order].sort_properties {
            SortProperties::Singleton => inputs[self.cell].sort_properties,
            _ => SortProperties::Unordered,
        })
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        Ok(inputs[self.order].sort_properties == SortProperties::Singleton)
    }

    fn preimage(&self, arguments: &[Expr], value: &Expr, _: &SimplifyContext) -> Result<PreimageResult> {
        let order = whole(super::super::scalar::constant(&arguments[self.order]));
        let parent = whole(super::super::scalar::constant(value));
        let bounds = order.and_then(|order| self.shift(order)).zip(parent).and_then(|(shift, parent)| {
            let bound = |parent: i64| parent.checked_mul(1_i64.checked_shl(shift).filter(|unit| *unit > 0)?);
            bound(parent).zip(bound(parent.checked_add(1)?))
        });
        let Some((lower, upper)) = bounds else { return Ok(PreimageResult::None) };
        let interval = Interval::try_new(ScalarValue::from(lower), ScalarValue::from(upper))?;
        Ok(PreimageResult::Range { expr: arguments[self.cell].clone(), interval: Box::new(interval) })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::functions::{
        find,
        testing::{constant, integer, integers},
    };

    #[test]
    fn a_parent_is_the_cell_of_the_same_place_at_its_order() {
        let deep = integers("ivo_healpix_index", &[constant(29_i64), constant(23.4), constant(-56.7)]);
        for order in [0_i64, 5, 12, 29] {
            let expected = integers("ivo_healpix_index", &[constant(order), constant(23.4), constant(-56.7)]);
            assert_eq!(integers("healpix_parent", &[integer(&deep), constant(order)]), expected);
            assert_eq!(integers("healpix_parent", &[integer(&deep), integer(&[Some(order)])]), expected);
        }
        assert_eq!(
            integers("healpix_parent", &[integer(&[Some(1), None]), integer(&[Some(30), Some(1)])]),
            [None, None]
        );
    }

    /// By the data model of Gaia: the cell of order 12 is source_id / 34359738368, that of order n is a further 4^(12-n)th.
    #[test]
    fn an_identifier_of_gaia_tells_its_cell() {
        let id = 6_917_528_997_577_384_320;
        let parent = |order: i64| integers("gaia_healpix_index", &[constant(order), integer(&[Some(id)])])[0].unwrap();
        assert_eq!((parent(12), parent(11)), (id / 34_359_738_368, id / 34_359_738_368 / 4));
        assert_eq!(parent(0), id / 34_359_738_368 / 16_777_216);
    }

    #[test]
    fn a_comparison_becomes_a_range_of_cells() {
        let Body::Scalar(function) = &find("healpix_parent").unwrap().body else { panic!("no scalar") };
        let preimage = |order: i64, value: i64| {
            function.preimage(&[col("h"), lit(order)], &lit(value), &SimplifyContext::default()).unwrap()
        };
        let PreimageResult::Range { interval, .. } = preimage(8, 1234) else { panic!("no range") };
        assert_eq!(*interval, Interval::try_new((1234_i64 << 42).into(), (1235_i64 << 42).into()).unwrap());
        assert!(matches!(preimage(0, i64::MAX), PreimageResult::None));
        assert!(matches!(preimage(30, 1), PreimageResult::None));
    }
}
