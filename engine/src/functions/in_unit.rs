//! `IN_UNIT`: a column in another unit. The unit of a column is its field's metadata, which aliases and subqueries keep.
//!
//! ```text
//! IN_UNIT(pmra, 'deg/yr')   →  adql_in_unit(pmra, 'deg/yr', 2.77…e-7)    while the query is planned
//! ```
//! The answer carries the unit that was asked for. Nothing is inferred of computed values.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{
        DataType::{self, Float64},
        Field, FieldRef,
    },
    common::{ScalarValue, exec_err, plan_err},
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        TypeSignature, Volatility,
        expr::ScalarFunction,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

use super::{
    Body, Declaration, Function, Origin,
    declaration::declare,
    numbers::{each, reals},
    scalar::{Constants, Scalar, constant, double},
};
use crate::units::{Spectral, Unit};

const UNIT: &str = "vo:unit";

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let in_unit = declare!(
        Origin::Feature("features-adql-unit", "IN_UNIT"), "IN_UNIT" as "adql_in_unit",
        ("x": "DOUBLE PRECISION", "unit": "VARCHAR") -> "DOUBLE PRECISION",
        "The numbers of a column in another unit, by the rules of VOUnits. The unit is a text in quotes; a column without a unit, a \
         computed value and a unit of something else are refused.",
        "IN_UNIT(ra, 'arcsec')",
    );
    let specconv = declare!(
        Origin::Gavo, "gavo_specconv" as "gavo_specconv",
        ("expr": "DOUBLE PRECISION", "dest_unit": "VARCHAR", "expr_unit": "VARCHAR") -> "DOUBLE PRECISION",
        "A wavelength, frequency, energy or wavenumber in the unit expr_unit as any of these in the unit dest_unit. Both units are \
         texts in quotes.",
        "gavo_specconv(21.106114, 'MHz', 'cm')",
    );
    let signature = Signature::one_of(vec![TypeSignature::Any(2), TypeSignature::Any(3)], Volatility::Immutable);
    let body = Body::Scalar(Arc::new(ScalarUDF::new_from_impl(InUnit { declaration: in_unit, signature })));
    let forms = [vec![Float64, DataType::Utf8, DataType::Utf8]];
    vec![
        Function { declaration: in_unit, body },
        Scalar::new(specconv, forms, double, spectral)
            .checked(|constants| spectral_units(constants).map(drop))
            .declared(),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InUnit {
    declaration: Declaration,
    signature: Signature,
}

fn text(constant: Option<&ScalarValue>) -> Option<&str> {
    constant?.try_as_str().flatten()
}

fn parsed(text: &str) -> Result<Unit> {
    match Unit::parse(text) {
        Ok(unit) => Ok(unit),
        Err(error) => plan_err!("{error}"),
    }
}

/// The factor from the unit of a field to another.
fn factor(field: &Field, to: Option<&str>) -> Result<f64> {
    let Some(to) = to else { return plan_err!("the unit of IN_UNIT is a text in quotes") };
    let wanted = parsed(to)?;
    if !(field.data_type().is_numeric() || field.data_type().is_null()) {
        return plan_err!("IN_UNIT takes a column of numbers, not of {}", field.data_type());
    }
    let known = field.metadata().get(UNIT).map(|unit| unit.trim()).filter(|unit| !unit.is_empty());
    let Some(from) = known else {
        return plan_err!("IN_UNIT takes a column whose unit is known; {} has none", field.name());
    };
    match parsed(from)?.factor_to(wanted, (from, to)) {
        Ok(factor) => Ok(factor),
        Err(error) => plan_err!("{error}"),
    }
}

impl ScalarUDFImpl for InUnit {
    fn name(&self) -> &str {
        let Declaration { planned, .. } = self.declaration;
        planned
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the unit of the answer is in its field")
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let to = text(arguments.scalar_arguments.get(1).copied().flatten());
        if arguments.arg_fields.len() == 2 {
            factor(&arguments.arg_fields[0], to)?;
        }
        let unit = [(UNIT.to_owned(), to.unwrap_or_default().to_owned())];
        Ok(Arc::new(Field::new(self.name(), Float64, true).with_metadata(unit.into())))
    }

    /// The factor is found while the metadata are at hand.
    fn simplify(&self, mut arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if arguments.len() == 3 {
            return Ok(ExprSimplifyResult::Original(arguments));
        }
        let (_, field) = arguments[0].to_field(context.schema().as_ref())?;
        let factor = factor(&field, text(constant(&arguments[1])))?;
        arguments.push(Expr::Literal(ScalarValue::Float64(Some(factor)), None));
        let function = InUnit { declaration: self.declaration, signature: self.signature.clone() };
        let func = Arc::new(ScalarUDF::new_from_impl(function));
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(ScalarFunction { func, args: arguments })))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let factor = match arguments.args.get(2) {
            Some(ColumnarValue::Scalar(ScalarValue::Float64(Some(factor)))) => *factor,
            _ => {
                let to = match &arguments.args[1] {
                    ColumnarValue::Scalar(unit) => text(Some(unit)),
                    ColumnarValue::Array(_) => None,
                };
                factor(&arguments.arg_fields[0], to)?
            }
        };
        let rows = arguments.number_rows;
        let numbers = reals(&[arguments.args[0].cast_to(&Float64, None)?])?;
        Ok(ColumnarValue::Array(each(&numbers, rows, |row| numbers[0].at(row) * factor)))
    }
}

