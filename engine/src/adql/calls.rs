//! Calls of functions: by the names of ADQL, with as many arguments as they take.
//!
//! ```text
//!   CONTAINS(POINT('ICRS', ra, dec), …)   →   adql_contains(adql_point(ra, dec), …)
//! ```
//! What is not declared by us may still be a function of the planner; what is neither is refused with the nearest name.

use datafusion::sql::sqlparser::{
    ast::{
        DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
        FunctionArguments, Ident, ObjectName, Value, ValueWithSpan, WindowType,
    },
    tokenizer::Span,
};

use super::resolve::{Names, Resolver};
use crate::{
    Mistake,
    error::nearest,
    functions::{self, Declaration, Form},
};

/// A call in the plan.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

impl Resolver<'_> {
    pub(super) fn function(&mut self, function: &mut Function, names: &Names<'_>) -> Result<(), Mistake> {
        let name = plain_name(function)?;
        match functions::find(&name.value) {
            Some(known) => {
                system(&known.declaration, function)?;
                check_count(&known.declaration, function, name.span)?;
                literal(&known.declaration, function, name.span)?;
                function.name = ObjectName::from(vec![Ident::with_span(name.span, known.declaration.planned)]);
            }
            None => {
                let folded = name.value.to_lowercase();
                if !functions::known_to_planner(&folded) {
                    return Err(no_function(&name));
                }
                function.name = ObjectName::from(vec![Ident::with_span(name.span, folded)]);
            }
        }
        if function.over.is_none() && functions::is_only_over(&function.name.to_string()) {
            let sentence = format!("{} stands before OVER, as in {}() OVER (ORDER BY …)", name.value, name.value);
            return Err(Mistake::at(sentence, name.span.start));
        }
        if names.one_row.is_some() && function.name.to_string() == "unnest" {
            let sentence = "UNNEST stands in the list after SELECT: ask FROM (SELECT UNNEST(…) AS item …) AS q";
            return Err(Mistake::at(sentence, name.span.start));
        }
        let over_rows = function.over.is_none() && functions::is_aggregate(&function.name.to_string());
        match names.one_row {
            Some(place) if over_rows || function.over.is_some() => Err(of_many_rows(&name, place, over_rows)),
            _ if over_rows => self.arguments(function, &names.of_one_row(AGGREGATE)),
            _ => self.arguments(function, names),
        }
    }

    fn arguments(&mut self, function: &mut Function, names: &Names<'_>) -> Result<(), Mistake> {
        let unusual = |what: &str| Mistake::new(format!("{what} is not available in a call"));
        if function.uses_odbc_syntax || function.parameters != FunctionArguments::None {
            return Err(unusual("a second list of arguments"));
        }
        match &mut function.args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(query) => drop(self.query(query, Some(names.scope), false)?),
            FunctionArguments::List(list) => {
                let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
                for argument in &mut list.args {
                    match argument {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr, names)?,
                        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if distinct => {
                            return Err(unusual("DISTINCT *"));
                        }
                        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {}
                        _ => return Err(unusual("a named argument or table.*")),
                    }
                }
                for clause in &mut list.clauses {
                    match clause {
                        FunctionArgumentClause::OrderBy(order) => {
                            order.iter_mut().try_for_each(|key| self.expr(&mut key.expr, names))?;
                        }
                        FunctionArgumentClause::IgnoreOrRespectNulls(_) => {}
                        _ => return Err(unusual("this clause")),
                    }
                }
            }
        }
        if let Some(filter) = &mut function.filter {
            self.condition(filter, names)?;
        }
        function.within_group.iter_mut().try_for_each(|key| self.expr(&mut key.expr, names))?;
        match &mut function.over {
            None => Ok(()),
            Some(WindowType::NamedWindow(_)) => Err(unusual("the name of a window")),
            Some(WindowType::WindowSpec(window)) if window.window_name.is_some() => {
                Err(unusual("the name of a window"))
            }
            Some(WindowType::WindowSpec(window)) => {
                window.partition_by.iter_mut().try_for_each(|expr| self.expr(expr, names))?;
                window.order_by.iter_mut().try_for_each(|key| self.expr(&mut key.expr, names))
            }
        }
    }
}

