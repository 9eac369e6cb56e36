//! The columns that the table will have, from those of all its sources.
//!
//! ```text
//!   each source: drop, rename ─▶ by name, in the order of first appearance ─▶ the narrowest type that holds them all
//!                                 ─▶ cast ─▶ stored types ─▶ descriptions
//! ```
//! A column that a file lacks is NULL there. Types are widened only where no value is lost; where that does not do, text is
//! asked to be read anew as what the others are, or as text. Nothing is decided from values here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, StringArray},
    compute::{can_cast_types, cast},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit},
};
use formats::{ColumnMeta, TableSource};

use super::{
    ImportPlan, PositionPlan, PositionUnit, Sentinel,
    angle::{Angle, is_text},
};
use crate::{CatalogError, HEALPIX_COLUMN, IdCells, PositionColumns, elements::with_elements};

/// The columns of the table without the cell, and where each is found.
pub(super) struct Shape {
    /// The columns, with the types that they have after reading and before they are stored.
    pub(super) fields: Vec<FieldRef>,
    /// For each source, the index of each column in it.
    pub(super) found: Vec<Vec<Option<usize>>>,
    /// The columns of each row's own position.
    pub(super) position: Option<OwnPosition>,
    /// What became of units of position.
    pub(super) unit_changes: Vec<String>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
    /// What the sources say of the table.
    pub(super) description: Option<String>,
}

/// The columns of the rows' own positions, and how each source writes them.
#[derive(Clone, Debug)]
pub(super) struct OwnPosition {
    /// Their names.
    pub(super) columns: PositionColumns,
    /// For each source, how right ascension and declination become degrees.
    pub(super) angles: Vec<[Angle; 2]>,
}

impl Shape {
    /// The columns of these sources. Text sources are asked to be read so that they agree. `cell` tells whether the table
    /// will have a cell column of its own.
    pub(super) fn of(
        sources: &mut [Box<dyn TableSource>],
        plan: &ImportPlan,
        cell: bool,
    ) -> Result<Self, CatalogError> {
        if sources.is_empty() {
            return Err(CatalogError::input("import", "no source is given"));
        }
        let named = sources.iter().map(|source| columns_of(source.name(), source.schema(), plan, cell));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        check_mentions(sources, plan, &named)?;
        let mut shape = Self {
            fields: Vec::new(),
            found: Vec::new(),
            position: None,
            unit_changes: Vec::new(),
            warnings: Vec::new(),
            description: None,
        };
        shape.description = sources.iter().find_map(|source| {
            source.schema().metadata().get("vo:description").filter(|text| !text.trim().is_empty()).cloned()
        });
        shape.fields = match &plan.base {
            Some(base) => of_base(base, sources, &named)?,
            None => merged(&named),
        };
        if shape.fields.is_empty() {
            return Err(CatalogError::input(sources[0].name(), "it has no columns"));
        }
        let position = own_position(sources, plan, &shape.fields)?;
        if let Some((columns, _)) = &position
            && let Some((name, _)) = plan.cast.iter().find(|(name, _)| *name == columns.ra || *name == columns.dec)
        {
            let why = format!("--cast {name}: positions are stored in degrees, as double or real like their source");
            return Err(CatalogError::input(&plan.name, why));
        }
        for field in &mut shape.fields {
            if let Some((name, data_type)) = plan.cast.iter().find(|(name, _)| name == field.name()) {
                if plan.base.is_some() && field.data_type() != data_type {
                    let why = format!("{name} is {} in the table, and cannot become {data_type}", field.data_type());
                    return Err(CatalogError::input(&plan.name, why));
                }
                *field = Arc::new(field.as_ref().clone().with_data_type(data_type.clone()));
            }
        }
        for (number, source) in sources.iter_mut().enumerate() {
            read_as(
                source.as_mut(),
                &named[number],
                &shape.fields,
                plan,
                position.as_ref().map(|(columns, _)| columns),
            );
        }
        if let Some((columns, unit)) = position {
            shape.take_position(sources, &named, columns, unit, plan.base.is_some())?;
        }
        shape.agree(sources, plan, &named)?;
        shape.found =
            named.iter().map(|columns| shape.fields.iter().map(|field| columns.index(field)).collect()).collect();
        shape.warn(sources, &named);
        for field in &mut shape.fields {
            *field = Arc::new(described(plain(field), plan.describe.as_deref()));
        }
        shape.name_elements(plan)?;
        shape.check_ids(plan)?;
        Ok(shape)
    }

