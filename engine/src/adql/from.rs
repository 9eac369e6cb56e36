//! FROM: which tables a query asks, and what joining makes of their columns.
//!
//! NATURAL and USING become ON, as this is where the standard and the planner differ: a common column appears once, first in
//! `*`, and is that of the side that always has a row.
//!
//! ```text
//!   FROM a FULL JOIN b USING (id)   →   FROM a FULL JOIN b ON a.id = b.id, where id is COALESCE(a.id, b.id)
//! ```

use std::{collections::HashSet, rc::Rc};

use catalogs::TableName;
use datafusion::{
    arrow::datatypes::FieldRef,
    sql::sqlparser::{
        ast::{
            BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Spanned, TableAlias,
            TableFactor, TableWithJoins, Value,
        },
        tokenizer::Span,
    },
};

use super::{
    calls,
    resolve::{Names, Resolver},
    scope::{Column, Relation, Scope, Tree, Visible, check_reserved, dotted, folded, quoted, same_name},
};
use crate::{Mistake, error::nearest, tables::Found};

/// How many tables a query may read, counting each use of what WITH names.
const SCANS: usize = 200;

impl Resolver<'_> {
    pub(super) fn from(&mut self, from: &mut [TableWithJoins], around: Option<&Scope<'_>>) -> Result<Tree, Mistake> {
        let mut all = Tree::default();
        for tables in from {
            let tree = self.joined(tables, around)?;
            all.append(tree)?;
        }
        Ok(all)
    }

    fn joined(&mut self, tables: &mut TableWithJoins, around: Option<&Scope<'_>>) -> Result<Tree, Mistake> {
        let mut tree = self.factor(&mut tables.relation, around)?;
        for join in &mut tables.joins {
            tree = self.join(tree, join, around)?;
        }
        Ok(tree)
    }

    fn join(&mut self, left: Tree, join: &mut Join, around: Option<&Scope<'_>>) -> Result<Tree, Mistake> {
        let right = self.factor(&mut join.relation, around)?;
        let place = join.relation.span();
        let (kept, constraint) = kept(&mut join.join_operator)
            .filter(|_| !join.global)
            .ok_or_else(|| Mistake::at("joins are [NATURAL] [INNER | LEFT | RIGHT | FULL] JOIN", place.start))?;
        let common = match constraint {
            JoinConstraint::On(_) => Vec::new(),
            JoinConstraint::None if kept == Kept::Cross => Vec::new(),
            JoinConstraint::None => {
                return Err(Mistake::at("a JOIN says how: by ON, by USING, or as NATURAL JOIN", place.start));
            }
            JoinConstraint::Using(names) => {
                let mut seen = HashSet::new();
                if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_string().to_lowercase())) {
                    return Err(Mistake::at(format!("USING names {twice} twice"), twice.span().start));
                }
                names.iter().map(|name| using(name, &left, &right)).collect::<Result<_, _>>()?
            }
            JoinConstraint::Natural => natural(&left, &right, place)?,
        };
        if matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural) {
            let same =
                common.iter().map(|(a, b)| equal(left.exactly(&left.visible[*a]), right.exactly(&right.visible[*b])));
            let all = same.reduce(|all, one| binary(all, BinaryOperator::And, one));
            let number = || Expr::value(Value::Number("1".to_owned(), false));
            *constraint = JoinConstraint::On(all.unwrap_or_else(|| equal(number(), number())));
            return merge(left, right, &common, kept);
        }
        let mut tree = left;
        tree.append(right)?;
        if let JoinConstraint::On(condition) = constraint {
            let scope = Scope::new(tree, around);
            self.condition(condition, &Names::of(&scope).of_one_row("ON"))?;
            tree = scope.tree;
        }
        Ok(tree)
    }

    fn factor(&mut self, factor: &mut TableFactor, around: Option<&Scope<'_>>) -> Result<Tree, Mistake> {
        let place = factor.span();
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                let relation = self.table(name)?;
                aliased(relation, alias.as_mut()).map(Tree::of)
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                let columns = self.query(subquery, around, false)?;
                if alias.is_none() {
                    let sentence = "a query in FROM needs a name, as in FROM (SELECT …) AS q";
                    return Err(Mistake::at(sentence, place.start));
                }
                aliased(Relation { names: Vec::new(), columns: columns.into() }, alias.as_mut()).map(Tree::of)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.joined(table_with_joins, around),
            _ => {
                let sentence = "after FROM stand tables, queries in parentheses with a name, and joins of them";
                Err(Mistake::at(sentence, place.start))
            }
        }
    }

    /// A table by its name: what WITH calls so, or one of those that the caller may see.
    fn table(&mut self, name: &mut ObjectName) -> Result<Relation, Mistake> {
        let parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
        let (Some(first), true) = (parts.first().cloned(), parts.len() == name.0.len()) else {
            return Err(Mistake::new("a table is called schema.table"));
        };
        for part in &parts {
            check_reserved(part)?;
        }
        if let [only] = parts.as_slice()
            && let Some(named) = self.named.iter().rev().find(|named| same_name(&named.name, only))
        {
            let (names, columns, scans) = (vec![named.name.clone()], Rc::clone(&named.columns), named.scans);
            *name = ObjectName::from(vec![Ident { span: first.span, ..folded(&named.name) }]);
            self.count(scans, first.span)?;
            return Ok(Relation { names, columns });
        }
        self.count(1, first.span)?;
        let written: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        let names = match self.tables.find(&written) {
            Found::One(found) => [found.schema().to_owned(), found.table().to_owned()],
            Found::Version(found, number) => [found.schema().to_owned(), format!("{}@{number}", found.table())],
            Found::Many(found) => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                let sentence = format!("{} may be {}: write which", dotted(&parts), found.join(" or "));
                return Err(Mistake::at(sentence, first.span.start));
            }
            Found::None => return Err(self.no_table(&parts)),
        };
        let columns = self.columns_of(&names);
        let names: Vec<Ident> = names.iter().map(|part| quoted(part, first.span)).collect();
        *name = ObjectName::from(names.clone());
        // Names of tables compare without regard to case, quoted or not.
        let names = names.into_iter().map(|part| Ident { quote_style: None, ..part }).collect();
        Ok(Relation { names, columns })
    }

    fn count(&mut self, scans: usize, span: Span) -> Result<(), Mistake> {
        self.scans += scans;
        match self.scans > SCANS {
            true => Err(Mistake::at(
                format!("the query reads more than {SCANS} tables, counting each use of what WITH names"),
                span.start,
            )),
            false => Ok(()),
        }
    }

    fn no_table(&self, parts: &[Ident]) -> Mistake {
        let written = dotted(parts);
        let _ = self.unknown.set(written.clone()); // the first ends the walk
        if let Some((table, version)) = written.split_once('@') {
            return Mistake::at(format!("there is no version {version} of {table}"), parts[0].span.start);
        }
        let tables = || self.tables.iter().map(|(name, _)| name);
        let near = match parts {
            [_] => {
                let named = self.named.iter().map(|named| named.name.value.as_str());
                nearest(&written, named.chain(tables().map(|name| name.table()))).map(str::to_owned)
            }
            [.., schema, table] => {
                let same = |name: &&TableName| name.schema().eq_ignore_ascii_case(&schema.value);
                let known = nearest(&schema.value, tables().map(|name| name.schema()));
                let here = nearest(&table.value, tables().filter(same).map(|name| name.table()));
                let there = known.and_then(|known| {
                    let same = tables().filter(|name| name.schema() == known);
                    Some((known, nearest(&table.value, same.map(|name| name.table()))?))
                });
                let found = here.map(|here| format!("{}.{here}", schema.value.to_ascii_lowercase()));
                found.or_else(|| there.map(|(schema, table)| format!("{schema}.{table}")))
            }
            [] => None,
        };
        let sentence = match near {
            Some(near) => format!("there is no table {written}; did you mean {near}?"),
            None => format!("there is no table {written}"),
        };
        Mistake::at(sentence, parts[0].span.start)
    }

    fn columns_of(&mut self, names: &[String; 2]) -> Rc<[Column]> {
        if let Some(known) = self.known.get(names) {
            return Rc::clone(known);
        }
        let [schema, table] = names;
        let columns: Rc<[Column]> = match self.tables.columns(&[schema, table]) {
            Some((declared, planned)) => declared.fields().iter().zip(planned.fields()).map(column).collect(),
            None => Rc::new([]),
        };
        self.known.insert(names.clone(), Rc::clone(&columns));
        columns
    }
}

