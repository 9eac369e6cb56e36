//! The second pass: every row to its partition, or aside.
//!
//! What was surveyed must be found again: as many rows in each source, none outside of the partitions, and in no partition
//! more than were counted. Otherwise a source has changed, and nothing is published.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt32Array, UInt64Array},
    compute::{filter_record_batch, take_record_batch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    json::LineDelimitedWriter,
};
use formats::{Place, Rows};
use serde::{Deserialize, Serialize};

use super::{
    Progress,
    buckets::{Buckets, Keys},
    convert::{Bad, CellsByNumber, NUMBER, number},
    pool::each_rows,
    survey::{Context, Planned, Survey, count, kind_of},
};
use crate::CatalogError;

/// The kind of rows that are set aside for their identifier.
pub(super) const DUPLICATE: &str = "duplicate";
/// How many bad rows are told as text at once.
const AT_ONCE: usize = 1024;
/// The longest text of a row that is kept with it.
const TEXT_BYTES: usize = 64 << 10;

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Rows of each source that was given.
    pub(super) rows: Vec<u64>,
    /// Rows of these that go into partitions.
    pub(super) moved: u64,
    /// Rows of these that were set aside, by kind.
    pub(super) aside: BTreeMap<String, u64>,
    /// Right ascensions that were brought into [0, 360).
    pub(super) wrapped: u64,
    /// The largest distance in degrees of a row from the row that it is kept with.
    #[serde(with = "as_text")]
    pub(super) slack: f64,
    /// The largest distance in degrees of a row from the cell that its identifier names.
    #[serde(default, with = "as_text")]
    pub(super) encoded: f64,
    /// Stored rows that were read to be written anew, and how many of them gave way to new ones.
    pub(super) stored: u64,
    pub(super) replaced: u64,
    /// Rows in each partition.
    pub(super) partitions: Vec<u64>,
    /// Bytes that went through the local disk.
    pub(super) spilled_bytes: u64,
}

impl Tally {
    /// How many rows were set aside.
    pub(super) fn set_aside(&self) -> u64 {
        self.aside.values().sum()
    }
}

/// All rows, divided.
pub(super) struct Distributed {
    /// One bucket a partition.
    pub(super) buckets: Buckets,
    /// One bucket, of what was set aside.
    pub(super) aside: Buckets,
    /// The counts.
    pub(super) tally: Tally,
}

/// How much of the memory of an import the rows in buckets may take.
pub(super) fn held_bytes(memory: usize) -> usize {
    memory / 16 * 7
}

/// The schema of rows that are set aside.
pub(super) fn aside_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![text("source"), text("place"), text("reason"), text("text")]))
}

