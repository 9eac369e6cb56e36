//! One geometry function as DataFusion sees it: which arguments it takes, and when it is computed.
//!
//! Arguments that are all constants are computed while the query is planned, so that what describes nothing on the sky is
//! a mistake before anything is read; the planner's own folding would put it off until the first row. In a row of a
//! column the same is NULL.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::ArrayRef,
        datatypes::{DataType, Field, FieldRef},
    },
    common::{ScalarValue, plan_err},
    error::Result,
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};
use sky::{Cone, Deg, Position, SkyBox, SkyError};

use super::{cast, forms, make, measure, moc, predicates, relate};
use crate::{
    functions::FUNCTIONS,
    limits::watch::checkpoint,
    values::{ShapeType, check_system, region, spoken},
};

/// What a geometry function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Point,
    Circle,
    Box,
    Polygon,
    Region,
    Contains,
    Intersects,
    Distance,
    Area,
    Centroid,
    Coord1,
    Coord2,
    CoordSys,
    Moc,
    MocUnion,
    MocIntersect,
    /// A shape from DALI's text or numbers.
    To(ShapeType),
    /// A column of text taken for shapes as it stands: each is read where it is used.
    Keep(ShapeType),
    /// The text of a shape.
    ToText,
    /// Whether longitude and latitude lie in a shape.
    InShape,
    /// Whether longitude and latitude lie in a circle of these numbers.
    InCircle,
    /// Whether two positions are at most so far apart.
    Within,
    /// Whether two positions are less far apart.
    Closer,
}

/// One function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Geometry {
    name: &'static str,
    operation: Operation,
    signature: Signature,
}

impl Geometry {
    pub(super) fn function(name: &'static str, operation: Operation) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { name, operation, signature }))
    }

    /// The function as it is written in a query.
    fn written(&self) -> &'static str {
        let declared = FUNCTIONS.iter().find(|function| function.declaration.planned == self.name);
        declared.map_or(self.name, |function| function.declaration.name)
    }

    /// What to say to arguments that fit no form.
    fn refusal(&self, given: &[DataType]) -> String {
        let given: Vec<String> = given.iter().map(spoken).collect();
        let declared = FUNCTIONS.iter().find(|function| function.declaration.planned == self.name);
        let forms = declared.map_or(&[][..], |function| function.declaration.forms).iter().map(|form| {
            let names: Vec<&str> = form.arguments.iter().map(|(name, _)| *name).collect();
            format!("({})", names.join(", "))
        });
        let forms = forms.collect::<Vec<_>>().join(" or ");
        format!("{} takes {forms}, not ({})", self.written(), given.join(", "))
    }
}

impl ScalarUDFImpl for Geometry {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match forms::coerced(self.operation, given) {
            Ok(Some(types)) => Ok(types),
            Ok(None) => plan_err!("{}", self.refusal(given)),
            Err(mistake) => plan_err!("{mistake}"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(forms::answer_type(self.operation))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let data_type = match (self.operation, arguments.scalar_arguments) {
            // What a constant describes is known now.
            (Operation::Region, [Some(ScalarValue::Utf8(Some(text)))]) => match region(text) {
                Ok(shape) => ShapeType::of_shape(&shape).data_type(),
                Err(mistake) => return plan_err!("{mistake}"),
            },
            _ => self.return_type(&types)?,
        };
        Ok(Arc::new(Field::new(self.name, data_type, true)))
    }

    fn simplify(&self, arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let constants: Vec<Option<&ScalarValue>> = arguments.iter().map(constant).collect();
        check_constants(self.operation, &constants)?;
        let Some(constants) = constants.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(ExprSimplifyResult::Original(arguments));
        };
        let types: Vec<DataType> = constants.iter().map(|value| value.data_type()).collect();
        // A constant that is still to be cast is none yet.
        if !matches!(forms::coerced(self.operation, &types), Ok(Some(coerced)) if coerced == types) {
            return Ok(ExprSimplifyResult::Original(arguments));
        }
        let values: Vec<ColumnarValue> = constants.into_iter().cloned().map(ColumnarValue::Scalar).collect();
        let answer = answer(self.operation, &values, 1, &mut Settle::strict())?;
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(ScalarValue::try_from_array(&answer, 0)?, None)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_))) {
            let answer = answer(self.operation, &arguments.args, 1, &mut Settle::strict())?;
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?));
        }
        checkpoint(&arguments.config_options)?; // shapes are slow
        let answer = answer(self.operation, &arguments.args, arguments.number_rows, &mut Settle::default())?;
        Ok(ColumnarValue::Array(answer))
    }
}

