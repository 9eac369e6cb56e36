//! What an import shall do, in plain words: the caller fills it in, the passes only read it.
//!
//! Names of columns are those that the table will have, after renaming; only `rename` and `drop` speak of the names in the
//! sources. What the outcome depends on goes into [`ImportPlan::digest`]; memory, threads and the spill folder do not.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sky::Arcsec;

use crate::{CatalogSnapshot, IdCells, Pairs, TableName, snapshot::hexadecimal};

/// What an import shall do.
#[derive(Clone, Debug)]
pub struct ImportPlan {
    /// The table's name.
    pub name: TableName,
    /// A sentence about the table; without it, the first source that has one tells.
    pub description: Option<String>,
    /// What is to be remembered of this version.
    pub note: Option<String>,
    /// Where the rows are on the sky.
    pub position: PositionPlan,
    /// Columns of the sources and their names in the table.
    pub rename: Vec<(String, String)>,
    /// Columns of the sources that are left out.
    pub drop: Vec<String>,
    /// Columns that get another type; a value that the type cannot hold makes its row a bad one.
    pub cast: Vec<(String, DataType)>,
    /// Values that mean "missing".
    pub sentinels: Vec<Sentinel>,
    /// Whether NaN stays NaN; without it, NaN is stored as NULL.
    pub keep_nan: bool,
    /// Columns with VO metadata (unit, UCD, description …) that is put over what the sources say.
    pub describe: Option<SchemaRef>,
    /// The column that names each row once. A row without it is a bad row.
    pub id: Option<String>,
    /// What becomes of rows with the same `id`.
    pub duplicates: DuplicatePolicy,
    /// The column whose values begin with the cell of the row. A row without one is a bad row.
    pub id_encodes: Option<IdCells>,
    /// Columns of arrays, and the names of their elements. A row with another number of elements is a bad row.
    pub elements: Vec<(String, Vec<String>)>,
    /// The tables whose rows the rows pair: whoever makes the plan has seen to it that what it says is true.
    pub pairs: Option<Pairs>,
    /// What becomes of rows that cannot be read or have no position.
    pub bad_rows: BadRowPolicy,
    /// The most rows that a partition may have, if its finest cell allows it.
    pub max_rows: u64,
    /// The coarsest order of a partition.
    pub min_order: u8,
    /// The finest order of a partition, at most 11: a cell of it is one partition, however many rows it has.
    pub max_order: u8,
    /// Margins to be made, by their width.
    pub margins: Vec<Arcsec>,
    /// Columns to be indexed.
    pub indexes: Vec<String>,
    /// Bytes of memory for the rows on their way.
    pub memory: usize,
    /// The folder on the local disk for what does not fit.
    pub spill: PathBuf,
    /// How many threads work.
    pub threads: usize,
    /// The version that the rows are added to; without it, a table is made anew. Its identifier, margins and indexes
    /// are those of the new version, too.
    pub base: Option<Arc<CatalogSnapshot>>,
    /// Whether to go on with what was begun in the same folder.
    pub resume: bool,
    /// The time that the catalogue tells as that of its making.
    pub created: DateTime<Utc>,
}

/// Where the rows of a table are on the sky.
#[derive(Clone, Debug)]
pub enum PositionPlan {
    /// Nowhere: the table keeps the order of its rows.
    None,
    /// At the columns that UCDs or well-known names tell; an import that finds none is refused.
    Recognise {
        /// The unit of both.
        unit: PositionUnit,
    },
    /// At these columns.
    Columns {
        /// Right ascension.
        ra: String,
        /// Declination.
        dec: String,
        /// The unit of both.
        unit: PositionUnit,
    },
    /// Where the row of another table is that each row belongs to, so that joins are local.
    Like {
        /// The other table.
        director: Arc<CatalogSnapshot>,
        /// Its name.
        director_name: String,
        /// Its column that names each of its rows once.
        director_key: String,
        /// The column here that holds such a name. A row without it, or with an unknown one, is a bad row.
        key: String,
        /// The columns of the row's own position, if it has one, and their unit.
        own: Option<(String, String, PositionUnit)>,
    },
}

/// The unit of the position columns. They are stored in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PositionUnit {
    /// What the column's unit says; degrees where it says nothing. Text is degrees or sexagesimal, as it looks.
    #[default]
    Auto,
    /// Degrees.
    Degrees,
    /// Radians.
    Radians,
    /// Right ascension in hours, declination in degrees.
    Hours,
    /// Text such as `12:34:56.7`: right ascension in hours, declination in degrees.
    Sexagesimal,
}

/// A value that means "missing".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// In this column; in all columns that can hold it when absent.
    pub column: Option<String>,
    /// The value, as text.
    pub value: String,
}

/// What becomes of rows with the same identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DuplicatePolicy {
    /// The import is refused.
    #[default]
    Refuse,
    /// The first of them, in the order of the sources, is published, the others are set aside.
    KeepFirst,
    /// The one with the largest value in this column is published, the first of several; NULL and NaN come last.
    KeepBest(String),
}

/// What becomes of rows that cannot be read or have no position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRowPolicy {
    /// The import is refused.
    #[default]
    Refuse,
    /// They go into `almagest/set-aside.parquet`, each with its place and the reason.
    SetAside,
}

