//! One schema for all files of a foreign catalogue.
//!
//! The columns are those of `dataset/_common_metadata`, in its order. Files may have them in another order, lack some, have
//! others besides, or store them in other types, as long as one type holds all their values without loss; the reader then
//! casts by name. A file whose values would change in that cast is refused.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Decimal128Type, Field, Fields, Schema, SchemaRef, TimeUnit},
};

use super::footer::{Footer, Footers, KindOfFile};
use crate::statistics::{ColumnBounds, FileStatistics};

/// The schema of the table, and what is odd but harmless.
#[derive(Debug)]
pub(super) struct Reconciled {
    pub(super) schema: SchemaRef,
    pub(super) warnings: Vec<String>,
}

/// Finds the schema that all files can be read with. Without a declared one, the columns of all files are its columns.
pub(super) fn reconcile(declared: Option<(&str, &Schema)>, footers: &Footers) -> Result<Reconciled, String> {
    // Files without rows have a say only where no other has.
    let full = footers.kinds.iter().any(|kind| kind.rows > 0);
    let kinds: Vec<&KindOfFile> = footers.kinds.iter().filter(|kind| !full || kind.rows > 0).collect();
    let mut columns = Columns::default();
    if let Some((name, schema)) = declared {
        refuse_repeated_names(schema).map_err(|why| format!("{name}: {why}"))?;
        schema.fields().iter().for_each(|field| columns.add(field, name));
    }
    for kind in &kinds {
        refuse_repeated_names(&kind.schema).map_err(|why| format!("{}: {why}", kind.first))?;
        columns.take_in(kind, declared.is_none())?;
    }
    let mut warnings = Vec::new();
    columns.compare(&kinds, &mut warnings);
    columns.check_values(footers)?;
    let fields: Vec<Field> = columns.all.into_iter().map(|column| described(column.field)).collect();
    Ok(Reconciled { schema: Arc::new(Schema::new(fields)), warnings })
}

/// Turns the bounds of files' own columns into bounds of the table's columns.
pub(super) struct Adapter<'a> {
    schema: &'a Schema,
    kinds: &'a [KindOfFile],
    /// For each kind of file, where in it each column of the table is.
    places: Vec<Vec<Option<usize>>>,
}

impl<'a> Adapter<'a> {
    pub(super) fn new(schema: &'a Schema, kinds: &'a [KindOfFile]) -> Self {
        let find =
            |kind: &KindOfFile| schema.fields().iter().map(|field| kind.schema.index_of(field.name()).ok()).collect();
        Self { schema, kinds, places: kinds.iter().map(find).collect() }
    }

    pub(super) fn adapt(&self, footer: &Footer) -> FileStatistics {
        let bounds = &self.kinds[footer.kind].bounds;
        let columns = self.schema.fields().iter().zip(&self.places[footer.kind]);
        let adapted = columns.map(|(field, place)| {
            let Some(place) = place else {
                return ColumnBounds { min: None, max: None, nulls: Some(footer.rows), exact: true };
            };
            let own = bounds.get(footer.number, *place);
            let recast = |bound: ArrayRef| match bound.data_type() == field.data_type() {
                true => Some(bound),
                false => cast(&bound, field.data_type()).ok(),
            };
            ColumnBounds { min: own.min.and_then(recast), max: own.max.and_then(recast), ..own }
        });
        FileStatistics(adapted.collect())
    }
}

fn refuse_repeated_names(schema: &Schema) -> Result<(), String> {
    let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("it has two columns named {}", pair[0])),
        None => Ok(()),
    }
}

/// A column of the table in the making.
struct TableColumn {
    field: Field,
    /// The file that gave it its type.
    source: String,
}

#[derive(Default)]
struct Columns {
    all: Vec<TableColumn>,
    places: HashMap<String, usize>,
}

impl Columns {
    fn add(&mut self, field: &Field, source: &str) {
        self.places.insert(field.name().clone(), self.all.len());
        let field = field.clone().with_data_type(plain(field.data_type()));
        self.all.push(TableColumn { field, source: source.to_owned() });
    }

    /// Widens the columns by those of a kind of file.
    fn take_in(&mut self, kind: &KindOfFile, grow: bool) -> Result<(), String> {
        for field in kind.schema.fields() {
            let Some(place) = self.places.get(field.name()) else {
                if grow {
                    self.add(field, &kind.first);
                }
                continue;
            };
            let column = &mut self.all[*place];
            let own = plain(field.data_type());
            let common = common(column.field.data_type(), &own).ok_or_else(|| {
                format!(
                    "{}: the column {} is {} there and {} in {}; no type holds both without loss",
                    kind.first,
                    field.name(),
                    own,
                    column.field.data_type(),
                    column.source
                )
            })?;
            if common != *column.field.data_type() {
                column.field.set_data_type(common);
                column.source.clone_from(&kind.first);
            }
            column.field.set_nullable(column.field.is_nullable() || field.is_nullable());
        }
        for column in &mut self.all {
            if kind.schema.index_of(column.field.name()).is_err() {
                column.field.set_nullable(true);
            }
        }
        Ok(())
    }

