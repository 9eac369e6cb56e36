//! What a person says of a tree that its files do not: that identifiers name cells, and what elements of arrays are
//! called. It is believed when all rows were read and agree.

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Schema},
};
use sky::{Deg, Position};

use super::{AttachOptions, table::ForeignTable};
use crate::{
    CatalogError, CatalogSnapshot, ColumnMeta, IdCells, IdEncodes,
    elements::{of_other_length, with_elements},
    members::{LeafReader, share},
};

/// How many files are read at a time.
const AT_A_TIME: usize = 8;

/// Notes the names of elements in the schema of a tree. It may have had some already.
pub(super) fn name_elements(table: &mut ForeignTable, options: &AttachOptions) -> Result<(), CatalogError> {
    let refuse = |why: String| CatalogError::input("attach", why);
    let mut fields = table.schema.fields().to_vec();
    for (name, elements) in &options.elements {
        let field = fields.iter_mut().find(|field| field.name() == name);
        let field = field.ok_or_else(|| refuse(format!("there is no column {name}, which --elements names")))?;
        *field = with_elements(field, elements).map_err(|why| refuse(format!("--elements {why}")))?.into();
    }
    table.schema = Schema::new_with_metadata(fields, table.schema.metadata().clone()).into();
    Ok(())
}

/// What is to be found in the rows.
#[derive(Clone)]
struct Promised {
    /// Right ascension and declination, and the identifier.
    ids: Option<(IdCells, [usize; 3])>,
    /// Columns of arrays, and how many elements they have.
    lengths: Vec<(usize, usize)>,
}

/// Reads all rows and holds them against what was promised: how far they are from the cells that their identifiers name.
pub(super) async fn measure(
    snapshot: &CatalogSnapshot,
    options: &AttachOptions,
) -> Result<Option<IdEncodes>, CatalogError> {
    let promised = Promised::of(snapshot, options)?;
    let mut columns: Vec<usize> = promised.ids.iter().flat_map(|(_, columns)| *columns).collect();
    columns.extend(promised.lengths.iter().map(|(column, _)| *column));
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() {
        return Ok(None);
    }
    let (leaves, ids) = (LeafReader::new(snapshot), promised.ids.as_ref().map(|(ids, _)| ids.clone()));
    let found = share(AT_A_TIME, snapshot.files().len(), move |numbers| {
        let (leaves, promised, columns) = (leaves.clone(), promised.clone(), columns.clone());
        async move {
            let mut furthest = 0.0_f64;
            while let Some(number) = numbers.next() {
                let leaf = leaves.open(number).await?;
                let mut rows = leaf.rows(&columns, None, None)?;
                while let Some(batch) = rows.next().await? {
                    let found = promised.look(&batch, &columns);
                    furthest = furthest.max(found.map_err(|why| CatalogError::input(leaf.path(), why))?);
                }
            }
            Ok(furthest)
        }
    });
    let furthest = found.await?.into_iter().fold(0.0, f64::max);
    Ok(ids.map(|ids| ids.told(Deg(furthest))))
}

impl Promised {
    fn of(snapshot: &CatalogSnapshot, options: &AttachOptions) -> Result<Self, CatalogError> {
        let schema = snapshot.schema();
        let ids = options.id_encodes.as_ref().map(|ids| {
            let refuse = |why: String| CatalogError::input("attach", format!("--id-encodes {}: {why}", ids.column));
            let index = |name: &str| schema.index_of(name).map_err(|_| refuse(format!("there is no column {name}")));
            let position = snapshot.descriptor().position.as_ref();
            let position =
                position.ok_or_else(|| refuse("the rows have no positions to compare it with".to_owned()))?;
            let id = index(&ids.column)?;
            let data_type = schema.field(id).data_type();
            if !data_type.is_integer() {
                return Err(refuse(format!("it is {data_type}, and cells are whole numbers")));
            }
            Ok((ids.clone(), [index(&position.ra)?, index(&position.dec)?, id]))
        });
        let named = schema.fields().iter().enumerate().filter(|(_, field)| {
            options.elements.iter().any(|(name, _)| name == field.name())
                && !matches!(field.data_type(), DataType::FixedSizeList(..))
        });
        let lengths = named.filter_map(|(column, field)| Some((column, ColumnMeta::of(field).element_names()?.len())));
        Ok(Self { ids: ids.transpose()?, lengths: lengths.collect() })
    }

    /// The largest distance in degrees of a row from its cell, or the sentence that refuses the promise.
    fn look(&self, rows: &RecordBatch, columns: &[usize]) -> Result<f64, String> {
        let column =
            |wanted: usize| columns.binary_search(&wanted).map(|at| rows.column(at)).map_err(|_| String::new());
        for (wanted, length) in &self.lengths {
            if let Some((_, found)) = of_other_length(column(*wanted)?, *length).first() {
                let name = rows.schema_ref().field(columns.binary_search(wanted).unwrap_or_default()).name().clone();
                return Err(format!("an array of {name} has {found} elements, and --elements names {length}"));
            }
        }
        let Some((ids, [ra, dec, id])) = &self.ids else { return Ok(0.0) };
        let cells = ids.cells(column(*id)?).map_err(|error| error.to_string())?;
        let (ra, dec) = (degrees(column(*ra)?)?, degrees(column(*dec)?)?);
        let mut furthest = 0.0_f64;
        for row in 0..cells.len() {
            if cells.is_null(row) {
                let (name, order) = (&ids.column, ids.order.get());
                return Err(format!("a value of {name} is missing, negative or none of a cell of order {order}"));
            }
            if ra.is_valid(row)
                && dec.is_valid(row)
                && let Ok(position) = Position::from_deg(ra.value(row), dec.value(row))
            {
                furthest = furthest.max(ids.distance(cells.value(row), position).value());
            }
        }
        Ok(furthest)
    }
}

fn degrees(column: &ArrayRef) -> Result<Float64Array, String> {
    let cast = cast(column, &DataType::Float64).map_err(|error| error.to_string())?;
    Ok(cast.as_primitive::<Float64Type>().clone())
}