impl ImportPlan {
    /// A plan with nothing out of the ordinary: positions recognised, everything bad refused, a million rows a partition.
    pub fn new(name: TableName, created: DateTime<Utc>) -> Self {
        Self {
            name,
            description: None,
            note: None,
            position: PositionPlan::Recognise { unit: PositionUnit::Auto },
            rename: Vec::new(),
            drop: Vec::new(),
            cast: Vec::new(),
            sentinels: Vec::new(),
            keep_nan: false,
            describe: None,
            id: None,
            duplicates: DuplicatePolicy::default(),
            id_encodes: None,
            elements: Vec::new(),
            pairs: None,
            bad_rows: BadRowPolicy::default(),
            max_rows: 1_000_000,
            min_order: 0,
            max_order: 10,
            margins: Vec::new(),
            indexes: Vec::new(),
            memory: 2 << 30,
            spill: std::env::temp_dir(),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            base: None,
            resume: false,
            created,
        }
    }

    /// Leaves out what is asked for twice, and takes over what the table has that rows are added to.
    pub(super) fn settle(&mut self) {
        let mut seen = std::collections::HashSet::new();
        self.indexes.retain(|index| seen.insert(index.clone()));
        let mut seen = std::collections::HashSet::new();
        self.margins.retain(|margin| seen.insert(margin.0.to_bits()));
        let Some(base) = self.base.clone() else { return };
        let descriptor = base.descriptor();
        if let (PositionPlan::Like { own: own @ None, .. }, Some(position)) = (&mut self.position, &descriptor.position)
        {
            *own = Some((position.ra.clone(), position.dec.clone(), PositionUnit::Auto));
        }
        self.id = self.id.take().or_else(|| descriptor.id.clone());
        self.id_encodes = self.id_encodes.take().or_else(|| IdCells::of(descriptor.id_encodes.as_ref()?));
        for margin in &descriptor.margins {
            if self.margins.iter().all(|wanted| wanted.0 != margin.arcsec) {
                self.margins.push(Arcsec(margin.arcsec));
            }
        }
        for index in &descriptor.indexes {
            if !self.indexes.contains(&index.column) {
                self.indexes.push(index.column.clone());
            }
        }
    }

    /// Whether the table has a cell for each row.
    pub(super) fn has_cells(&self) -> bool {
        !matches!(self.position, PositionPlan::None)
    }

    /// The column that the best of several rows with one identifier is chosen by.
    pub(super) fn best_column(&self) -> Option<&str> {
        match &self.duplicates {
            DuplicatePolicy::KeepBest(column) => Some(column),
            DuplicatePolicy::Refuse | DuplicatePolicy::KeepFirst => None,
        }
    }

    /// The columns that the plan names for positions, and the key to a director.
    pub(super) fn position_mentions(&self) -> Vec<&str> {
        match &self.position {
            PositionPlan::None | PositionPlan::Recognise { .. } => Vec::new(),
            PositionPlan::Columns { ra, dec, .. } => vec![ra, dec],
            PositionPlan::Like { key, own, .. } => {
                own.iter().flat_map(|(ra, dec, _)| [ra.as_str(), dec.as_str()]).chain([key.as_str()]).collect()
            }
        }
    }

    /// A hash of all options that the outcome depends on, and of the version that rows are added to.
    pub(super) fn digest(&self) -> String {
        let base = self.base.as_ref().map(|base| (base.root(), base.id()));
        hexadecimal(&Sha256::digest(format!("{} {base:?}", self.options())))
    }

    /// A hash of all options that the outcome depends on.
    pub(super) fn options(&self) -> String {
        let position = match &self.position {
            PositionPlan::Like { director, director_name, director_key, key, own } => {
                format!("like {director_name} {} {director_key:?} {key:?} {own:?}", director.id())
            }
            PositionPlan::None => "none".to_owned(),
            PositionPlan::Recognise { unit } => format!("recognise {unit:?}"),
            PositionPlan::Columns { ra, dec, unit } => format!("{ra:?} {dec:?} {unit:?}"),
        };
        let described = self.describe.iter().flat_map(|schema| schema.fields().iter()).map(|field| {
            let mut metadata: Vec<_> = field.metadata().iter().collect();
            metadata.sort();
            format!("{:?} {metadata:?}", field.name())
        });
        let described: Vec<String> = described.collect();
        let options = (
            (self.name.to_string(), &self.description, &self.note, position, &self.rename, &self.drop),
            (&self.cast, &self.sentinels, self.keep_nan, described, &self.id, &self.duplicates, self.bad_rows),
            (self.max_rows, self.min_order, self.max_order, &self.margins, &self.indexes),
            self.base.is_some(),
            (&self.id_encodes, &self.elements, &self.pairs),
        );
        hexadecimal(&Sha256::digest(format!("{options:?}")))
    }
}

/// The type that `--cast` means by a name.
pub fn cast_type(name: &str) -> Option<DataType> {
    Some(match name.to_ascii_lowercase().as_str() {
        "bool" | "boolean" => DataType::Boolean,
        "i8" | "byte" | "tinyint" => DataType::Int8,
        "i16" | "short" | "smallint" => DataType::Int16,
        "i32" | "int" | "integer" => DataType::Int32,
        "i64" | "long" | "bigint" => DataType::Int64,
        "u8" => DataType::UInt8,
        "u16" => DataType::UInt16,
        "u32" => DataType::UInt32,
        "u64" => DataType::UInt64,
        "f32" | "float" | "real" => DataType::Float32,
        "f64" | "double" => DataType::Float64,
        "text" | "string" | "varchar" => DataType::Utf8,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => return None,
    })
}