fn plain_name(function: &Function) -> Result<Ident, Mistake> {
    match function.name.0.as_slice() {
        [name] => name.as_ident().cloned().ok_or_else(|| Mistake::new("a function is called by its name")),
        _ => {
            let written = function.name.to_string();
            let place = function.name.0[0].as_ident().map_or(Span::empty(), |part| part.span);
            Err(Mistake::at(format!("there is no function {written}; functions have no schema"), place.start))
        }
    }
}

/// What an aggregate is given is of one row, as what WHERE is given.
const AGGREGATE: &str = "an aggregate";

fn of_many_rows(name: &Ident, place: &str, aggregate: bool) -> Mistake {
    let what = if aggregate { "is of many rows" } else { "OVER (…) looks at other rows" };
    let instead = match place {
        "WHERE" if aggregate => "conditions on groups stand after HAVING",
        _ => "compute it in FROM (SELECT …) AS q, and use its column",
    };
    Mistake::at(format!("{} {what} and cannot stand in {place}: {instead}", name.value), name.span.start)
}

fn no_function(name: &Ident) -> Mistake {
    let sentence = match nearest(&name.value, functions::names()) {
        Some(near) => format!("there is no function {}; did you mean {near}?", name.value),
        None => format!("there is no function {}", name.value),
    };
    Mistake::at(sentence, name.span.start)
}

fn arguments(function: &mut Function) -> Option<&mut Vec<FunctionArg>> {
    match &mut function.args {
        FunctionArguments::List(list) => Some(&mut list.args),
        _ => None,
    }
}

/// Takes the coordinate system off a shape. It is deprecated, may be left out, and is never a conversion.
fn system(known: &Declaration, function: &mut Function) -> Result<(), Mistake> {
    if !["POINT", "CIRCLE", "BOX", "POLYGON"].contains(&known.name) {
        return Ok(());
    }
    let Some(arguments) = arguments(function) else { return Ok(()) };
    let Some((system, span)) = arguments.first().and_then(text_of) else { return Ok(()) };
    let frame = system.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    if !["", "ICRS", "UNKNOWNFRAME"].contains(&frame.as_str()) {
        let sentence = format!(
            "coordinates are ICRS; '{system}' is not available in {}: leave it out, and convert with ivo_geom_transform",
            known.name
        );
        return Err(Mistake::at(sentence, span.start));
    }
    arguments.remove(0);
    Ok(())
}

/// The arguments that the standard wants as literals, since the plan depends on them.
fn literal(known: &Declaration, function: &mut Function, span: Span) -> Result<(), Mistake> {
    let (at, sentence) = match known.name {
        "REGION" => (0, "REGION takes a text, as in REGION('CIRCLE ICRS 10 20 1'), and no expression"),
        "IN_UNIT" => (1, "IN_UNIT takes the unit as a text, as in IN_UNIT(ra, 'rad'), and no expression"),
        _ => return Ok(()),
    };
    match arguments(function).and_then(|arguments| arguments.get(at)).and_then(text_of) {
        Some(_) => Ok(()),
        None => Err(Mistake::at(sentence, span.start)),
    }
}

fn text_of(argument: &FunctionArg) -> Option<(String, Span)> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            span,
        }))) => Some((text.clone(), *span)),
        _ => None,
    }
}

fn check_count(known: &Declaration, function: &mut Function, span: Span) -> Result<(), Mistake> {
    let count = arguments(function).map_or(0, |arguments| arguments.len());
    if known.forms.is_empty() || known.forms.iter().any(|form| takes(form, count)) {
        return Ok(());
    }
    let forms: Vec<String> = known
        .forms
        .iter()
        .map(|form| {
            let names: Vec<&str> = form.arguments.iter().map(|(name, _)| *name).collect();
            format!("{}({})", known.name, names.join(", "))
        })
        .collect();
    let given = match count {
        0 => "no argument".to_owned(),
        1 => "one argument".to_owned(),
        many => format!("{many} arguments"),
    };
    Err(Mistake::at(format!("{} with {given}: it is called as {}", known.name, forms.join(" or ")), span.start))
}

fn takes(form: &Form, count: usize) -> bool {
    let repeats = form.arguments.last().is_some_and(|(name, _)| name.ends_with("..."));
    count == form.arguments.len() || repeats && count + 1 >= form.arguments.len()
}