fn column((declared, planned): (&FieldRef, &FieldRef)) -> Column {
    Column {
        name: declared.name().clone(),
        planned: planned.name().clone(),
        kind: Some(planned.data_type().clone()),
        plain: true,
    }
}

/// A relation under the name that AS gives it.
fn aliased(mut relation: Relation, alias: Option<&mut TableAlias>) -> Result<Relation, Mistake> {
    let Some(alias) = alias else { return Ok(relation) };
    check_reserved(&alias.name)?;
    if !alias.columns.is_empty() || alias.at.is_some() {
        let sentence = "AS gives a table a name, and none to its columns: name those in the query";
        return Err(Mistake::at(sentence, alias.name.span.start));
    }
    relation.names = vec![Ident { quote_style: alias.name.quote_style, ..alias.name.clone() }];
    alias.name = folded(&alias.name);
    Ok(relation)
}

/// Which sides of a join keep all of their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Left,
    Right,
    Both,
    Cross,
}

fn kept(operator: &mut JoinOperator) -> Option<(Kept, &mut JoinConstraint)> {
    match operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => Some((Kept::Left, constraint)),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => Some((Kept::Left, constraint)),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => Some((Kept::Right, constraint)),
        JoinOperator::FullOuter(constraint) => Some((Kept::Both, constraint)),
        JoinOperator::CrossJoin(constraint) if *constraint == JoinConstraint::None => Some((Kept::Cross, constraint)),
        _ => None,
    }
}