fn moved_aside_schema() -> SchemaRef {
    let number = Field::new(NUMBER, DataType::UInt64, false);
    let text = aside_schema();
    let fields = std::iter::once(Arc::new(number)).chain(text.fields().iter().cloned());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Moves all rows. Rows of partitions that are `finished` are counted and left out. The first `given` sources are those of
/// the import, the others are files of the table.
pub(super) fn distribute(
    context: &Context<'_>,
    given: usize,
    survey: &Survey,
    planned: &[Planned],
    finished: &[bool],
) -> Result<Distributed, CatalogError> {
    let Context { plan, columns, sources, .. } = context;
    let wanted = columns.all();
    let buckets = Buckets::new(Arc::clone(columns.moved_schema()), planned.len(), held_bytes(plan.memory));
    let aside = Buckets::new(moved_aside_schema(), 1, plan.memory / 16);
    let starts: Vec<u64> = planned.iter().map(|partition| partition.range.start).collect();
    let total: u64 = survey.rows.iter().sum();
    let tally =
        Mutex::new(Tally { rows: vec![0; sources.len()], partitions: vec![0; planned.len()], ..Tally::default() });
    let lock = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = |source: usize, why: &str| {
        CatalogError::input(columns.source(source), format!("it is not the same when it is read again: {why}"))
    };
    let skips = finished.contains(&true);
    let act = |source: usize, rows: Rows| {
        let rank = columns.rank(source);
        let joined = survey.joined.as_ref().filter(|_| !columns.is_stored(source));
        let joined = joined.map(|joined| move |numbers: &[u64]| joined.of(numbers));
        let joined = joined.as_ref().map(|joined| joined as CellsByNumber<'_>);
        let mut converted = columns.convert(source, &rows.batch, &rows.places, &wanted, joined)?;
        context.refuse(source, &rows, &converted)?;
        if let Some(dropped) = &survey.dropped {
            for (row, number) in converted.numbers.values().iter().enumerate() {
                if dropped.contains(*number) {
                    converted.bad.entry(row).or_insert_with(|| Bad {
                        kind: DUPLICATE.to_owned(),
                        reason: "another row with the same identifier is published".to_owned(),
                    });
                }
            }
        }
        // A stored row that gives way to a better one is still in the version before.
        if source < given {
            set_aside(context, rank, source, &rows, &converted.bad, &aside)?;
        }
        let (wrapped, slack, encoded) = (converted.wrapped, converted.slack, converted.encoded);
        let kinds: Vec<String> = converted.bad.values().map(|bad| bad.kind.clone()).collect();
        let batch = converted.good()?.into_batch(columns.moved_schema())?;
        let places = places_of(&batch, &starts, planned).map_err(|()| changed(source, "a row is new"))?;
        {
            let mut tally = lock();
            places.iter().for_each(|bucket| tally.partitions[*bucket as usize] += 1);
            if source < given {
                tally.rows[source] += (rows.batch.num_rows() + rows.bad.len()) as u64;
                tally.moved += batch.num_rows() as u64;
                kinds.into_iter().for_each(|kind| count(&mut tally.aside, kind));
                rows.bad.iter().for_each(|bad| count(&mut tally.aside, kind_of(&bad.reason)));
                tally.wrapped += wrapped;
                tally.slack = tally.slack.max(slack);
                tally.encoded = tally.encoded.max(encoded);
            } else {
                tally.stored += rows.batch.num_rows() as u64;
                tally.replaced += (rows.batch.num_rows() - batch.num_rows()) as u64;
            }
            let read = tally.rows.iter().sum();
            drop(tally);
            (context.progress)(Progress::Moved(read, total));
        }
        if !skips {
            return buckets.push(&batch, |row| places[row], context.spill);
        }
        let needed: BooleanArray = places.iter().map(|bucket| Some(!finished[*bucket as usize])).collect();
        let needed_places: Vec<u32> = places.iter().copied().filter(|bucket| !finished[*bucket as usize]).collect();
        buckets.push(&filter_record_batch(&batch, &needed)?, |row| needed_places[row], context.spill)
    };
    each_rows(sources, 0..sources.len(), &wanted.indices, plan.threads, context.stop, &act)?;
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.rows.truncate(given);
    for (source, (then, now)) in survey.rows.iter().zip(&tally.rows).enumerate() {
        if then != now {
            return Err(changed(source, &format!("it had {then} rows, and then {now}")));
        }
    }
    let grown = planned.iter().zip(&tally.partitions).any(|(planned, rows)| *rows > planned.rows);
    if grown || tally.moved + tally.set_aside() != tally.rows.iter().sum::<u64>() {
        return Err(changed(0, "there are other rows"));
    }
    tally.spilled_bytes = buckets.spilled_bytes() + aside.spilled_bytes();
    Ok(Distributed { buckets, aside, tally })
}

/// The partition of each row; an error where one has none.
fn places_of(batch: &RecordBatch, starts: &[u64], planned: &[Planned]) -> Result<Vec<u32>, ()> {
    let keys = Keys::of(batch);
    let mut places = Vec::with_capacity(batch.num_rows());
    let mut last = 0_u32;
    for row in 0..batch.num_rows() {
        let key = keys.place(row);
        // Rows near each other in a file are often near each other on the sky.
        if !planned.get(last as usize).is_some_and(|partition| partition.range.contains(&key)) {
            let after = starts.partition_point(|start| *start <= key);
            last = after.checked_sub(1).ok_or(())? as u32;
            if !planned[last as usize].range.contains(&key) {
                return Err(());
            }
        }
        places.push(last);
    }
    Ok(places)
}

/// Sets bad rows aside, each with its place, the reason and what it says.
fn set_aside(
    context: &Context<'_>,
    rank: usize,
    source: usize,
    rows: &Rows,
    bad: &BTreeMap<usize, Bad>,
    aside: &Buckets,
) -> Result<(), CatalogError> {
    if bad.is_empty() && rows.bad.is_empty() {
        return Ok(());
    }
    let mut set: Vec<(Place, &str, Option<String>)> = Vec::with_capacity(bad.len() + rows.bad.len());
    for row in &rows.bad {
        set.push((row.place, &row.reason, row.text.clone()));
    }
    let numbered: Vec<(&usize, &Bad)> = bad.iter().collect();
    for some in numbered.chunks(AT_ONCE) {
        let chosen = UInt32Array::from_iter_values(some.iter().map(|(row, _)| **row as u32));
        let text = as_json(&take_record_batch(&rows.batch, &chosen)?);
        for (number, (row, Bad { reason, .. })) in some.iter().enumerate() {
            set.push((rows.places.of(**row), reason, text.as_ref().map(|text| text[number].clone())));
        }
    }
    let name = context.columns.source(source);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(set.iter().map(|(place, ..)| number(rank, *place)).collect::<UInt64Array>()),
        Arc::new(set.iter().map(|_| Some(name)).collect::<StringArray>()),
        Arc::new(set.iter().map(|(place, ..)| Some(place.to_string())).collect::<StringArray>()),
        Arc::new(set.iter().map(|(_, reason, _)| Some(*reason)).collect::<StringArray>()),
        Arc::new(set.iter().map(|(.., text)| text.as_deref().map(cut)).collect::<StringArray>()),
    ];
    aside.push(&RecordBatch::try_new(moved_aside_schema(), columns)?, |_| 0, context.spill)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}

/// Rows as JSON, if they can be written so: a line each.
fn as_json(rows: &RecordBatch) -> Option<Vec<String>> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows).ok()?;
    writer.finish().ok()?;
    let text = String::from_utf8(writer.into_inner()).ok()?;
    let lines: Vec<String> = text.lines().map(|line| cut(line).to_owned()).collect();
    (lines.len() == rows.num_rows()).then_some(lines)
}

/// A number in JSON as text: a number there may come back as another, and a resumed import shall make the same bytes.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&number.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_come_back_from_the_journal_to_the_last_bit(slack in 0.0..180.0_f64) {
            let tally = Tally { slack, encoded: slack / 3.0, ..Tally::default() };
            let back: Tally = serde_json::from_slice(&serde_json::to_vec(&tally).unwrap()).unwrap();
            prop_assert_eq!(back, tally);
        }
    }
}
