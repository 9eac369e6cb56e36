//! Queries, their parts, and what each of them answers.
//!
//! One walk over the syntax tree gives every name what it stands for, replaces what the planner does not know, and refuses
//! what the standard forbids. It knows which columns each part of a query has, so it can say what was meant.

use std::{cell::OnceCell, collections::HashMap, rc::Rc};

use datafusion::sql::sqlparser::ast::{
    Cte, Expr, GroupByExpr, Ident, LimitClause, ObjectName, OrderBy, OrderByKind, Query, Select, SelectFlavor,
    SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned, TopQuantity, Value, ValueWithSpan,
};

use super::{
    items, order,
    scope::{Column, Scope, Tree, check_reserved, folded, quoted, same_name},
    sets,
};
use crate::{Mistake, TableSet};

/// A query that WITH gives a name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: Ident,
    pub(super) columns: Rc<[Column]>,
    /// How many tables it reads: it is planned anew wherever it is used.
    pub(super) scans: usize,
}

/// The walk.
pub(super) struct Resolver<'t> {
    pub(super) tables: &'t TableSet,
    pub(super) named: Vec<Named>,
    pub(super) known: HashMap<[String; 2], Rc<[Column]>>,
    pub(super) scans: usize,
    /// The table that was named and is not there.
    pub(super) unknown: OnceCell<String>,
}

/// The names that an expression may use: columns, and behind them what the answer calls its own.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) labels: &'a [Column],
    /// What the answer will call its own, for advice.
    pub(super) later: &'a [Column],
    /// The clause, or what else it is, that looks at one row at a time and has no place for an aggregate.
    pub(super) one_row: Option<&'static str>,
    /// Whether this is a condition of WHERE, or joined to one by AND or OR: what is unknown is then as good as false.
    pub(super) filters: bool,
    /// Whether columns are told by their tables, wherever the expression will stand.
    pub(super) exactly: bool,
}

impl<'a> Names<'a> {
    pub(super) fn of(scope: &'a Scope<'a>) -> Self {
        Self { scope, labels: &[], later: &[], one_row: None, filters: false, exactly: false }
    }

    pub(super) fn with_labels(self, labels: &'a [Column]) -> Self {
        Self { labels, ..self }
    }

    pub(super) fn of_one_row(self, place: &'static str) -> Self {
        Self { one_row: Some(place), ..self }
    }

    /// What stands for a name without a table. The planner takes it for one of the answer's first, so it must be told
    /// of a column by its table where the answer calls something else so.
    pub(super) fn column(&self, name: &Ident) -> Result<Expr, Mistake> {
        let written = std::slice::from_ref(name);
        match (self.scope.resolve(written), label(self.labels, name)) {
            (Ok(_), _) if self.exactly => Ok(self.scope.resolve_exactly(written)?.expr),
            (Ok(found), _) => {
                let other = |label: &Column| label.planned == found.column.planned && !label.plain;
                match self.labels.iter().any(other) {
                    true => Ok(self.scope.resolve_exactly(written)?.expr),
                    false => Ok(found.expr),
                }
            }
            (Err(_), Some(label)) => Ok(Expr::Identifier(quoted(&label.planned, name.span))),
            (Err(_), None) if label(self.later, name).is_some() && !self.scope.knows(name) => Err(named_later(name)),
            (Err(mistake), None) => Err(mistake),
        }
    }
}

fn named_later(name: &Ident) -> Mistake {
    let name_of = &name.value;
    let sentence = format!(
        "WHERE comes before the names that AS gives, {name_of} too: repeat the expression, or ask FROM (SELECT …) AS q WHERE q.{name_of} …"
    );
    Mistake::at(sentence, name.span.start)
}

fn label<'a>(labels: &'a [Column], name: &Ident) -> Option<&'a Column> {
    let exact = labels.iter().find(|label| label.name == name.value);
    exact.or_else(|| match name.quote_style {
        Some(_) => None,
        None => labels.iter().find(|label| label.name.eq_ignore_ascii_case(&name.value)),
    })
}

impl<'t> Resolver<'t> {
    pub(super) fn new(tables: &'t TableSet) -> Self {
        Self { tables, named: Vec::new(), known: HashMap::new(), scans: 0, unknown: OnceCell::new() }
    }

