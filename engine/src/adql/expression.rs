//! Expressions: names get their columns, operators of ADQL become functions where the planner means something else by them,
//! and what is no ADQL is refused.
//!
//! ```text
//!   flux[3]   →   adql_element(flux, 3)          a & b, a | b, a ^ b, ~a   →   adql_bit_and(a, b), …
//! ```

use datafusion::{
    arrow::datatypes::DataType,
    sql::sqlparser::{
        ast::{
            self, AccessExpr, BinaryOperator, CastKind, Expr, Function, FunctionArg, FunctionArgExpr,
            FunctionArguments, Spanned, Subscript, UnaryOperator, Value, ValueWithSpan,
        },
        tokenizer::Location,
    },
};

use super::{
    calls::call,
    casts,
    resolve::{Names, Resolver},
    scope::dotted,
    within,
};
use crate::{
    Mistake,
    functions::{self, item_of},
};

/// How many brackets may follow a name.
const DIMENSIONS: usize = 8;

impl Resolver<'_> {
    /// Resolves what must be true or false.
    pub(super) fn condition(&mut self, expr: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        ask_of_pairs(expr);
        check_condition(expr, names)?;
        self.expr(expr, names)
    }

    /// Resolves an expression and all within it.
    pub(super) fn expr(&mut self, expr: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        match expr {
            Expr::Nested(inner) => return self.expr(inner, names),
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                for condition in [&mut *left, &mut *right] {
                    ask_of_pairs(condition);
                    check_condition(condition, names)?;
                }
                self.expr(left, names)?;
                return self.expr(right, names);
            }
            Expr::InSubquery { .. } => return self.in_query(expr, names),
            _ => {}
        }
        let names = &Names { filters: false, ..*names };
        match expr {
            Expr::Identifier(name) => {
                *expr = names.column(name)?;
                Ok(())
            }
            Expr::CompoundIdentifier(parts) => {
                *expr = names.scope.resolve(parts)?.expr;
                Ok(())
            }
            Expr::Value(value) => check_value(value),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => self.expr(inner, names),
            Expr::IsTrue(inner) | Expr::IsNotTrue(inner) | Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => {
                self.condition(inner, names)
            }
            Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => self.condition(inner, names),
            Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => {
                self.expr(a, names)?;
                self.expr(b, names)
            }
            Expr::InList { expr: of, .. } if matches!(**of, Expr::Tuple(_)) => {
                within::in_tuples(expr)?;
                self.expr(expr, names)
            }
            Expr::InList { expr, list, .. } => {
                let of = Compared::of(expr, names);
                self.expr(expr, names)?;
                list.iter_mut().try_for_each(|item| self.expr(item, names).and_then(|()| of.with(item)))
            }
            Expr::Exists { subquery, .. } => self.query(subquery, Some(names.scope), false).map(drop),
            Expr::Subquery(query) => self.value_of_query(query, names),
            Expr::Between { expr, low, high, .. } => {
                let of = Compared::of(expr, names);
                [&mut *expr, low, high].into_iter().try_for_each(|part| self.expr(part, names))?;
                [low, high].into_iter().try_for_each(|end| of.with(end))
            }
            Expr::Like { any: false, expr, pattern, escape_char, .. }
            | Expr::ILike { any: false, expr, pattern, escape_char, .. } => {
                self.expr(expr, names)?;
                self.expr(pattern, names)?;
                escapes(pattern, escape_char.take())
            }
            Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
                self.expr(left, names)?;
                self.expr(right, names)
            }
            Expr::BinaryOp { .. } => self.binary(expr, names),
            Expr::UnaryOp { .. } => self.unary(expr, names),
            Expr::Function(function) => {
                let missing = self.missing_in(function, names);
                self.function(function, names)?;
                if let Some(nan) = missing {
                    *expr = call("nullif", vec![take(expr), nan]);
                }
                Ok(())
            }
            Expr::Cast { .. } | Expr::TypedString(_) => {
                if let Expr::Cast { expr: inner, .. } = expr {
                    self.expr(inner, names)?;
                }
                casts::rewrite(expr)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                for when in conditions {
                    match operand {
                        Some(_) => self.expr(&mut when.condition, names)?,
                        None => self.condition(&mut when.condition, names)?,
                    }
                    self.expr(&mut when.result, names)?;
                }
                operand.iter_mut().chain(else_result).try_for_each(|part| self.expr(part, names))
            }
            Expr::CompoundFieldAccess { .. } => self.element(expr, names),
            Expr::Array(array) => array.elem.iter_mut().try_for_each(|item| self.expr(item, names)),
            _ => self.borrowed(expr, names),
        }
    }

    /// What SQL has and ADQL does not, and people write nevertheless.
    fn borrowed(&mut self, expr: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        let place = expr.span().start;
        match expr {
            Expr::Extract { expr, .. } => self.expr(expr, names),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                self.expr(expr, names)?;
                substring_from.iter_mut().chain(substring_for).try_for_each(|part| self.expr(part, names))
            }
            Expr::Position { expr, r#in } => {
                self.expr(expr, names)?;
                self.expr(r#in, names)
            }
            Expr::Trim { trim_what, expr, trim_characters, .. } => {
                self.expr(expr, names)?;
                trim_what.iter_mut().try_for_each(|part| self.expr(part, names))?;
                trim_characters.iter_mut().flatten().try_for_each(|part| self.expr(part, names))
            }
            Expr::Interval(interval) => self.expr(&mut interval.value, names),
            Expr::Tuple(_) => Err(Mistake::at("a list of values stands only after IN", place)),
            Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => {
                Err(Mistake::at("GROUP BY takes columns and expressions", place))
            }
            Expr::Like { .. } | Expr::ILike { .. } => Err(Mistake::at("LIKE takes one pattern", place)),
            other => Err(Mistake::at(format!("{} is not ADQL", short(&other.to_string())), place)),
        }
    }

    fn binary(&mut self, expr: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        let Expr::BinaryOp { left, op, right } = expr else { return Ok(()) };
        use BinaryOperator::{Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Plus, StringConcat};
        let compares = matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq);
        let place = left.span().start;
        let (of_left, of_right) = (Compared::of(left, names), Compared::of(right, names));
        for operand in [&mut *left, right] {
            // What a number is compared with may be larger than itself can be.
            if !(compares && is_number(operand)) {
                self.expr(operand, names)?;
            }
        }
        if compares {
            of_left.with(right)?;
            of_right.with(left)?;
        }
        let bits = match op {
            Eq | NotEq | Lt | LtEq | Gt | GtEq => return Ok(()),
            Plus | Minus | Multiply | Divide | Modulo | StringConcat => return Ok(()),
            BinaryOperator::BitwiseAnd => "adql_bit_and",
            BinaryOperator::BitwiseOr => "adql_bit_or",
            BinaryOperator::BitwiseXor => "adql_bit_xor",
            other => return Err(Mistake::at(format!("there is no operator {other} in ADQL"), place)),
        };
        *expr = call(bits, vec![take(left), take(right)]);
        Ok(())
    }

    fn unary(&mut self, expr: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        let Expr::UnaryOp { op, expr: inner } = expr else { return Ok(()) };
        match op {
            UnaryOperator::Not => self.condition(inner, names),
            UnaryOperator::Minus if is_least(inner) => Ok(()),
            UnaryOperator::Minus if Compared::of(inner, names).is_unsigned() => {
                self.expr(inner, names)?;
                let zero = Expr::value(Value::Number("0".to_owned(), false));
                let minus = BinaryOperator::Minus;
                *expr = Expr::Nested(Box::new(Expr::BinaryOp {
                    left: Box::new(zero),
                    op: minus,
                    right: Box::new(take(inner)),
                }));
                Ok(())
            }
            UnaryOperator::Plus | UnaryOperator::Minus => self.expr(inner, names),
            UnaryOperator::BitwiseNot => {
                self.expr(inner, names)?;
                *expr = call("adql_bit_not", vec![take(inner)]);
                Ok(())
            }
            other => Err(Mistake::at(format!("there is no operator {other} in ADQL"), inner.span().start)),
        }
    }

    /// What stands for a missing element of an array that is unnested: as in any column, NaN is none.
    fn missing_in(&self, function: &Function, names: &Names<'_>) -> Option<Expr> {
        let FunctionArguments::List(list) = &function.args else { return None };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] = &list.args[..] else { return None };
        let unnests = function.name.to_string().eq_ignore_ascii_case("unnest");
        let (_, _, kind) = Compared::of(array, names).column.filter(|_| unnests)?;
        let real = match item_of(&kind)?.data_type() {
            DataType::Float32 => ast::DataType::Real,
            DataType::Float64 => ast::DataType::DoublePrecision,
            _ => return None,
        };
        let nan = Box::new(Expr::value(Value::SingleQuotedString("NaN".to_owned())));
        Some(Expr::Cast { kind: CastKind::Cast, expr: nan, data_type: real, array: false, format: None })
    }

    /// `t.flux[3]`, whose name and brackets are one chain in the tree.
    fn element(&mut self, expr: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        let place = expr.span().start;
        let Expr::CompoundFieldAccess { root, access_chain } = expr else { return Ok(()) };
        if access_chain.len() > DIMENSIONS {
            return Err(Mistake::at(format!("an array has at most {DIMENSIONS} dimensions"), place));
        }
        let mut array = take(root);
        for access in std::mem::take(access_chain) {
            array = match (access, array) {
                (AccessExpr::Dot(Expr::Identifier(part)), Expr::Identifier(first)) => {
                    Expr::CompoundIdentifier(vec![first, part])
                }
                (AccessExpr::Dot(Expr::Identifier(part)), Expr::CompoundIdentifier(mut parts)) => {
                    parts.push(part);
                    Expr::CompoundIdentifier(parts)
                }
                (AccessExpr::Subscript(Subscript::Index { index }), array) => {
                    check_index(&index)?;
                    call("adql_element", vec![array, index])
                }
                _ => return Err(Mistake::at("an element of an array is written flux[3]", place)),
            };
        }
        self.elements(&mut array, names)?;
        *expr = array;
        Ok(())
    }

    /// Resolves what [`Self::element`] has built, whose calls are by names of the plan already.
    fn elements(&mut self, array: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        match array {
            Expr::Function(function) if function.name.to_string() == "adql_element" => {
                let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
                for argument in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(part)) = argument {
                        self.elements(part, names)?;
                    }
                }
                Ok(())
            }
            other => self.expr(other, names),
        }
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

