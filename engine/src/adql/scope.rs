//! What names can mean at one place of a query: the columns that FROM makes visible there, and those around it.

use std::{cell::Cell, collections::HashMap, rc::Rc};

use datafusion::{
    arrow::datatypes::DataType,
    sql::sqlparser::{
        ast::{Expr, Ident},
        tokenizer::Span,
    },
};

use super::words;
use crate::{Mistake, error::nearest, tables::CATALOG};

/// One column of a table or of an answer.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its name as it was declared.
    pub(super) name: String,
    /// Its name in the plan.
    pub(super) planned: String,
    /// Its type, where it is known without planning.
    pub(super) kind: Option<DataType>,
    /// Whether it is a column of a table under the name that this has in the plan.
    pub(super) plain: bool,
}

/// A table in FROM, under the name that it has there.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    /// Its name: an alias alone, or a schema and a table.
    pub(super) names: Vec<Ident>,
    pub(super) columns: Rc<[Column]>,
}

impl Relation {
    /// Whether it is called so, or, less exactly, so but for its version.
    fn is_called(&self, written: &[Ident], exactly: bool) -> bool {
        let written = match written {
            [catalog, rest @ ..] if rest.len() == 2 && catalog.value.eq_ignore_ascii_case(CATALOG) => rest,
            other => other,
        };
        let short = self.names.len().checked_sub(written.len());
        let same = |(a, b): (&Ident, &Ident)| match b.value.split_once('@') {
            Some((table, _)) if !exactly => a.value.eq_ignore_ascii_case(table),
            _ => same_name(a, b),
        };
        short.is_some_and(|short| written.iter().zip(&self.names[short..]).all(same))
    }

    /// How people write it.
    pub(super) fn written(&self) -> String {
        self.names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(".")
    }

    pub(super) fn column(&self, at: usize) -> Expr {
        let column = quoted(&self.columns[at].planned, Span::empty());
        Expr::CompoundIdentifier(self.names.iter().map(folded).chain([column]).collect())
    }
}

/// Whether two names are the same: delimited ones to the letter, others without regard to case.
pub(super) fn same_name(a: &Ident, b: &Ident) -> bool {
    match (a.quote_style, b.quote_style) {
        (Some(_), Some(_)) => a.value == b.value,
        _ => a.value.eq_ignore_ascii_case(&b.value),
    }
}

/// A name that the planner takes to the letter.
pub(super) fn quoted(name: &str, span: Span) -> Ident {
    Ident::with_quote_and_span('"', span, name)
}

/// An alias as the planner keeps it: it folds what stands in no quotes wherever the alias is used.
pub(super) fn folded(alias: &Ident) -> Ident {
    match alias.quote_style {
        Some(_) => quoted(&alias.value, alias.span),
        None => quoted(&alias.value.to_ascii_lowercase(), alias.span),
    }
}

/// A column that may be named without its table. NATURAL and USING make one of two.
#[derive(Clone, Debug)]
pub(super) struct Visible {
    pub(super) relation: usize,
    pub(super) column: usize,
    /// What stands for it in the plan, if it is not just the column of its table.
    pub(super) merged: Option<Expr>,
}

/// The tables of FROM, or of a part of it, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) relations: Vec<Relation>,
    pub(super) visible: Vec<Visible>,
}

impl Tree {
    pub(super) fn of(relation: Relation) -> Self {
        let visible = (0..relation.columns.len()).map(|column| Visible { relation: 0, column, merged: None }).collect();
        Self { relations: vec![relation], visible }
    }

    /// Both, side by side.
    pub(super) fn append(&mut self, other: Self) -> Result<(), Mistake> {
        for relation in &other.relations {
            let name = &relation.names[relation.names.len() - 1];
            if let Some(twin) = self.relations.iter().find(|known| {
                known.names.len() == relation.names.len()
                    && known.names.iter().zip(&relation.names).all(|(a, b)| same_name(a, b))
            }) {
                let sentence =
                    format!("two tables in FROM are called {}: give one another name with AS", twin.written());
                return Err(Mistake::at(sentence, name.span.start));
            }
        }
        let before = self.relations.len();
        self.relations.extend(other.relations);
        self.visible.extend(
            other.visible.into_iter().map(|visible| Visible { relation: visible.relation + before, ..visible }),
        );
        Ok(())
    }

    pub(super) fn column(&self, visible: &Visible) -> &Column {
        &self.relations[visible.relation].columns[visible.column]
    }

    /// What stands for a visible column in the plan, whatever else is called like it.
    pub(super) fn exactly(&self, visible: &Visible) -> Expr {
        let plain = || self.relations[visible.relation].column(visible.column);
        visible.merged.clone().unwrap_or_else(plain)
    }
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) expr: Expr,
    pub(super) column: Column,
}

