//! The list after SELECT, and what the columns of the answer are called.
//!
//! A column is called by its alias, as it is written; else by its own name; else by the expression that computes it. A name
//! that is taken gets a number: astronomers join tables that all have a column `ra`, and want to tell them apart.
//!
//! ```text
//!   SELECT ra, COUNT(*)               →  SELECT ra, COUNT(*) AS "COUNT(*)"
//!   SELECT * FROM a JOIN b ON …       →  SELECT a.id, a.ra, b.id AS id_2, b.ra AS ra_2
//! ```
//! `*` is left to the planner unless its columns share names, or were joined by NATURAL or USING.

use std::collections::{HashMap, HashSet};

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Select, SelectItem, SelectItemQualifiedWildcardKind, Spanned, WildcardAdditionalOptions,
};

use super::{
    resolve::{Names, Resolver, parts_of},
    scope::{Column, Scope, Tree, Visible, check_reserved, folded, quoted},
};
use crate::Mistake;

/// Names of computed columns are cut at so many letters.
const LABEL: usize = 80;

/// How many columns a query may answer, and each query within it: planning takes longer than they are many.
pub(crate) const COLUMNS: usize = 5_000;

/// One column of the answer.
struct Answer {
    /// What computes it; nothing if `*` of the planner may.
    expr: Expr,
    column: Column,
    /// Whether the planner would call it by this name of its own accord.
    named: bool,
    /// The item of the list that it came from, and whether that is a `*`.
    item: usize,
    star: bool,
}

pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    select: &mut Select,
    scope: &Scope<'_>,
) -> Result<Vec<Column>, Mistake> {
    let mut answers = Vec::new();
    let mut merged = false;
    for (at, item) in select.projection.iter_mut().enumerate() {
        let place = item.span().start;
        match item {
            SelectItem::Wildcard(options) => {
                plain(options)?;
                if scope.tree.relations.is_empty() {
                    return Err(Mistake::at(
                        "* stands for the columns of the tables after FROM, and there is none",
                        place,
                    ));
                }
                merged |= scope.tree.visible.iter().any(|visible| visible.merged.is_some());
                answers.extend(scope.tree.visible.iter().map(|visible| star(&scope.tree, visible, at)));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                plain(options)?;
                let relation = scope.relation(&parts_of(name))?;
                let columns = scope.tree.relations[relation].columns.len();
                *name = ObjectName::from(scope.tree.relations[relation].names.iter().map(folded).collect::<Vec<_>>());
                answers.extend(
                    (0..columns).map(|column| star(&scope.tree, &Visible { relation, column, merged: None }, at)),
                );
            }
            SelectItem::UnnamedExpr(expr) => answers.push(unnamed(resolver, expr, scope, at)?),
            SelectItem::ExprWithAlias { expr, alias } => {
                check_reserved(alias)?;
                let of = column_of(expr, scope);
                resolver.expr(expr, &Names::of(scope))?;
                let plain = of.as_ref().is_some_and(|of| of.planned == alias.value);
                let named = plain && is_column(expr) && of.as_ref().is_some_and(|of| of.name == alias.value);
                let kind = of.and_then(|of| of.kind);
                let column = Column { name: alias.value.clone(), planned: alias.value.clone(), kind, plain };
                answers.push(Answer { expr: expr.clone(), column, named, item: at, star: false });
            }
            _ => return Err(Mistake::at("SELECT takes *, table.* and expressions with or without a name", place)),
        }
        if answers.len() > COLUMNS {
            return Err(Mistake::at(too_many(), place));
        }
    }
    let renamed = distinguish(&mut answers);
    if renamed || merged {
        select.projection = answers.iter().map(written).collect();
    } else {
        keep_stars(select, &answers);
    }
    Ok(answers.into_iter().map(|answer| answer.column).collect())
}

/// What is said of a query with more columns than there may be.
pub(crate) fn too_many() -> String {
    format!("the answer would have more than {COLUMNS} columns: name those that are needed")
}

/// Gives each column a name that no other has, nor asks for, and says whether `*` must be written out for it.
fn distinguish(answers: &mut [Answer]) -> bool {
    let mut asked: HashSet<String> = answers.iter().map(|answer| answer.column.planned.clone()).collect();
    let mut taken: HashSet<String> = HashSet::with_capacity(answers.len());
    let mut next: HashMap<String, u64> = HashMap::new();
    let mut starred = false;
    for answer in answers {
        if !taken.insert(answer.column.planned.clone()) {
            let number = next.entry(answer.column.name.clone()).or_insert(2);
            let mut free = (*number..).map(|number| (number, format!("{}_{number}", answer.column.name)));
            let (found, name) = free.find(|(_, name)| asked.insert(name.clone())).unwrap_or_default();
            *number = found + 1;
            answer.column = Column { name: name.clone(), planned: name, kind: answer.column.kind.take(), plain: false };
            answer.named = false;
            starred |= answer.star;
        }
    }
    starred
}

/// Replaces all items but the stars.
fn keep_stars(select: &mut Select, answers: &[Answer]) {
    for answer in answers.iter().filter(|answer| !answer.star) {
        select.projection[answer.item] = written(answer);
    }
}

fn written(answer: &Answer) -> SelectItem {
    let expr = answer.expr.clone();
    match answer.named {
        true => SelectItem::UnnamedExpr(expr),
        false => {
            let alias = quoted(&answer.column.planned, expr.span());
            SelectItem::ExprWithAlias { expr, alias }
        }
    }
}

fn star(tree: &Tree, visible: &Visible, item: usize) -> Answer {
    let expr = tree.exactly(visible);
    let named = is_column(&expr);
    let column = Column { plain: named, ..tree.column(visible).clone() };
    Answer { expr, column, named, item, star: true }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// The column that an expression is, if it is just one.
fn column_of(expr: &Expr, scope: &Scope<'_>) -> Option<Column> {
    match parts_of_column(expr) {
        [] => None,
        parts => Some(scope.resolve(parts).ok()?.column),
    }
}

/// The name that an expression is; nothing if it is none.
fn parts_of_column(expr: &Expr) -> &[Ident] {
    match expr {
        Expr::Identifier(name) => std::slice::from_ref(name),
        Expr::CompoundIdentifier(parts) => parts,
        _ => &[],
    }
}

fn unnamed(resolver: &mut Resolver<'_>, expr: &mut Expr, scope: &Scope<'_>, item: usize) -> Result<Answer, Mistake> {
    if let parts @ [_, ..] = parts_of_column(expr) {
        let found = scope.resolve(parts)?;
        let named = is_column(&found.expr);
        let column = Column { plain: named, ..found.column };
        return Ok(Answer { expr: found.expr, column, named, item, star: false });
    }
    let name = label(expr);
    resolver.expr(expr, &Names::of(scope))?;
    let column = Column { planned: name.clone(), name, kind: None, plain: false };
    Ok(Answer { expr: expr.clone(), column, named: false, item, star: false })
}

/// The text that a column without a name was asked by.
fn label(expr: &Expr) -> String {
    let text = expr.to_string();
    match text.char_indices().nth(LABEL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn plain(options: &WildcardAdditionalOptions) -> Result<(), Mistake> {
    let place = options.wildcard_token.clone();
    let bare = WildcardAdditionalOptions { wildcard_token: place, ..WildcardAdditionalOptions::default() };
    match *options == bare {
        true => Ok(()),
        false => Err(Mistake::at(
            "* stands alone: it takes no EXCEPT, no REPLACE and no alias",
            options.wildcard_token.0.span.start,
        )),
    }
}