    /// Decides how each source writes positions, and that they are stored as degrees.
    fn take_position(
        &mut self,
        sources: &[Box<dyn TableSource>],
        named: &[Named],
        columns: PositionColumns,
        unit: PositionUnit,
        is_append: bool,
    ) -> Result<(), CatalogError> {
        let mut angles = vec![[Angle::Degrees; 2]; sources.len()];
        for (side, name) in [&columns.ra, &columns.dec].into_iter().enumerate() {
            let Some(place) = self.fields.iter().position(|field| field.name() == name) else {
                return Err(CatalogError::input(sources[0].name(), format!("there is no column {name}")));
            };
            let mut all_single = true;
            for (number, (source, columns)) in sources.iter().zip(named).enumerate() {
                let Some(index) = columns.index(&self.fields[place]) else {
                    let why = format!("it has no column {name}, which holds positions");
                    return Err(CatalogError::input(source.name(), why));
                };
                let own = source.schema().field(index);
                let own = Field::new(name, own.data_type().clone(), true).with_metadata(own.metadata().clone());
                let angle = Angle::of(&own, unit, side == 0).map_err(|why| CatalogError::input(source.name(), why))?;
                if let Some(change) = angle.change(&own).filter(|change| !self.unit_changes.contains(change)) {
                    self.unit_changes.push(change);
                }
                all_single &= angle == Angle::Degrees && *own.data_type() == DataType::Float32;
                angles[number][side] = angle;
            }
            let field = self.fields[place].as_ref().clone();
            let mut metadata = field.metadata().clone();
            metadata.insert("vo:unit".to_owned(), "deg".to_owned());
            if !self.unit_changes.is_empty() {
                metadata.remove("vo:arraysize");
                metadata.remove("vo:xtype");
            }
            let data_type = match field.data_type() {
                kept if is_append => kept.clone(),
                _ if all_single => DataType::Float32,
                _ => DataType::Float64,
            };
            self.fields[place] = Arc::new(field.with_data_type(data_type).with_metadata(metadata));
        }
        self.position = Some(OwnPosition { columns, angles });
        Ok(())
    }

    /// Notes the names of the elements of arrays.
    fn name_elements(&mut self, plan: &ImportPlan) -> Result<(), CatalogError> {
        for (name, elements) in &plan.elements {
            for field in self.fields.iter_mut().filter(|field| field.name() == name) {
                let named = with_elements(field, elements);
                *field = Arc::new(named.map_err(|why| CatalogError::input(&plan.name, format!("--elements {why}")))?);
            }
        }
        Ok(())
    }