    /// Resolves a query; the answer's columns come back.
    pub(super) fn query(
        &mut self,
        query: &mut Query,
        around: Option<&Scope<'_>>,
        outermost: bool,
    ) -> Result<Vec<Column>, Mistake> {
        self.with(query, outermost)?;
        only_adql(query)?;
        check_limits(query.limit_clause.as_ref())?;
        let top = match query.body.as_mut() {
            SetExpr::Select(select) => take_top(select)?,
            _ => None,
        };
        if let Some(rows) = top {
            limit(query, rows)?;
        }
        match query.body.as_mut() {
            SetExpr::Select(select) => {
                let columns = self.select(select, around, query.order_by.as_mut())?;
                order::tell_apart(query, &columns);
                Ok(columns)
            }
            body => {
                let columns = self.set(body, around)?;
                if let Some(order) = &mut query.order_by {
                    let empty = Scope::new(Tree::default(), None);
                    self.order(order, &empty, &columns)?;
                }
                Ok(columns)
            }
        }
    }

    fn with(&mut self, query: &mut Query, outermost: bool) -> Result<(), Mistake> {
        let Some(with) = &mut query.with else { return Ok(()) };
        let place = with.with_token.0.span.start;
        if !outermost {
            return Err(Mistake::at("WITH stands once, at the very beginning of the query", place));
        }
        if with.recursive {
            return Err(Mistake::at("WITH RECURSIVE is not in ADQL", place));
        }
        for Cte { alias, query, from, materialized, .. } in &mut with.cte_tables {
            check_reserved(&alias.name)?;
            if alias.name.value.contains('.') {
                // The planner would take the table of this schema for it.
                return Err(Mistake::at("a name that WITH gives has no dot in it", alias.name.span.start));
            }
            if from.is_some() || materialized.is_some() {
                return Err(Mistake::at("WITH is written WITH name AS (SELECT …)", alias.name.span.start));
            }
            if self.named.iter().any(|named| same_name(&named.name, &alias.name)) {
                let sentence = format!("WITH names two queries {}", alias.name.value);
                return Err(Mistake::at(sentence, alias.name.span.start));
            }
            let before = std::mem::take(&mut self.scans);
            let mut columns = self.query(query, None, false)?;
            rename(&mut columns, alias.columns.iter_mut().map(|column| &mut column.name), &alias.name)?;
            let scans = std::mem::replace(&mut self.scans, before);
            // The planner looks a name up as it is written.
            let written = alias.name.clone();
            alias.name = folded(&written);
            self.named.push(Named { name: written, columns: columns.into(), scans });
        }
        Ok(())
    }