/// The names that an expression may use.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) tree: Tree,
    by_name: HashMap<String, Vec<usize>>,
    pub(super) around: Option<&'a Scope<'a>>,
    /// How often queries within this one have named a column of it.
    pub(super) asked: Cell<usize>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(tree: Tree, around: Option<&'a Self>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, visible) in tree.visible.iter().enumerate() {
            by_name.entry(tree.column(visible).name.to_lowercase()).or_default().push(at);
        }
        Self { tree, by_name, around, asked: Cell::new(0) }
    }

    /// The column that is named here, in this scope or in one around it.
    pub(super) fn resolve(&self, written: &[Ident]) -> Result<Resolved, Mistake> {
        self.find(written, false)
    }

    /// The same, by the name of its table: no column of the answer is called so.
    pub(super) fn resolve_exactly(&self, written: &[Ident]) -> Result<Resolved, Mistake> {
        self.find(written, true)
    }

    fn find(&self, written: &[Ident], mut exactly: bool) -> Result<Resolved, Mistake> {
        let Some((name, table)) = written.split_last() else { return Err(Mistake::new("a name is empty")) };
        for part in written {
            check_reserved(part)?;
        }
        for (level, here) in self.outwards().enumerate() {
            let found = match table {
                [] => here.unqualified(name, exactly)?,
                _ => here.qualified(table, name)?,
            };
            match found {
                Some(_) if level > 1 => return Err(too_far_out(written, name)),
                Some(found) => {
                    here.asked.set(here.asked.get() + level);
                    return Ok(found);
                }
                None => exactly = true,
            }
        }
        Err(self.unknown(table, name))
    }

    /// This scope, that around it, and so on.
    fn outwards(&self) -> impl Iterator<Item = &Scope<'a>> {
        std::iter::successors(Some(self), |scope| scope.around)
    }

    /// Whether any column is called so.
    pub(super) fn knows(&self, name: &Ident) -> bool {
        self.outwards().any(|scope| scope.by_name.contains_key(&name.value.to_lowercase()))
    }

    fn unqualified(&self, name: &Ident, exactly: bool) -> Result<Option<Resolved>, Mistake> {
        let Some(at) = self.by_name.get(&name.value.to_lowercase()) else { return Ok(None) };
        let column = |at: usize| self.tree.column(&self.tree.visible[at]);
        let exact: Vec<usize> = at.iter().copied().filter(|at| column(*at).name == name.value).collect();
        let found = match (name.quote_style, exact.as_slice(), at.as_slice()) {
            (_, [one], _) | (None, [], [one]) => *one,
            (Some(_), [], _) => return Ok(None),
            (_, [_, ..], _) => return Err(self.ambiguous(name, &exact)),
            (None, [], many) => return Err(self.ambiguous(name, many)),
        };
        let visible = &self.tree.visible[found];
        let column = self.tree.column(visible).clone();
        let expr = if visible.merged.is_some() || exactly || self.tree.relations.len() > 1 {
            self.tree.exactly(visible)
        } else {
            Expr::Identifier(quoted(&column.planned, name.span))
        };
        Ok(Some(Resolved { expr: placed(expr, name.span), column }))
    }

    fn qualified(&self, table: &[Ident], name: &Ident) -> Result<Option<Resolved>, Mistake> {
        let Some(relation) = self.called(table)? else { return Ok(None) };
        let relation = &self.tree.relations[relation];
        let same = |column: &&Column| match name.quote_style {
            Some(_) => column.name == name.value,
            None => column.name.eq_ignore_ascii_case(&name.value),
        };
        let matching: Vec<usize> = (0..relation.columns.len()).filter(|at| same(&&relation.columns[*at])).collect();
        let exact = || matching.iter().find(|at| relation.columns[**at].name == name.value);
        let at = match matching.as_slice() {
            [] => {
                let known = relation.columns.iter().map(|column| column.name.as_str());
                return Err(no_column(name, &format!("{} has", relation.written()), known));
            }
            [one] => *one,
            _ => *exact().ok_or_else(|| case_differs(name))?,
        };
        let column = relation.columns[at].clone();
        Ok(Some(Resolved { expr: placed(relation.column(at), name.span), column }))
    }

    /// The table of FROM that is called so.
    fn called(&self, table: &[Ident]) -> Result<Option<usize>, Mistake> {
        let all = &self.tree.relations;
        let called = |exactly: bool| (0..all.len()).filter(move |at| all[*at].is_called(table, exactly));
        let mut found: Vec<usize> = called(true).collect();
        if found.is_empty() {
            found = called(false).collect();
        }
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            many => {
                let names: Vec<String> = many.iter().map(|at| all[*at].written()).collect();
                let sentence = format!("{} may be {}: write which", dotted(table), names.join(" or "));
                Err(Mistake::at(sentence, table[0].span.start))
            }
        }
    }

    /// The table of FROM that `table.*` is about.
    pub(super) fn relation(&self, table: &[Ident]) -> Result<usize, Mistake> {
        self.called(table)?.ok_or_else(|| self.no_relation(table))
    }

    fn ambiguous(&self, name: &Ident, at: &[usize]) -> Mistake {
        let mut tables: Vec<String> =
            at.iter().map(|at| self.tree.relations[self.tree.visible[*at].relation].written()).collect();
        tables.dedup();
        match tables.as_slice() {
            [_] => case_differs(name),
            [first, ..] => {
                let sentence = format!(
                    "the column {} is in {}: write which, as in {first}.{}",
                    name.value,
                    tables.join(" and in "),
                    name.value
                );
                Mistake::at(sentence, name.span.start)
            }
            [] => Mistake::at(format!("there is no column {}", name.value), name.span.start),
        }
    }

    /// What to say of a name that is not known in any scope.
    fn unknown(&self, table: &[Ident], name: &Ident) -> Mistake {
        let scopes = || self.outwards();
        if table.is_empty() {
            if scopes().all(|scope| scope.tree.relations.is_empty()) {
                return Mistake::at(
                    format!("there is no column {}: nothing is named after FROM", name.value),
                    name.span.start,
                );
            }
            let known = scopes()
                .flat_map(|scope| scope.tree.visible.iter().map(|visible| scope.tree.column(visible).name.as_str()));
            return no_column(name, "there is", known);
        }
        self.no_relation(table)
    }

    fn no_relation(&self, table: &[Ident]) -> Mistake {
        let scopes = || self.outwards();
        let tables: Vec<String> =
            scopes().flat_map(|scope| scope.tree.relations.iter().map(Relation::written)).collect();
        let near = nearest(&dotted(table), tables.iter().map(String::as_str));
        let advice = match (near, tables.as_slice()) {
            (Some(near), _) => format!("; did you mean {near}?"),
            (None, [one]) => format!("; the query asks {one}"),
            (None, _) => String::new(),
        };
        Mistake::at(format!("FROM names no table {} here{advice}", dotted(table)), table[0].span.start)
    }
}