    /// Says where files differ from the table, each difference once.
    fn compare(&self, kinds: &[&KindOfFile], warnings: &mut Vec<String>) {
        // What, in which file at first, and in how many.
        let mut found: Vec<(String, &str, usize)> = Vec::new();
        for kind in kinds {
            for what in self.differences(&kind.schema) {
                match found.iter_mut().find(|(known, ..)| *known == what) {
                    Some((.., files)) => *files += kind.files,
                    None => found.push((what, &kind.first, kind.files)),
                }
            }
        }
        warnings.extend(found.into_iter().map(|(what, first, files)| match files - 1 {
            0 => format!("{first}: {what}"),
            1 => format!("{first} and another file: {what}"),
            others => format!("{first} and {others} others: {what}"),
        }));
        let untyped = self.all.iter().filter(|column| *column.field.data_type() == DataType::Null);
        warnings
            .extend(untyped.map(|column| {
                format!("the column {} has no values and no type; it is text here", column.field.name())
            }));
    }

    fn differences(&self, schema: &Schema) -> Vec<String> {
        let mut found = Vec::new();
        let mut places = Vec::new();
        for field in schema.fields() {
            let name = field.name();
            match self.places.get(name) {
                None => found.push(format!("the column {name} is not in dataset/_common_metadata and is left out")),
                Some(place) => {
                    places.push(*place);
                    let table = self.all[*place].field.data_type();
                    let own = plain(field.data_type());
                    if !own.equals_datatype(table) {
                        found.push(format!("the column {name} is {own}, and is read as {table}"));
                    }
                }
            }
        }
        let missing = self.all.iter().filter(|column| schema.index_of(column.field.name()).is_err());
        found.extend(missing.map(|column| format!("there is no column {}; it is NULL there", column.field.name())));
        if !places.is_sorted() {
            found.push("the columns are in another order".to_owned());
        }
        found
    }

    /// Refuses files with values that their column's type in the table could not hold.
    fn check_values(&self, footers: &Footers) -> Result<(), String> {
        let limits: Vec<Vec<Option<i128>>> = footers
            .kinds
            .iter()
            .map(|kind| kind.schema.fields().iter().map(|field| self.limit(field)).collect())
            .collect();
        for footer in footers.files.iter().filter(|footer| footer.rows > 0) {
            let kind = &footers.kinds[footer.kind];
            for (column, limit) in limits[footer.kind].iter().enumerate() {
                let Some(limit) = limit else { continue };
                let bounds = kind.bounds.get(footer.number, column);
                if bounds.nulls == Some(footer.rows) || within(&bounds, *limit) {
                    continue;
                }
                let field = kind.schema.field(column);
                return Err(format!(
                    "{}: the column {} is {}, and is {} elsewhere: its values may not fit without loss",
                    footer.leaf.path,
                    field.name(),
                    field.data_type(),
                    self.all[self.places[field.name()]].field.data_type()
                ));
            }
        }
        Ok(())
    }

    /// The largest size that the numbers of a file's column may have.
    fn limit(&self, field: &Field) -> Option<i128> {
        let table = self.all[*self.places.get(field.name())?].field.data_type();
        largest_that_fits(&plain(field.data_type()), table)
    }
}

/// The largest size of a number that a cast keeps; none when it keeps every number.
fn largest_that_fits(from: &DataType, to: &DataType) -> Option<i128> {
    match (from, to) {
        (DataType::Int64 | DataType::UInt64, DataType::Float64) => Some(1 << 53),
        (DataType::UInt64, DataType::Int64) => Some(i64::MAX.into()),
        (DataType::Timestamp(coarse, _), DataType::Timestamp(fine, _)) if coarse != fine => {
            Some(i128::from(i64::MAX) / (parts(*fine) / parts(*coarse)).max(1))
        }
        _ => None,
    }
}

fn within(bounds: &ColumnBounds, limit: i128) -> bool {
    let number = |bound: &Option<ArrayRef>| {
        let bound = bound.as_ref()?;
        let whole =
            if bound.data_type().is_temporal() { cast(bound, &DataType::Int64).ok()? } else { Arc::clone(bound) };
        let wide = cast(&whole, &DataType::Decimal128(38, 0)).ok()?;
        Some(wide.as_primitive::<Decimal128Type>().value(0))
    };
    match (number(&bounds.min), number(&bounds.max)) {
        (Some(low), Some(high)) => low >= -limit && high <= limit,
        _ => false,
    }
}