const LIGHT: f64 = 299_792_458.0; // m/s
const PLANCK: f64 = 6.626_070_15e-34; // J s

/// The units of a conversion: from, to.
fn spectral_units(constants: &Constants<'_>) -> Result<[(Spectral, f64); 2]> {
    let unit = |place: usize| -> Result<(Spectral, f64)> {
        let Some(text) = text(constants[place]) else {
            return plan_err!("the units of gavo_specconv are texts in quotes");
        };
        match parsed(text)?.spectral() {
            Some(found) => Ok(found),
            None => plan_err!("'{text}' is no unit of a wavelength, a frequency, an energy or a wavenumber"),
        }
    };
    Ok([unit(2)?, unit(1)?])
}

/// To hertz and from hertz it is the same: a wavelength turns over, the others are multiples.
fn spectral(arguments: &[ColumnarValue], rows: usize) -> Result<datafusion::arrow::array::ArrayRef> {
    let constants: Vec<Option<&ScalarValue>> = arguments
        .iter()
        .map(|argument| match argument {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let [(from, from_factor), (to, to_factor)] = spectral_units(&constants)?;
    let values = reals(&arguments[..1])?;
    let hertz = |value: f64| match from {
        Spectral::Wavelength => LIGHT / value,
        Spectral::Frequency => value,
        Spectral::Energy => value / PLANCK,
        Spectral::Wavenumber => value * LIGHT,
    };
    let wanted = |hertz: f64| match to {
        Spectral::Wavelength => LIGHT / hertz,
        Spectral::Frequency => hertz,
        Spectral::Energy => hertz * PLANCK,
        Spectral::Wavenumber => hertz / LIGHT,
    };
    Ok(each(&values, rows, |row| wanted(hertz(values[0].at(row) * from_factor)) / to_factor))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::{
        array::{AsArray, Float32Array, RecordBatch},
        datatypes::{Float64Type, Schema},
    };

    use super::*;
    use crate::functions::testing::{constant, double, doubles, session};

    async fn ask(sql: &str) -> std::result::Result<(f64, Option<String>), String> {
        let field = |name: &str, unit: &str| {
            let unit = [(UNIT.to_owned(), unit.to_owned())];
            Field::new(name, DataType::Float32, true).with_metadata(unit.into())
        };
        let schema = Arc::new(Schema::new(vec![field("ra", "deg"), field("g", "mag"), field("n", "")]));
        let columns = [1.5, 12.0, 3.0].map(|value| Arc::new(Float32Array::from(vec![value])) as _);
        let session = session();
        session.register_batch("t", RecordBatch::try_new(schema, columns.to_vec()).unwrap()).unwrap();
        let frame = session.sql(sql).await.map_err(|error| error.to_string())?;
        let batches = frame.collect().await.map_err(|error| error.to_string())?;
        let unit = batches[0].schema().field(0).metadata().get(UNIT).cloned();
        Ok((batches[0].column(0).as_primitive::<Float64Type>().value(0), unit))
    }

    #[tokio::test]
    async fn a_column_is_told_in_the_unit_that_is_asked_for() {
        for sql in [
            "SELECT adql_in_unit(ra, 'arcsec') FROM t",
            "SELECT adql_in_unit(alpha, 'arcsec') AS x FROM (SELECT ra AS alpha FROM t) AS s",
            "SELECT adql_in_unit(t.ra, 'arcsec') AS x FROM t WHERE adql_in_unit(ra, 'rad') > 0.02 GROUP BY ra",
        ] {
            assert_eq!(ask(sql).await.unwrap(), (5400.0, Some("arcsec".to_owned())), "{sql}");
        }
    }

    #[tokio::test]
    async fn what_has_no_such_unit_is_a_mistake() {
        for (call, mistake) in [
            ("adql_in_unit(ra, 'km')", "'deg' cannot be given in 'km'"),
            ("adql_in_unit(g, 'Jy')", "logarithmic"),
            ("adql_in_unit(n, 'deg')", "n has none"),
            ("adql_in_unit(ra + 1, 'deg')", "has none"),
            ("adql_in_unit(5, 'deg')", "has none"),
            ("adql_in_unit(ra, 'parsnip')", "there is no unit parsnip"),
            ("adql_in_unit(ra, n)", "text in quotes"),
        ] {
            let error = ask(&format!("SELECT {call} FROM t")).await.unwrap_err();
            assert!(error.contains(mistake), "{call}: {error}");
        }
    }

    /// The line of hydrogen, by its frequency of 1420.405751768 MHz and c; 1 keV by h and e of the SI.
    #[test]
    fn places_in_the_spectrum_convert_into_each_other() {
        let convert = |value: f64, to: &str, from: &str| {
            doubles("gavo_specconv", &[double(&[Some(value)]), constant(to), constant(from)])[0].unwrap()
        };
        assert!((convert(21.106_114_054_16, "MHz", "cm") - 1_420.405_751_768).abs() < 1e-6);
        assert!((convert(1.0, "Angstrom", "keV") - 12.398_419_843_320_026).abs() < 1e-12);
        assert!((convert(500.0, "cm-1", "nm") - 20_000.0).abs() < 1e-9);
        assert_eq!(
            doubles("gavo_specconv", &[double(&[Some(0.0), None]), constant("Hz"), constant("m")]),
            [None, None]
        );
    }
}