    /// Refuses identifiers that can name no cell, or none that could be compared with a position.
    fn check_ids(&self, plan: &ImportPlan) -> Result<(), CatalogError> {
        let Some(ids) = &plan.id_encodes else { return Ok(()) };
        let refuse = |why: String| Err(CatalogError::input(&plan.name, format!("--id-encodes {}: {why}", ids.column)));
        if self.position.is_none() {
            return refuse("the rows have no positions to compare it with".to_owned());
        }
        if let Some(base) = &plan.base
            && base.descriptor().id_encodes.as_ref().is_none_or(|told| IdCells::of(told).as_ref() != Some(ids))
        {
            return refuse("that is said when a table is made, not when rows are added".to_owned());
        }
        match self.fields.iter().find(|field| *field.name() == ids.column) {
            Some(field) if !field.data_type().is_integer() => {
                refuse(format!("it is {}, and cells are whole numbers", field.data_type()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a source whose column cannot become what the table has, naming the file that it disagrees with.
    fn agree(&self, sources: &[Box<dyn TableSource>], plan: &ImportPlan, named: &[Named]) -> Result<(), CatalogError> {
        for field in &self.fields {
            let name = field.name();
            let is_position = |own: &OwnPosition| own.columns.ra == *name || own.columns.dec == *name;
            let is_cast = plan.cast.iter().any(|(cast, _)| cast == name);
            if self.position.as_ref().is_some_and(is_position) {
                continue; // each value is judged when it is converted
            }
            for (source, columns) in sources.iter().zip(named) {
                let Some(index) = columns.index(field) else { continue };
                let here = stored_type(source.schema().field(index).data_type());
                if is_cast && !can_cast_types(&here, field.data_type()) {
                    let why = format!("its column {name} is {here}, which cannot become {}", field.data_type());
                    return Err(CatalogError::input(source.name(), why));
                }
                if is_cast
                    || here == DataType::Null
                    || widened(&here, field.data_type()).as_ref() == Some(field.data_type())
                {
                    continue;
                }
                let other = sources.iter().zip(named).find_map(|(other, columns)| {
                    let there = other.schema().field(columns.index(field)?).data_type();
                    let there = stored_type(there);
                    (there != here).then(|| format!("{there} in {}", other.name()))
                });
                let other = other.unwrap_or_else(|| format!("{} in the table", field.data_type()));
                let why = format!("its column {name} is {here}, but {other}; --cast {name}=TYPE decides");
                return Err(CatalogError::input(source.name(), why));
            }
        }
        Ok(())
    }

    fn warn(&mut self, sources: &[Box<dyn TableSource>], named: &[Named]) {
        let mut folded = HashSet::new();
        for field in &self.fields {
            if !folded.insert(field.name().to_lowercase()) {
                let why = format!("the column {} differs from another by case only", field.name());
                self.warnings.push(why);
            }
        }
        for (number, field) in self.fields.iter().enumerate() {
            let lacking: Vec<usize> =
                (0..sources.len()).filter(|source| self.found[*source][number].is_none()).collect();
            if let Some(first) = lacking.first() {
                let (name, first) = (field.name(), sources[*first].name());
                self.warnings.push(match lacking.len() {
                    1 => format!("{first} has no column {name}; it is NULL there"),
                    more => format!("{first} and {} other sources have no column {name}; it is NULL there", more - 1),
                });
            }
            let units = sources.iter().zip(named).filter_map(|(source, columns)| {
                let unit = ColumnMeta::of(source.schema().field(columns.index(field)?)).unit?;
                Some((source.name(), unit.to_owned()))
            });
            let units: Vec<_> = units.collect();
            let differing = units.first().and_then(|first| Some((first, units.iter().find(|unit| unit.1 != first.1)?)));
            if let Some(((a, unit), (b, other))) = differing {
                self.warnings.push(format!("{} is in {unit} in {a} and in {other} in {b}", field.name()));
            }
        }
    }
}

/// The columns of one source under the names that they get, with their indices in it.
struct Named {
    columns: Vec<(FieldRef, usize)>,
    indices: HashMap<String, usize>,
}

impl Named {
    fn index(&self, field: &Field) -> Option<usize> {
        self.indices.get(field.name()).copied()
    }
}

fn columns_of(source: &str, schema: &Schema, plan: &ImportPlan, cell: bool) -> Result<Named, CatalogError> {
    let mut columns: Vec<(FieldRef, usize)> = Vec::with_capacity(schema.fields().len());
    let mut indices = HashMap::new();
    for (index, field) in schema.fields().iter().enumerate() {
        if plan.drop.contains(field.name()) {
            continue;
        }
        let new = plan.rename.iter().find(|(old, _)| old == field.name()).map_or(field.name(), |(_, new)| new);
        if new == HEALPIX_COLUMN {
            if cell {
                continue; // computed anew from the position, never trusted
            }
            let why = format!("the column {HEALPIX_COLUMN} is kept for tables with positions; rename or drop it");
            return Err(CatalogError::input(source, why));
        }
        if new.trim().is_empty() {
            return Err(CatalogError::input(source, format!("column {} has no name", index + 1)));
        }
        if indices.insert(new.clone(), index).is_some() {
            return Err(CatalogError::input(source, format!("two columns are called {new}")));
        }
        if let Some(kind) = unstorable(field.data_type()) {
            let why = format!("its column {} is {kind}, which no catalogue can store; drop it", field.name());
            return Err(CatalogError::input(source, why));
        }
        let stored = Field::new(new, stored_type(field.data_type()), true).with_metadata(field.metadata().clone());
        columns.push((Arc::new(stored), index));
    }
    Ok(Named { columns, indices })
}

/// A name that an option mentions and no source has is a slip of the pen.
fn check_mentions(sources: &[Box<dyn TableSource>], plan: &ImportPlan, named: &[Named]) -> Result<(), CatalogError> {
    let in_sources = |name: &str| sources.iter().any(|source| source.schema().field_with_name(name).is_ok());
    let in_table = |name: &str| named.iter().any(|columns| columns.indices.contains_key(name));
    let old = plan.rename.iter().map(|(old, _)| ("--rename", old)).chain(plan.drop.iter().map(|name| ("--drop", name)));
    for (option, name) in old {
        if !in_sources(name) {
            return Err(CatalogError::input(sources[0].name(), format!("there is no column {name} to {option}")));
        }
    }
    let sentinel = |sentinel: &Sentinel| sentinel.column.clone();
    let cast = plan.cast.iter().map(|(name, _)| ("--cast", name.clone()));
    let mentioned = cast
        .chain(plan.sentinels.iter().filter_map(sentinel).map(|name| ("--sentinel", name)))
        .chain(plan.id.iter().map(|name| ("--id", name.clone())))
        .chain(plan.id_encodes.iter().map(|ids| ("--id-encodes", ids.column.clone())))
        .chain(plan.elements.iter().map(|(name, _)| ("--elements", name.clone())))
        .chain(plan.indexes.iter().map(|name| ("--index", name.clone())))
        .chain(plan.best_column().into_iter().map(|name| ("--duplicates", name.to_owned())))
        .chain(plan.position_mentions().into_iter().map(|name| ("the position", name.to_owned())));
    for (option, name) in mentioned {
        let known =
            in_table(&name) || plan.base.as_ref().is_some_and(|base| base.schema().field_with_name(&name).is_ok());
        if !known {
            let why = format!("there is no column {name}, which {option} names");
            return Err(CatalogError::input(sources[0].name(), why));
        }
    }
    Ok(())
}

/// The columns of all sources, each with the narrowest type that holds its values in all of them.
fn merged(named: &[Named]) -> Vec<FieldRef> {
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut places = HashMap::new();
    for (field, _) in named.iter().flat_map(|named| &named.columns) {
        let Some(place) = places.get(field.name()) else {
            places.insert(field.name().clone(), fields.len());
            fields.push(Arc::clone(field));
            continue;
        };
        let known: &mut FieldRef = &mut fields[*place];
        let (a, b) = (known.data_type(), field.data_type());
        let common = widened(a, b).unwrap_or_else(|| in_text(a, b));
        let mut metadata = field.metadata().clone();
        metadata.extend(known.metadata().clone());
        *known = Arc::new(Field::new(field.name(), common, true).with_metadata(metadata));
    }
    fields
}

/// Rows that are added have the columns of the table, or fewer.
fn of_base(
    base: &crate::CatalogSnapshot,
    sources: &[Box<dyn TableSource>],
    named: &[Named],
) -> Result<Vec<FieldRef>, CatalogError> {
    for (source, named) in sources.iter().zip(named) {
        for (field, _) in &named.columns {
            if base.schema().field_with_name(field.name()).is_err() {
                let why =
                    format!("its column {} is not in the table that it is added to; drop or rename it", field.name());
                return Err(CatalogError::input(source.name(), why));
            }
        }
    }
    let kept = base.schema().fields().iter().filter(|field| field.name() != HEALPIX_COLUMN);
    Ok(kept.map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect())
}

/// The columns of the rows' own positions, by name.
fn own_position(
    sources: &[Box<dyn TableSource>],
    plan: &ImportPlan,
    fields: &[FieldRef],
) -> Result<Option<(PositionColumns, PositionUnit)>, CatalogError> {
    match &plan.position {
        PositionPlan::None => Ok(None),
        PositionPlan::Columns { ra, dec, unit } => {
            Ok(Some((PositionColumns { ra: ra.clone(), dec: dec.clone() }, *unit)))
        }
        PositionPlan::Like { own, .. } => {
            let own = own.as_ref();
            Ok(own.map(|(ra, dec, unit)| (PositionColumns { ra: ra.clone(), dec: dec.clone() }, *unit)))
        }
        PositionPlan::Recognise { unit } => {
            let of_base = plan.base.as_ref().and_then(|base| base.position().cloned());
            // Text may hold positions, too.
            let numbers = fields.iter().map(|field| match is_text(field.data_type()) {
                true => field.as_ref().clone().with_data_type(DataType::Float64),
                false => field.as_ref().clone(),
            });
            match of_base.or_else(|| PositionColumns::recognise(&Schema::new(numbers.collect::<Vec<_>>()))) {
                Some(columns) => Ok(Some((columns, *unit))),
                None => Err(CatalogError::input(
                    sources[0].name(),
                    "no columns are known as positions; name them with --ra and --dec, or say --no-sky",
                )),
            }
        }
    }
}

/// Asks a source to be read so that its columns have the types of the table. Only text obeys. Positions are left as they
/// are: they are converted value by value. A sentinel that the type cannot hold is first read as text.
fn read_as(
    source: &mut dyn TableSource,
    columns: &Named,
    fields: &[FieldRef],
    plan: &ImportPlan,
    position: Option<&PositionColumns>,
) {
    let is_position = |name: &String| position.is_some_and(|own| own.ra == *name || own.dec == *name);
    let is_odd = |field: &Field, sentinel: &Sentinel| {
        let text: ArrayRef = Arc::new(StringArray::from(vec![sentinel.value.as_str()]));
        let is_meant = sentinel.column.as_ref().is_none_or(|column| column == field.name());
        is_meant && !cast(&text, field.data_type()).is_ok_and(|value| value.is_valid(0))
    };
    let wanted = fields.iter().filter(|field| !is_position(field.name())).filter_map(|field| {
        let own = source.schema().field(columns.index(field)?);
        let is_cast = plan.cast.iter().any(|(name, _)| name == field.name());
        let needs_text = is_cast && plan.sentinels.iter().any(|sentinel| is_odd(field, sentinel));
        let wanted = if needs_text { &DataType::Utf8 } else { field.data_type() };
        (stored_type(own.data_type()) != *wanted).then(|| Field::new(own.name(), wanted.clone(), true))
    });
    let wanted: Vec<Field> = wanted.collect();
    if !wanted.is_empty() {
        source.read_as(&Schema::new(wanted));
    }
}

/// What two types have in common where text must be read anew.
fn in_text(a: &DataType, b: &DataType) -> DataType {
    if a.is_numeric() && b.is_numeric() && (a.is_floating() || b.is_floating()) {
        DataType::Float64
    } else if is_text(a) || is_text(b) || !(a.is_nested() || b.is_nested()) {
        DataType::Utf8
    } else {
        a.clone()
    }
}

/// The narrowest type that holds every value of both, if there is one.
pub(super) fn widened(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    if a == b {
        return Some(a.clone());
    }
    let bits = |data_type: &DataType| data_type.primitive_width().unwrap_or(0) * 8;
    Some(match (a, b) {
        (Null, other) | (other, Null) => other.clone(),
        (Utf8, LargeUtf8) | (LargeUtf8, Utf8) => LargeUtf8,
        (Binary, LargeBinary) | (LargeBinary, Binary) => LargeBinary,
        (Float32, Float64) | (Float64, Float32) => Float64,
        (integer, float) | (float, integer) if integer.is_integer() && float.is_floating() => match bits(integer) {
            8 | 16 => float.clone(),
            32 => Float64,
            _ => return None,
        },
        (a, b) if a.is_integer() && b.is_integer() => {
            let (wide, narrow) = if bits(a) >= bits(b) { (a, b) } else { (b, a) };
            if a.is_signed_integer() == b.is_signed_integer() || (wide.is_signed_integer() && bits(wide) > bits(narrow))
            {
                return Some(wide.clone());
            }
            match bits(wide) {
                8 => Int16,
                16 => Int32,
                32 => Int64,
                _ => return None,
            }
        }
        (Timestamp(one, zone), Timestamp(other, same)) if zone == same => {
            Timestamp(if finer(one, other) { *one } else { *other }, zone.clone())
        }
        (List(one), List(other)) => List(child(widened(one.data_type(), other.data_type())?, one)),
        (List(list), FixedSizeList(fixed, _)) | (FixedSizeList(fixed, _), List(list)) => {
            List(child(widened(list.data_type(), fixed.data_type())?, list))
        }
        (FixedSizeList(one, size), FixedSizeList(other, same)) => {
            let element = child(widened(one.data_type(), other.data_type())?, one);
            if size == same { FixedSizeList(element, *size) } else { List(element) }
        }
        _ => return None,
    })
}

fn finer(a: &TimeUnit, b: &TimeUnit) -> bool {
    let rank = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    rank(a) > rank(b)
}

fn child(data_type: DataType, like: &Field) -> FieldRef {
    Arc::new(Field::new("element", data_type, true).with_metadata(like.metadata().clone()))
}

/// The type that a column is stored as. Other readers know neither view types nor dictionaries in a file's Arrow schema;
/// the child of a list must be called `element`, and what is nested is a struct of lists.
pub(super) fn stored_type(data_type: &DataType) -> DataType {
    let child = |field: &FieldRef| child(stored_type(field.data_type()), field);
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => stored_type(values),
        DataType::RunEndEncoded(_, values) => stored_type(values.data_type()),
        DataType::Float16 => DataType::Float32,
        // Parquet has no logical types for these.
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Timestamp(TimeUnit::Second, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::List(field) | DataType::ListView(field) => match field.data_type() {
            DataType::Struct(fields) => {
                let lists = fields.iter().map(|inner| {
                    let list = DataType::List(child(inner));
                    Arc::new(Field::new(inner.name(), list, true).with_metadata(inner.metadata().clone()))
                });
                DataType::Struct(lists.collect())
            }
            _ => DataType::List(child(field)),
        },
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(child(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(child(field), *size),
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| Arc::new(field.as_ref().clone().with_data_type(stored_type(field.data_type()))))
                .collect(),
        ),
        plain => plain.clone(),
    }
}

/// What Parquet or other readers cannot have.
fn unstorable(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Union(..) => Some("a union"),
        DataType::Interval(_) => Some("an interval"),
        DataType::Struct(fields) if fields.is_empty() => Some("a structure without parts"),
        DataType::Struct(fields) => fields.iter().find_map(|field| unstorable(field.data_type())),
        DataType::List(field)
        | DataType::ListView(field)
        | DataType::LargeList(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => unstorable(field.data_type()),
        _ => None,
    }
}

/// A column of nothing but NULL is text; of metadata only ours is kept.
fn plain(field: &Field) -> Field {
    let data_type = if *field.data_type() == DataType::Null { DataType::Utf8 } else { field.data_type().clone() };
    let metadata = field.metadata().iter().filter(|(key, _)| key.starts_with("vo:"));
    Field::new(field.name(), data_type, true)
        .with_metadata(metadata.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// The field with what a description says of the column of its name, in any case if in no other way.
fn described(field: Field, description: Option<&Schema>) -> Field {
    let Some(description) = description else { return field };
    let exact = description.fields().iter().find(|other| other.name() == field.name());
    let found =
        exact.or_else(|| description.fields().iter().find(|other| other.name().eq_ignore_ascii_case(field.name())));
    match found {
        Some(told) => ColumnMeta::of(told).describe(field),
        None => field,
    }
}

/// The schema of the stored rows: the cell first where there is one.
pub(super) fn stored_schema(fields: &[FieldRef], cell: bool, description: Option<&str>) -> SchemaRef {
    let cell = cell.then(|| {
        let metadata = [
            ("vo:description".to_owned(), "HEALPix cell of order 29, nested, of the position".to_owned()),
            ("vo:ucd".to_owned(), "pos.healpix".to_owned()),
        ];
        Arc::new(Field::new(HEALPIX_COLUMN, DataType::Int64, false).with_metadata(metadata.into()))
    });
    let fields: Vec<FieldRef> = cell.into_iter().chain(fields.iter().cloned()).collect();
    let metadata = description.map(|text| ("vo:description".to_owned(), text.to_owned())).into_iter().collect();
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_widened_only_where_no_value_is_lost() {
        use DataType::*;
        for (a, b, common) in [
            (Int16, Int32, Some(Int32)),
            (UInt8, Int8, Some(Int16)),
            (UInt32, Int32, Some(Int64)),
            (UInt32, Int64, Some(Int64)),
            (UInt64, Int64, None),
            (Int16, Float32, Some(Float32)),
            (Int32, Float32, Some(Float64)),
            (Int64, Float64, None),
            (Float32, Float64, Some(Float64)),
            (Null, Date32, Some(Date32)),
            (Utf8, LargeUtf8, Some(LargeUtf8)),
            (Utf8, Int32, None),
            (Boolean, Int8, None),
        ] {
            assert_eq!(widened(&a, &b), common, "{a} {b}");
            assert_eq!(widened(&b, &a), common, "{b} {a}");
        }
    }

    #[test]
    fn a_list_of_structures_is_stored_as_a_structure_of_lists_of_elements() {
        let inner = vec![Field::new("mjd", DataType::Float64, false), Field::new("band", DataType::Utf8View, true)];
        let nested = DataType::List(Arc::new(Field::new("item", DataType::Struct(inner.into()), true)));
        let DataType::Struct(fields) = stored_type(&nested) else { panic!("a structure") };
        let element = |data_type| DataType::List(Arc::new(Field::new("element", data_type, true)));
        assert_eq!(fields[0].data_type(), &element(DataType::Float64));
        assert_eq!(fields[1].data_type(), &element(DataType::Utf8));
    }
}