/// A type as the engine shall see it: no views, no dictionaries, list children named as Parquet names them.
fn plain(data_type: &DataType) -> DataType {
    let child = |field: &Arc<Field>| {
        let plain = plain(field.data_type());
        Arc::new(Field::new("element", plain, true))
    };
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        DataType::List(field) | DataType::ListView(field) => DataType::List(child(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(child(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(child(field), *size),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| Field::new(field.name(), plain(field.data_type()), true));
            DataType::Struct(fields.collect())
        }
        other => other.clone(),
    }
}

/// The type that holds every value of both without loss, where there is one; for whole numbers in floating point and for
/// the largest unsigned ones that depends on the values.
fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Null, other) | (other, Null) => other.clone(),
        (Utf8, LargeUtf8) | (LargeUtf8, Utf8) => LargeUtf8,
        (Binary, LargeBinary) | (LargeBinary, Binary) => LargeBinary,
        (List(a), List(b)) => List(common_child(a, b)?),
        (LargeList(a), LargeList(b)) | (List(a), LargeList(b)) | (LargeList(a), List(b)) => {
            LargeList(common_child(a, b)?)
        }
        (FixedSizeList(a, size), FixedSizeList(b, other)) if size == other => FixedSizeList(common_child(a, b)?, *size),
        (Struct(a), Struct(b)) => Struct(common_fields(a, b)?),
        (Timestamp(a, zone), Timestamp(b, other)) if zone == other => Timestamp(finer(*a, *b), zone.clone()),
        (Decimal128(precision, scale), Decimal128(other, same)) if scale == same => {
            Decimal128(*precision.max(other), *scale)
        }
        (a, b) if a.is_numeric() && b.is_numeric() => common_number(a, b)?,
        _ => return None,
    })
}

fn common_child(a: &Arc<Field>, b: &Arc<Field>) -> Option<Arc<Field>> {
    let child = common(a.data_type(), b.data_type())?;
    // There are no bounds of the values inside lists.
    let kept = [a, b].iter().all(|field| largest_that_fits(field.data_type(), &child).is_none());
    kept.then(|| Arc::new(Field::new("element", child, true)))
}

/// The children of both, by name; what one lacks is NULL there.
fn common_fields(a: &Fields, b: &Fields) -> Option<Fields> {
    let mut fields: Vec<Field> = a.iter().map(|field| field.as_ref().clone()).collect();
    for other in b {
        match fields.iter_mut().find(|field| field.name() == other.name()) {
            Some(field) => {
                let child = common(field.data_type(), other.data_type())?;
                let kept = [field.data_type(), other.data_type()]
                    .into_iter()
                    .all(|own| largest_that_fits(own, &child).is_none());
                if !kept {
                    return None;
                }
                field.set_data_type(child);
            }
            None => fields.push(other.as_ref().clone()),
        }
    }
    Some(fields.into())
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    if parts(a) >= parts(b) { a } else { b }
}

/// How many of a unit make a second.
fn parts(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn common_number(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    let bits = |number: &DataType| number.primitive_width().unwrap_or(0) * 8;
    let (wide, narrow) = if bits(a) >= bits(b) { (a, b) } else { (b, a) };
    if matches!(a, Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..))
        || matches!(b, Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..))
    {
        return None;
    }
    if a.is_floating() && b.is_floating() {
        return Some(wide.clone());
    }
    if a.is_floating() || b.is_floating() {
        return Some(Float64);
    }
    if a.is_signed_integer() == b.is_signed_integer() {
        return Some(wide.clone());
    }
    if wide.is_signed_integer() && bits(wide) > bits(narrow) {
        return Some(wide.clone());
    }
    // The next wider signed type holds an unsigned one; beyond 64 bits the values decide.
    Some(match bits(wide) {
        8 => Int16,
        16 => Int32,
        _ => Int64,
    })
}

/// The keys of field metadata that say what `vo:` keys say, as other writers spell them.
const SPELLINGS: [(&str, &str); 5] = [
    ("unit", "vo:unit"),
    ("ucd", "vo:ucd"),
    ("utype", "vo:utype"),
    ("xtype", "vo:xtype"),
    ("description", "vo:description"),
];