    /// An operand, or several.
    fn set(&mut self, body: &mut SetExpr, around: Option<&Scope<'_>>) -> Result<Vec<Column>, Mistake> {
        match body {
            SetExpr::Select(select) => {
                let top = take_top(select)?;
                let columns = self.select(select, around, None)?;
                if let Some(rows) = top {
                    let operand = std::mem::replace(body, sets::nothing());
                    let mut query = sets::wrapped(operand);
                    limit(&mut query, rows)?;
                    *body = SetExpr::Query(Box::new(query));
                }
                Ok(columns)
            }
            SetExpr::Query(query) => self.query(query, around, false),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let (name, place) = (op.to_string(), right.span().start);
                if *op == SetOperator::Minus {
                    return Err(Mistake::at("MINUS is called EXCEPT in ADQL", place));
                }
                if !matches!(set_quantifier, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None) {
                    return Err(Mistake::at(format!("{name} matches columns by their order, not by name"), place));
                }
                let lefts = self.set(left, around)?;
                let rights = self.set(right, around)?;
                if lefts.len() != rights.len() {
                    let (a, b) = (lefts.len(), rights.len());
                    let sentence = format!("the two sides of {name} have {a} and {b} columns; they must have as many");
                    return Err(Mistake::at(sentence, place));
                }
                if *set_quantifier == SetQuantifier::All && *op != SetOperator::Union {
                    *body = sets::counted(left, *op, right, &lefts, &rights)?;
                }
                Ok(lefts)
            }
            other => Err(Mistake::at("ADQL only asks: a SELECT is expected here", other.span().start)),
        }
    }

    fn select(
        &mut self,
        select: &mut Select,
        around: Option<&Scope<'_>>,
        order: Option<&mut OrderBy>,
    ) -> Result<Vec<Column>, Mistake> {
        only_clauses(select)?;
        let tree = self.from(&mut select.from, around)?;
        let scope = Scope::new(tree, around);
        let labels = items::resolve(self, select, &scope)?;
        if let Some(condition) = &mut select.selection {
            let names = Names { later: &labels, filters: true, ..Names::of(&scope).of_one_row("WHERE") };
            self.condition(condition, &names)?;
        }
        let names = Names::of(&scope).with_labels(&labels);
        match &mut select.group_by {
            GroupByExpr::Expressions(terms, modifiers) if modifiers.is_empty() => {
                check_keys("GROUP BY", terms.len(), terms.last())?;
                let names = names.of_one_row("GROUP BY");
                terms.iter_mut().try_for_each(|term| self.group(term, &names))?;
            }
            _ => return Err(Mistake::new("GROUP BY takes columns and expressions")),
        }
        if let Some(condition) = &mut select.having {
            self.condition(condition, &names)?;
        }
        if let Some(order) = order {
            self.order(order, &scope, &labels)?;
            if select.distinct.is_some() {
                by_answers(order, &select.projection);
            }
        }
        Ok(labels)
    }

    /// A number is the position of a column of the answer.
    fn group(&mut self, term: &mut Expr, names: &Names<'_>) -> Result<(), Mistake> {
        match term {
            Expr::Value(value) if is_number(value) => check_position("GROUP BY", value, names.labels),
            term => self.expr(term, names),
        }
    }

    /// A name alone is first one of the answer's; in expressions, names are first columns.
    fn order(&mut self, order: &mut OrderBy, scope: &Scope<'_>, labels: &[Column]) -> Result<(), Mistake> {
        let OrderByKind::Expressions(keys) = &mut order.kind else {
            return Err(Mistake::new("ORDER BY takes columns, their positions, and expressions"));
        };
        let names = Names::of(scope).with_labels(labels);
        check_keys("ORDER BY", keys.len(), keys.last().map(|key| &key.expr))?;
        for key in keys {
            if key.with_fill.is_some() {
                return Err(Mistake::at("WITH FILL is not in ADQL", key.expr.span().start));
            }
            match &mut key.expr {
                Expr::Identifier(name) => match label(labels, name) {
                    Some(label) => {
                        check_reserved(name)?;
                        *name = quoted(&label.planned, name.span);
                    }
                    None => self.expr(&mut key.expr, &names)?,
                },
                Expr::Value(value) if is_number(value) => check_position("ORDER BY", value, labels)?,
                _ => self.expr(&mut key.expr, &names)?,
            }
        }
        Ok(())
    }
}

/// Of rows that are told apart, only the answer's columns are left to order by.
fn by_answers(order: &mut OrderBy, answers: &[SelectItem]) {
    let OrderByKind::Expressions(keys) = &mut order.kind else { return };
    for key in keys {
        let same = answers.iter().find_map(|answer| match answer {
            SelectItem::ExprWithAlias { expr, alias } if *expr == key.expr => Some(alias),
            _ => None,
        });
        if let Some(alias) = same {
            key.expr = Expr::Identifier(alias.clone());
        }
    }
}

fn is_number(value: &ValueWithSpan) -> bool {
    matches!(value.value, Value::Number(..))
}

/// How many expressions GROUP BY and ORDER BY may have.
const KEYS: usize = 500;

fn check_keys(clause: &str, count: usize, last: Option<&Expr>) -> Result<(), Mistake> {
    match last {
        Some(last) if count > KEYS => {
            Err(Mistake::at(format!("{clause} takes at most {KEYS} expressions"), last.span().start))
        }
        _ => Ok(()),
    }
}

fn check_position(clause: &str, position: &ValueWithSpan, labels: &[Column]) -> Result<(), Mistake> {
    let ValueWithSpan { value, span } = position;
    match value.to_string().parse() {
        Ok(at) if (1..=labels.len()).contains(&at) => Ok(()),
        _ => {
            let sentence = format!("{clause} {value}: the answer has the columns 1 to {}", labels.len());
            Err(Mistake::at(sentence, span.start))
        }
    }
}

fn rename<'a>(
    columns: &mut [Column],
    names: impl ExactSizeIterator<Item = &'a mut Ident>,
    table: &Ident,
) -> Result<(), Mistake> {
    if names.len() == 0 {
        return Ok(());
    }
    if names.len() != columns.len() {
        let sentence = format!("{} has {} columns and is given {} names", table.value, columns.len(), names.len());
        return Err(Mistake::at(sentence, table.span.start));
    }
    for (column, name) in columns.iter_mut().zip(names) {
        check_reserved(name)?;
        *name = quoted(&name.value, name.span);
        column.name.clone_from(&name.value);
        column.planned.clone_from(&name.value);
    }
    Ok(())
}