/// The columns of both sides that USING names, as indices of what is visible.
fn using(name: &ObjectName, left: &Tree, right: &Tree) -> Result<(usize, usize), Mistake> {
    let [part] = name.0.as_slice() else {
        return Err(Mistake::at("USING takes plain names of columns, without a table", name.span().start));
    };
    let name = part.as_ident().ok_or_else(|| Mistake::new("USING takes names of columns"))?;
    check_reserved(name)?;
    let find = |tree: &Tree, side: &str| {
        let same = |visible: &&Visible| {
            let column = tree.column(visible);
            match name.quote_style {
                Some(_) => column.name == name.value,
                None => column.name.eq_ignore_ascii_case(&name.value),
            }
        };
        let mut found = (0..tree.visible.len()).filter(|at| same(&&tree.visible[*at]));
        match (found.next(), found.next()) {
            (Some(at), None) => Ok(at),
            (None, _) => {
                let known = tree.visible.iter().map(|visible| tree.column(visible).name.as_str());
                let advice = nearest(&name.value, known).map(|near| format!("; did you mean {near}?"));
                let sentence = format!("the {side} side of the JOIN has no column {}", name.value);
                Err(Mistake::at(sentence + &advice.unwrap_or_default(), name.span.start))
            }
            _ => {
                let sentence = format!("the {side} side of the JOIN has several columns {}: join with ON", name.value);
                Err(Mistake::at(sentence, name.span.start))
            }
        }
    };
    Ok((find(left, "left")?, find(right, "right")?))
}

/// The columns that both sides have by name.
fn natural(left: &Tree, right: &Tree, place: Span) -> Result<Vec<(usize, usize)>, Mistake> {
    let mut common = Vec::new();
    let names = |tree: &Tree| -> std::collections::HashMap<String, Vec<usize>> {
        let mut names: std::collections::HashMap<String, Vec<usize>> = std::collections::HashMap::new();
        for (at, visible) in tree.visible.iter().enumerate() {
            names.entry(tree.column(visible).name.to_lowercase()).or_default().push(at);
        }
        names
    };
    let (lefts, rights) = (names(left), names(right));
    for (at, visible) in left.visible.iter().enumerate() {
        let name = left.column(visible).name.to_lowercase();
        let Some(others) = rights.get(&name) else { continue };
        match (lefts[&name].as_slice(), others.as_slice()) {
            ([_], [other]) => common.push((at, *other)),
            _ => {
                let sentence = format!("NATURAL JOIN finds several columns {name} on one side: join with ON");
                return Err(Mistake::at(sentence, place.start));
            }
        }
    }
    Ok(common)
}

/// Common columns first, then the others of the left, then of the right.
fn merge(left: Tree, right: Tree, common: &[(usize, usize)], kept: Kept) -> Result<Tree, Mistake> {
    let before = left.relations.len();
    let mut visible = Vec::with_capacity(left.visible.len() + right.visible.len());
    for (a, b) in common {
        let (mine, theirs) = (&left.visible[*a], &right.visible[*b]);
        let merged = match kept {
            Kept::Left | Kept::Cross => left.exactly(mine),
            Kept::Right => right.exactly(theirs),
            Kept::Both => calls::call("coalesce", vec![left.exactly(mine), right.exactly(theirs)]),
        };
        visible.push(Visible { merged: Some(merged), ..mine.clone() });
    }
    let others = |tree: &Tree, used: &dyn Fn(usize) -> bool, shift: usize| -> Vec<Visible> {
        let rest = tree.visible.iter().enumerate().filter(|(at, _)| !used(*at));
        rest.map(|(_, visible)| Visible { relation: visible.relation + shift, ..visible.clone() }).collect()
    };
    let lefts: HashSet<usize> = common.iter().map(|(a, _)| *a).collect();
    let rights: HashSet<usize> = common.iter().map(|(_, b)| *b).collect();
    visible.extend(others(&left, &|at| lefts.contains(&at), 0));
    visible.extend(others(&right, &|at| rights.contains(&at), before));
    let mut tree = left;
    tree.append(right)?; // for the names of the tables
    tree.visible = visible;
    Ok(tree)
}

fn equal(left: Expr, right: Expr) -> Expr {
    binary(left, BinaryOperator::Eq, right)
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