fn check_index(index: &Expr) -> Result<(), Mistake> {
    let wrong = match index {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
            digits.parse::<u64>().map_or(true, |position| position == 0)
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, .. } => true,
        _ => false,
    };
    match wrong {
        true => Err(Mistake::at("the elements of an array are counted from 1", index.span().start)),
        false => Ok(()),
    }
}

/// Whether this is the magnitude of the least BIGINT, which itself is none.
fn is_least(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. })
        if digits.parse() == Ok(i64::MIN.unsigned_abs()))
}

fn check_value(value: &mut ValueWithSpan) -> Result<(), Mistake> {
    match &mut value.value {
        // ADQL has no whole number beyond BIGINT.
        Value::Number(digits, _) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            if digits.parse::<i64>().is_err() {
                digits.push_str("e0");
            }
            Ok(())
        }
        Value::Number(..) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => Ok(()),
        other => Err(Mistake::at(format!("{other} is no value of ADQL"), value.span.start)),
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

/// `XMATCH(…)` as a condition, which it only ever is: `XMATCH(…) = 1`.
fn ask_of_pairs(expr: &mut Expr) {
    let Expr::Function(function) = bare(expr) else { return };
    let name = function.name.to_string();
    if ["XMATCH", "XMATCH_MUTUAL"].iter().any(|known| known.eq_ignore_ascii_case(&name)) {
        let (left, one) = (Box::new(take(expr)), Box::new(Expr::value(Value::Number("1".to_owned(), false))));
        *expr = Expr::BinaryOp { left, op: BinaryOperator::Eq, right: one };
    }
}

/// Refuses what is no condition, which the planner would do in its own words.
fn check_condition(expr: &Expr, names: &Names<'_>) -> Result<(), Mistake> {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus, StringConcat};
    let place = expr.span().start;
    match bare(expr) {
        Expr::Function(function) => {
            let Some(known) = functions::find(&function.name.to_string()) else { return Ok(()) };
            let name = known.declaration.name;
            let numbers = ["INTEGER", "SMALLINT", "BIGINT", "DOUBLE", "DOUBLE PRECISION", "REAL"];
            let number = |form: &functions::Form| numbers.contains(&form.returns);
            if ["CONTAINS", "INTERSECTS"].contains(&name) || known.declaration.forms.iter().any(number) {
                let sentence = match known.declaration.forms.iter().any(|form| form.returns.starts_with("DOUBLE")) {
                    true => format!("{name} answers a number and is no condition: compare it, as in {name}(…) < 1"),
                    false => format!("{name} answers 1 or 0 and is no condition: compare it, as in 1 = {name}(…)"),
                };
                return Err(Mistake::at(sentence, place));
            }
            Ok(())
        }
        Expr::Identifier(name) => check_column(std::slice::from_ref(name), names),
        Expr::CompoundIdentifier(parts) => check_column(parts, names),
        Expr::Value(ValueWithSpan { value: Value::Number(..) | Value::SingleQuotedString(_), .. }) => {
            Err(Mistake::at(format!("{} is no condition: compare it with something", bare(expr)), place))
        }
        Expr::BinaryOp { op: Plus | Minus | Multiply | Divide | Modulo | StringConcat, .. } => Err(Mistake::at(
            format!("{} is no condition: compare it with something", short(&bare(expr).to_string())),
            place,
        )),
        _ => Ok(()),
    }
}

fn check_column(parts: &[datafusion::sql::sqlparser::ast::Ident], names: &Names<'_>) -> Result<(), Mistake> {
    match names.scope.resolve(parts) {
        Ok(found) if found.column.kind.as_ref().is_some_and(|kind| *kind != DataType::Boolean) => {
            let name = dotted(parts);
            Err(Mistake::at(format!("{name} is no condition: compare it with something"), parts[0].span.start))
        }
        _ => Ok(()),
    }
}

/// What is compared with something, if it is a column of a known type.
struct Compared {
    column: Option<(String, Location, DataType)>,
}

impl Compared {
    fn of(expr: &Expr, names: &Names<'_>) -> Self {
        let parts = match bare(expr) {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(parts) => parts,
            _ => return Self { column: None },
        };
        let kind = names.scope.resolve(parts).ok().and_then(|found| found.column.kind);
        Self { column: kind.map(|kind| (dotted(parts), parts[0].span.start, kind)) }
    }

    fn is_unsigned(&self) -> bool {
        self.column.as_ref().is_some_and(|(_, _, kind)| kind.is_unsigned_integer())
    }

    /// Makes a literal one that the column can be compared with. ADQL has no type for truth values, which are therefore
    /// compared with 1 and 0 or with texts, and no literals of times, which are texts.
    fn with(&self, other: &mut Expr) -> Result<(), Mistake> {
        let Some((name, place, kind)) = &self.column else { return Ok(()) };
        let wrong = |what: &str| Err(Mistake::at(format!("{name} {what}"), *place));
        let text = matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        if text && is_number(other) {
            return wrong(&format!("is a text: it is compared with texts, as in '{}'", bare(other)));
        }
        let Expr::Value(ValueWithSpan { value, .. }) = other else { return Ok(()) };
        match (kind, &*value) {
            (DataType::Boolean, _) => {
                if let Some(said) = truth(value) {
                    *value = Value::Boolean(said);
                }
            }
            (_, Value::Boolean(_)) => return wrong("is neither true nor false"),
            (DataType::Timestamp(..), Value::SingleQuotedString(_)) => {
                *other = call("adql_to_timestamp", vec![take(other)]);
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_number(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_number(expr),
        _ => false,
    }
}

/// What a literal says of a truth value.
fn truth(value: &Value) -> Option<bool> {
    let (Value::Number(text, _) | Value::SingleQuotedString(text)) = value else { return None };
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "1" => Some(true),
        "f" | "false" | "0" => Some(false),
        _ => None,
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The pattern as the planner reads it, whose letter of escape is the backslash. In ADQL that is a letter like others, and
/// none escapes unless ESCAPE, an extension, names one.
fn escapes(pattern: &mut Expr, escape: Option<ValueWithSpan>) -> Result<(), Mistake> {
    let place = escape.as_ref().map_or_else(|| pattern.span(), |escape| escape.span).start;
    let escape = match escape.map(|escape| escape.value.into_string().unwrap_or_default()) {
        None => None,
        Some(text) if text.chars().count() == 1 => text.chars().next(),
        Some(_) => return Err(Mistake::at("ESCAPE takes one character, as in LIKE '10!%' ESCAPE '!'", place)),
    };
    match pattern {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => {
            *text = escaped(text, escape).ok_or_else(|| {
                Mistake::at("the pattern ends with the character of ESCAPE, which stands before another", place)
            })?;
        }
        Expr::Value(_) => {}
        _ if escape.is_some() => {
            return Err(Mistake::at("ESCAPE stands behind a pattern in quotes, and behind no expression", place));
        }
        computed => {
            let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
            *computed = call("replace", vec![take(computed), text(r"\"), text(r"\\")]);
        }
    }
    Ok(())
}

fn escaped(pattern: &str, escape: Option<char>) -> Option<String> {
    let mut escaped = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        let (mark, letter) = if Some(letter) == escape { (true, letters.next()?) } else { (letter == '\\', letter) };
        escaped.extend(mark.then_some('\\'));
        escaped.push(letter);
    }
    Some(escaped)
}