/// Refuses clauses of other languages.
fn only_adql(query: &Query) -> Result<(), Mistake> {
    let clauses = [
        ("FETCH", query.fetch.is_some(), "the first rows are asked for by SELECT TOP 10 …"),
        ("FOR", !query.locks.is_empty() || query.for_clause.is_some(), "ADQL only asks"),
        ("SETTINGS", query.settings.is_some(), "ADQL has no settings"),
        ("FORMAT", query.format_clause.is_some(), "the format is chosen beside the query"),
        ("|>", !query.pipe_operators.is_empty(), "ADQL has no pipes"),
    ];
    match clauses.into_iter().find(|(_, written, _)| *written) {
        Some((clause, _, why)) => Err(Mistake::new(format!("{clause} is not available: {why}"))),
        None => Ok(()),
    }
}

fn only_clauses(select: &Select) -> Result<(), Mistake> {
    let place = select.select_token.0.span.start;
    let foreign = [
        ("INTO", select.into.is_some()),
        ("LATERAL VIEW", !select.lateral_views.is_empty()),
        ("PREWHERE", select.prewhere.is_some()),
        ("CONNECT BY", !select.connect_by.is_empty()),
        ("CLUSTER BY", !select.cluster_by.is_empty()),
        ("DISTRIBUTE BY", !select.distribute_by.is_empty()),
        ("SORT BY", !select.sort_by.is_empty()),
        ("WINDOW", !select.named_window.is_empty()),
        ("QUALIFY", select.qualify.is_some()),
        ("SELECT AS", select.value_table_mode.is_some() || select.select_modifiers.is_some()),
        ("EXCLUDE", select.exclude.is_some()),
        ("FROM before SELECT", select.flavor != SelectFlavor::Standard),
        ("DISTINCT ON", matches!(select.distinct, Some(datafusion::sql::sqlparser::ast::Distinct::On(_)))),
    ];
    match foreign.into_iter().find(|(_, written)| *written) {
        Some((clause, _)) => Err(Mistake::at(format!("{clause} is not in ADQL"), place)),
        None => Ok(()),
    }
}

fn take_top(select: &mut Select) -> Result<Option<u64>, Mistake> {
    let Some(top) = select.top.take() else { return Ok(None) };
    match top.quantity {
        Some(TopQuantity::Constant(rows)) if !top.percent && !top.with_ties => Ok(Some(rows)),
        _ => Err(Mistake::at("TOP takes a whole number, as in SELECT TOP 10 …", select.select_token.0.span.start)),
    }
}

/// ```text
/// SELECT TOP n … OFFSET m   →   SELECT … LIMIT n OFFSET m
/// ```
fn limit(query: &mut Query, rows: u64) -> Result<(), Mistake> {
    let clause =
        query.limit_clause.get_or_insert(LimitClause::LimitOffset { limit: None, offset: None, limit_by: vec![] });
    match clause {
        LimitClause::LimitOffset { limit: limit @ None, .. } => {
            *limit = Some(Expr::value(Value::Number(rows.to_string(), false)));
            Ok(())
        }
        _ => Err(Mistake::new("TOP and LIMIT say the same thing: write one of them")),
    }
}

fn check_limits(clause: Option<&LimitClause>) -> Result<(), Mistake> {
    let whole = |expr: &Expr, what: &str| match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) if digits.parse::<u64>().is_ok() => Ok(()),
        other => Err(Mistake::at(
            format!("{what} takes a whole number that is not negative, as in {what} 100"),
            other.span().start,
        )),
    };
    match clause {
        None => Ok(()),
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
            limit.as_ref().map_or(Ok(()), |rows| whole(rows, "LIMIT"))?;
            offset.as_ref().map_or(Ok(()), |offset| whole(&offset.value, "OFFSET"))
        }
        Some(_) => Err(Mistake::new("LIMIT takes one number; what to pass over is told by OFFSET")),
    }
}

/// The name of a table in `table.*`.
pub(super) fn parts_of(name: &ObjectName) -> Vec<Ident> {
    name.0.iter().filter_map(|part| part.as_ident().cloned()).collect()
}