fn constant(argument: &Expr) -> Option<&ScalarValue> {
    match argument {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

/// What becomes of a row whose values describe nothing on the sky.
#[derive(Default)]
pub(super) struct Settle {
    strict: bool,
    mistake: Option<SkyError>,
}

impl Settle {
    /// For constants: what is wrong with them is a mistake of the query.
    fn strict() -> Self {
        Self { strict: true, mistake: None }
    }

    /// The value, or NULL.
    pub(super) fn ok<T>(&mut self, result: Result<T, SkyError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.mistake.get_or_insert(mistake);
                None
            }
        }
    }
}

/// The answer in every row.
fn answer(operation: Operation, arguments: &[ColumnarValue], rows: usize, settle: &mut Settle) -> Result<ArrayRef> {
    let arguments = match arguments.first() {
        Some(ColumnarValue::Scalar(ScalarValue::Utf8(system))) if operation.takes_system() => {
            settle.ok(check_system(system.as_deref().unwrap_or_default()));
            &arguments[1..]
        }
        Some(first) if operation.takes_system() && first.data_type() == DataType::Utf8 => &arguments[1..],
        _ => arguments,
    };
    use Operation::*;
    let answer = match operation {
        Point | Circle | Box | Polygon => make::of_numbers(operation, arguments, rows, settle),
        Region => make::of_text(&arguments[0], rows, settle),
        Contains | Intersects => relate::answer(operation, arguments, rows),
        Distance => measure::distance(arguments, rows, settle),
        Area | Centroid | Coord1 | Coord2 | CoordSys => measure::of_shape(operation, &arguments[0], rows),
        Moc => moc::made(arguments, rows, settle),
        MocUnion | MocIntersect => moc::combined(operation, arguments, rows),
        To(kind) => cast::to_shape(kind, &arguments[0], rows, settle),
        Keep(kind) => cast::kept(kind, &arguments[0], rows),
        ToText => cast::to_text(&arguments[0], rows),
        InShape | InCircle | Within | Closer => predicates::answer(operation, arguments, rows),
    }?;
    match settle.mistake.take().filter(|_| settle.strict) {
        Some(mistake) => plan_err!("{mistake}"),
        None => Ok(answer),
    }
}

impl Operation {
    /// Whether a coordinate system may stand before the other arguments.
    pub(super) fn takes_system(self) -> bool {
        matches!(self, Self::Point | Self::Circle | Self::Box | Self::Polygon)
    }
}

/// What a number says of a shape, where a wrong one can never be right whatever stands beside it.
#[derive(Clone, Copy)]
enum Role {
    Lon,
    Lat,
    Radius,
    Side,
    Any,
}

/// Refuses constants that are wrong by themselves: `CIRCLE(ra, dec, -1)`.
fn check_constants(operation: Operation, constants: &[Option<&ScalarValue>]) -> Result<()> {
    use Role::{Any, Lat, Lon, Radius, Side};
    let constants = match constants {
        [Some(ScalarValue::Utf8(Some(system))), rest @ ..] if operation.takes_system() => {
            check_system(system).or_else(|mistake| plan_err!("{mistake}"))?;
            rest
        }
        all => all,
    };
    let roles: &[Role] = match (operation, constants.len()) {
        (Operation::Point, 2) => &[Lon, Lat],
        (Operation::Circle, 3) => &[Lon, Lat, Radius],
        (Operation::Circle, 2) => &[Any, Radius],
        (Operation::Box, 4) => &[Lon, Lat, Side, Side],
        (Operation::Box, 3) => &[Any, Side, Side],
        (Operation::Distance, 4) => &[Lon, Lat, Lon, Lat],
        (Operation::InShape, 3) => &[Lon, Lat, Any],
        (Operation::InCircle, 5) => &[Lon, Lat, Lon, Lat, Radius],
        (Operation::Within | Operation::Closer, 5) => &[Lon, Lat, Lon, Lat, Any],
        _ => &[],
    };
    for (role, constant) in roles.iter().zip(constants) {
        let Some(ScalarValue::Float64(Some(value))) = constant else { continue };
        let checked = match role {
            Lon => Position::from_deg(*value, 0.0).map(drop),
            Lat => Position::from_deg(0.0, *value).map(drop),
            Radius => Position::from_deg(0.0, 0.0).and_then(|center| Cone::new(center, Deg(*value))).map(drop),
            Side => {
                Position::from_deg(0.0, 0.0).and_then(|center| SkyBox::new(center, Deg(*value), Deg(*value))).map(drop)
            }
            Any => Ok(()),
        };
        checked.or_else(|mistake| plan_err!("{mistake}"))?;
    }
    Ok(())
}