fn too_far_out(written: &[Ident], name: &Ident) -> Mistake {
    let sentence = format!(
        "{} is of a query that is not right around this one: a query within a query uses only the columns of that",
        dotted(written)
    );
    Mistake::at(sentence, name.span.start)
}

fn no_column<'a>(name: &Ident, whose: &str, known: impl Iterator<Item = &'a str>) -> Mistake {
    let sentence = match nearest(&name.value, known) {
        Some(near) => format!("{whose} no column {}; did you mean {}?", name.value, as_written(near)),
        None if name.quote_style.is_some() => {
            format!("{whose} no column {}; a text stands in single quotes: '{}'", name.value, name.value)
        }
        None => format!("{whose} no column {}", name.value),
    };
    Mistake::at(sentence, name.span.start)
}

fn case_differs(name: &Ident) -> Mistake {
    let sentence = format!(
        "several columns are called {} but for the case of their letters: write one in double quotes",
        name.value
    );
    Mistake::at(sentence, name.span.start)
}

/// A name as it must be written in a query.
fn as_written(name: &str) -> String {
    let mut letters = name.bytes();
    let plain = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
        && !words::is_reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

pub(super) fn dotted(parts: &[Ident]) -> String {
    parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
}

/// Refuses a reserved word as a name.
pub(super) fn check_reserved(name: &Ident) -> Result<(), Mistake> {
    if name.quote_style.is_none() && words::is_reserved(&name.value) {
        let word = &name.value;
        let function = match crate::functions::find(word) {
            Some(_) => format!("; the function is called {}(…)", word.to_ascii_uppercase()),
            None => String::new(),
        };
        let sentence = format!("{word} is a reserved word: as a name it stands in double quotes, \"{word}\"{function}");
        return Err(Mistake::at(sentence, name.span.start));
    }
    Ok(())
}

/// The planner tells the place of an expression by that of its names.
fn placed(mut expr: Expr, span: Span) -> Expr {
    match &mut expr {
        Expr::Identifier(name) => name.span = span,
        Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(|part| part.span = span),
        _ => {}
    }
    expr
}