/// The field with only that metadata which says something about the column. A column without any type is text, and a
/// floating one may be NULL, as its NaN are.
fn described(field: Field) -> Field {
    let mut metadata = HashMap::new();
    for (key, text) in field.metadata().iter().filter(|(_, text)| !text.trim().is_empty()) {
        let ours = SPELLINGS.iter().find(|(spelling, _)| spelling == key).map(|(_, ours)| *ours);
        if key.starts_with("vo:") {
            metadata.insert(key.clone(), text.clone());
        } else if let Some(ours) = ours.filter(|ours| !field.metadata().contains_key(*ours)) {
            metadata.insert(ours.to_owned(), text.clone());
        }
    }
    let data_type = if *field.data_type() == DataType::Null { DataType::Utf8 } else { field.data_type().clone() };
    let nullable = field.is_nullable() || data_type.is_floating();
    field.with_data_type(data_type).with_nullable(nullable).with_metadata(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, child: DataType) -> DataType {
        DataType::List(Arc::new(Field::new(name, child, true)))
    }

    #[test]
    fn one_type_holds_the_numbers_of_two() {
        use DataType::*;
        for (a, b, expected) in [
            (Int32, Int64, Int64),
            (Int8, UInt8, Int16),
            (Int16, UInt16, Int32),
            (UInt16, Int8, Int32),
            (UInt32, Int8, Int64),
            (UInt64, Int64, Int64),
            (UInt8, UInt32, UInt32),
            (Float32, Float64, Float64),
            (Float32, Int16, Float64),
            (Int64, Float64, Float64),
            (Null, Utf8, Utf8),
            (Utf8, LargeUtf8, LargeUtf8),
        ] {
            assert_eq!(common(&a, &b), Some(expected.clone()), "{a} and {b}");
            assert_eq!(common(&b, &a), Some(expected), "{b} and {a}");
        }
        for (a, b) in [
            (Utf8, Float64),
            (Boolean, Int8),
            (Binary, Utf8),
            (Date32, Utf8),
            (Decimal128(10, 2), Float64),
            (Decimal128(10, 2), Decimal128(10, 3)),
            (list("element", Utf8), list("element", Int32)),
            (list("element", Int64), list("element", Float64)),
            (Utf8, list("element", Utf8)),
        ] {
            assert_eq!(common(&a, &b), None, "{a} and {b}");
            assert_eq!(common(&b, &a), None, "{b} and {a}");
        }
    }

    #[test]
    fn times_that_a_finer_unit_cannot_count_are_not_within_it() {
        let of = |unit| DataType::Timestamp(unit, None);
        let limit = largest_that_fits(&of(TimeUnit::Second), &of(TimeUnit::Nanosecond));
        assert_eq!(limit, Some(9_223_372_036));
        assert_eq!(largest_that_fits(&of(TimeUnit::Second), &of(TimeUnit::Second)), None);
        let at = |seconds: i64| {
            let time: ArrayRef = Arc::new(arrow::array::TimestampSecondArray::from(vec![seconds]));
            ColumnBounds { min: Some(Arc::clone(&time)), max: Some(time), nulls: Some(0), exact: true }
        };
        assert!(within(&at(9_223_372_036), 9_223_372_036));
        assert!(!within(&at(32_503_680_000), 9_223_372_036), "the year 3000");
    }

    #[test]
    fn views_dictionaries_and_names_of_list_children_make_no_difference() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        assert_eq!(plain(&dictionary), DataType::Utf8);
        assert_eq!(plain(&list("item", DataType::BinaryView)), list("element", DataType::Binary));
        let nested = |child| DataType::Struct(vec![Field::new("mjd", child, false)].into());
        let plain_nested = DataType::Struct(vec![Field::new("mjd", list("element", DataType::Float32), true)].into());
        assert_eq!(plain(&nested(list("item", DataType::Float32))), plain_nested);
        let wider = plain(&nested(list("x", DataType::Float64)));
        assert_eq!(common(&plain_nested, &wider), Some(wider));
    }

    #[test]
    fn metadata_that_says_something_of_a_column_is_kept_under_our_keys() {
        let metadata =
            [("unit", "deg"), ("vo:ucd", "pos.eq.ra"), ("ucd", "other"), ("PARQUET:field_id", "3"), ("utype", " ")];
        let metadata = metadata.map(|(key, text)| (key.to_owned(), text.to_owned()));
        for _ in 0..8 {
            let field = Field::new("ra", DataType::Null, true).with_metadata(metadata.clone().into());
            let field = described(field);
            let expected =
                [("vo:unit", "deg"), ("vo:ucd", "pos.eq.ra")].map(|(key, text)| (key.to_owned(), text.to_owned()));
            assert_eq!(field.metadata(), &expected.into());
            assert_eq!(field.data_type(), &DataType::Utf8);
        }
    }
}
