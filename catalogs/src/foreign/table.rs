//! One foreign catalogue, judged as a whole: its files, its one schema, its columns of position, its cells.
//!
//! What would give wrong answers is refused by the name of the file; what is merely odd becomes a warning.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::{arrow::parquet_to_arrow_schema, file::metadata::ParquetMetaData};
use sky::healpix::{CELLS_29, Pixel};

use super::{
    Count,
    footer::{self, Footer, Footers},
    info::CatalogInfo,
    leaves::{self, Leaves, METADATA},
    place::Place,
    schema::{self, Adapter},
};
use crate::{
    CatalogError, DataFile, HEALPIX_COLUMN,
    descriptor::{HealpixColumn, Kind, Position},
    layout, snapshot,
    statistics::StatisticsWriter,
};

/// A catalogue that can be read.
#[derive(Debug)]
pub(super) struct ForeignTable {
    pub(super) schema: SchemaRef,
    /// With paths in the place's store, ascending along the sky.
    pub(super) files: Vec<DataFile>,
    /// Of the same files, of the columns of `schema`, as they are stored.
    pub(super) statistics: Vec<u8>,
    pub(super) position: Option<Position>,
    pub(super) healpix: Option<HealpixColumn>,
    /// Whether each file ascends by the spatial index.
    pub(super) sorted: bool,
    pub(super) default_columns: Vec<String>,
    pub(super) rows: u64,
    pub(super) row_groups: u64,
    pub(super) warnings: Vec<String>,
}

/// Reads what there is to know of a catalogue without reading its rows.
pub(super) async fn read(place: &Place, info: &CatalogInfo, count: &mut Count) -> Result<ForeignTable, CatalogError> {
    if info.kind == Kind::Association && !info.leaf_files {
        return Err(place.bad(
            "it is an association without stored pairs (hats_assn_leaf_files=False): it has no rows that could be read",
        ));
    }
    let found = leaves::find(place, info).await?;
    of_leaves(place, info, found, count).await
}

/// Reads what there is to know of these files without reading their rows.
pub(super) async fn of_leaves(
    place: &Place,
    info: &CatalogInfo,
    found: Leaves,
    count: &mut Count,
) -> Result<ForeignTable, CatalogError> {
    let index_column = info.healpix.as_ref().map_or(HEALPIX_COLUMN, |healpix| healpix.column.as_str());
    let (declared, footers) =
        futures::try_join!(declared(place), footer::read_all(place, found.files, index_column, count))?;
    let mut warnings = found.warnings;
    let declared = declared.map(|(file, schema, header)| {
        warnings.extend(header);
        (file, schema)
    });
    let mut table = judge(info, declared, footers, warnings).map_err(|why| place.bad(why))?;
    for file in &mut table.files {
        file.path = place.path(&file.path);
    }
    Ok(table)
}

/// The key under which Parquet files of the Virtual Observatory carry the header of a VOTable.
const VOTABLE_HEADER: &str = "IVOA.VOTable-Parquet.content";

/// A schema, the file that declares it, and what is odd about it.
type Declared = (&'static str, Schema, Option<String>);

/// The schema that the catalogue declares, with the units and descriptions of a VOTable header that stands beside it.
async fn declared(place: &Place) -> Result<Option<Declared>, CatalogError> {
    for file in [layout::COMMON_METADATA, METADATA] {
        if let Some(metadata) = footer::optional(place, file).await? {
            let schema = schema_of(&metadata).map_err(|why| place.bad(format!("{file}: {why}")))?;
            let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
            let header = pairs.filter(|pair| pair.key == VOTABLE_HEADER).find_map(|pair| pair.value.as_deref());
            return Ok(Some(match header.map(|header| formats::described_by_votable(&schema, header.as_bytes())) {
                Some(Ok(described)) => (file, Arc::unwrap_or_clone(described), None),
                Some(Err(error)) => {
                    (file, schema, Some(format!("{file}: what it says of the columns is not understood: {error}")))
                }
                None => (file, schema, None),
            }));
        }
    }
    Ok(None)
}

fn schema_of(metadata: &ParquetMetaData) -> Result<Schema, String> {
    let file = metadata.file_metadata();
    parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
        .map_err(|error| format!("its schema cannot be understood: {error}"))
}

/// Puts together what all files say.
fn judge(
    info: &CatalogInfo,
    declared: Option<(&str, Schema)>,
    footers: Footers,
    mut warnings: Vec<String>,
) -> Result<ForeignTable, String> {
    if declared.is_none() {
        if footers.files.is_empty() {
            return Err(
                "it has neither dataset/_common_metadata nor a file with rows: its columns are not known".into()
            );
        }
        warnings.push("it has no dataset/_common_metadata: its columns are those found in its files".into());
    }
    let reconciled = schema::reconcile(declared.as_ref().map(|(name, schema)| (*name, schema)), &footers)?;
    let schema = reconciled.schema;
    warnings.extend(reconciled.warnings);
    let rows = footers.files.iter().map(|footer| footer.rows).sum();
    check_rows(info, rows, &mut warnings)?;
    let healpix = healpix_column(info, &schema, &mut warnings);
    let position = position(info, &schema, &mut warnings)?;
    let default_columns = default_columns(info, &schema, &mut warnings);

    let all = &footers.files;
    let of_file = |footer| Ok(to_file(footer, cells(info.kind, healpix.as_ref(), footer)?));
    let mut files = all.iter().map(of_file).collect::<Result<Vec<_>, String>>()?;
    snapshot::sort(&mut files);
    let by_path: HashMap<&str, &Footer> = all.iter().map(|footer| (footer.leaf.path.as_str(), footer)).collect();
    let adapter = Adapter::new(&schema, &footers.kinds);
    let mut statistics = StatisticsWriter::new(&schema).map_err(|error| error.to_string())?;
    for file in &files {
        statistics.push(adapter.adapt(by_path[file.path.as_str()])).map_err(|error| error.to_string())?;
    }
    let statistics = statistics.finish().map_err(|error| error.to_string())?;
    // The rows of a margin come from several partitions: its files ascend piece by piece only.
    let ascending = all.iter().all(|footer| footer.index.ascending && !footer.index.nulls);
    Ok(ForeignTable {
        sorted: healpix.is_some() && info.kind != Kind::Margin && ascending,
        row_groups: all.iter().map(|footer| footer.row_groups).sum(),
        schema,
        files,
        statistics,
        position,
        healpix,
        default_columns,
        rows,
        warnings,
    })
}

fn to_file(footer: &Footer, cells: Option<(u64, u64)>) -> DataFile {
    DataFile {
        path: footer.leaf.path.clone(),
        bytes: footer.bytes,
        rows: footer.rows,
        pixel: footer.leaf.pixel,
        cells,
        sha256: None,
    }
}

/// Fewer rows than told means that a file is missing or was cut. More means that the number was not kept up, which
/// harms nobody.
fn check_rows(info: &CatalogInfo, rows: u64, warnings: &mut Vec<String>) -> Result<(), String> {
    match info.rows {
        Some(told) if rows < told => {
            Err(format!("hats_nrows tells {told} rows, but its files have {rows}: {} rows are missing", told - rows))
        }
        Some(told) if rows > told => {
            warnings.push(format!("hats_nrows tells {told} rows, but its files have {rows}"));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The spatial index column: as declared, else by its usual name.
fn healpix_column(info: &CatalogInfo, schema: &Schema, warnings: &mut Vec<String>) -> Option<HealpixColumn> {
    if info.kind == Kind::Index {
        return None; // it has the cells of rows elsewhere, if any
    }
    let usual = HealpixColumn { column: HEALPIX_COLUMN.to_owned(), order: 29 };
    let declared = info.healpix.clone();
    let found = declared.iter().chain([&usual]).find(|healpix| schema.index_of(&healpix.column).is_ok()).cloned();
    if let Some(declared) = &declared
        && found.as_ref() != Some(declared)
    {
        warnings.push(format!("there is no column {}, which hats_col_healpix names", declared.column));
    }
    let found = found?;
    let field = schema.field_with_name(&found.column).ok()?;
    if !field.data_type().is_integer() {
        warnings.push(format!("the spatial index {} is {}, not a whole number", found.column, field.data_type()));
        return None;
    }
    Some(found)
}

/// The position columns. Objects and sources must have them; elsewhere they are welcome.
fn position(info: &CatalogInfo, schema: &Schema, warnings: &mut Vec<String>) -> Result<Option<Position>, String> {
    let Some((ra, dec)) = &info.position else { return Ok(None) };
    let fault = [("hats_col_ra", ra), ("hats_col_dec", dec)].into_iter().find_map(|(key, column)| {
        match schema.field_with_name(column).map(|field| field.data_type()) {
            Err(_) => Some(format!("{key} names the column {column}, which is not there")),
            Ok(DataType::Float16 | DataType::Float32 | DataType::Float64) => None,
            Ok(number) if number.is_integer() => None,
            Ok(other) => Some(format!("{key} names the column {column}, which is {other} and no number")),
        }
    });
    match fault {
        None => {
            let slack_arcsec = [ra, dec].into_iter().map(|column| rounding(schema, column)).fold(0.0, f64::max);
            Ok(Some(Position { ra: ra.clone(), dec: dec.clone(), slack_arcsec }))
        }
        Some(why) if matches!(info.kind, Kind::Object | Kind::Source) => Err(why),
        Some(why) => {
            warnings.push(why);
            Ok(None)
        }
    }
}

/// How far, in arcseconds, a position may lie from where it was when its cell was computed, since it is stored with fewer
/// digits. Right ascensions near 360 degrees are a ninth of an arcsecond apart in 32 bits, a quarter of a degree in 16.
fn rounding(schema: &Schema, column: &str) -> f64 {
    match schema.field_with_name(column).map(|field| field.data_type()) {
        Ok(DataType::Float32) => 0.1,
        Ok(DataType::Float16) => 900.0,
        _ => 0.0,
    }
}

fn default_columns(info: &CatalogInfo, schema: &Schema, warnings: &mut Vec<String>) -> Vec<String> {
    let (there, missing): (Vec<_>, Vec<_>) =
        info.default_columns.iter().cloned().partition(|column| schema.index_of(column).is_ok());
    warnings.extend(
        missing.into_iter().map(|column| format!("hats_cols_default names the column {column}, which is not there")),
    );
    there
}

/// The cells of order 29 that the rows of a file lie in, first and last.
///
/// A partition holds what lies in its pixel; the footer may narrow that. Where it shows a row outside, a search of the
/// sky would miss that row. The rows of a margin lie outside its pixel, as they should, and are where the footer says.
fn cells(kind: Kind, healpix: Option<&HealpixColumn>, footer: &Footer) -> Result<Option<(u64, u64)>, String> {
    let bad = |why: String| Err(format!("{}: {why}", footer.leaf.path));
    let found = healpix.zip(footer.index.range).map(|(healpix, (low, high))| {
        let shift = 2 * (29 - u32::from(healpix.order));
        (healpix, (low, high), shift)
    });
    if let Some((healpix, (_, high), shift)) = found
        && high >= CELLS_29 >> shift
    {
        return bad(format!("its {} has the value {high}; order {} has no such cell", healpix.column, healpix.order));
    }
    let told = found.map(|(_, (low, high), shift)| (low << shift, ((high + 1) << shift) - 1));
    let Some(pixel) = footer.leaf.pixel.filter(|_| kind != Kind::Margin) else {
        return Ok(told.filter(|_| footer.leaf.pixel.is_some() && !footer.index.nulls));
    };
    let whole = (pixel.range().start, pixel.range().end - 1);
    match (told, found) {
        (Some((first, last)), Some((healpix, (low, high), _))) => {
            // Cells coarser than the partition hold it: they must touch it, and narrow nothing.
            let inside = first >= whole.0 && last <= whole.1;
            let around = first <= whole.0 && last >= whole.1 && healpix.order < pixel.order().get() && low == high;
            if !inside && !around {
                return bad(outside(healpix, pixel, low, high));
            }
            let narrowed = (first.max(whole.0), last.min(whole.1));
            Ok(Some(if footer.index.nulls { whole } else { narrowed }))
        }
        _ => Ok(Some(whole)),
    }
}

fn outside(healpix: &HealpixColumn, pixel: Pixel, low: u64, high: u64) -> String {
    format!(
        "it has rows outside its cell {pixel}: its {} is {low} to {high}, where a search of the sky would not look for them",
        healpix.column
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::{footer::IndexRange, leaves::Leaf};
    use sky::healpix::Order;

    fn footer(order: u8, index: u64, range: Option<(u64, u64)>, nulls: bool) -> Footer {
        let pixel = Pixel::new(Order::new(order).unwrap(), index).unwrap();
        Footer {
            leaf: Leaf { pixel: Some(pixel), path: "leaf".into() },
            bytes: 1,
            rows: 1,
            row_groups: 1,
            index: IndexRange { range, nulls, ascending: false },
            kind: 0,
            number: 0,
        }
    }

    fn of_order(order: u8) -> HealpixColumn {
        HealpixColumn { column: "h".into(), order }
    }

    #[test]
    fn the_footer_narrows_the_cells_of_a_partition() {
        let whole = Some((44 << 56, (45 << 56) - 1));
        let inside = Some(((44 << 56) + 5, (44 << 56) + 9));
        let cells = |range, nulls| cells(Kind::Object, Some(&of_order(29)), &footer(1, 44, range, nulls));
        assert_eq!(cells(inside, false), Ok(inside));
        assert_eq!(cells(inside, true), Ok(whole), "a row without a cell may be anywhere in the partition");
        assert_eq!(cells(None, false), Ok(whole));
        for (low, high) in [((44 << 56) - 1, 44 << 56), (44 << 56, 45 << 56), (0, 1)] {
            let sentence = cells(Some((low, high)), false).unwrap_err();
            assert!(sentence.starts_with("leaf: it has rows outside its cell 1/44"), "{sentence}");
        }
        assert!(cells(Some((0, CELLS_29)), false).unwrap_err().contains("no such cell"));
    }

    #[test]
    fn cells_of_a_coarser_index_are_scaled() {
        let of =
            |order, pixel, range| cells(Kind::Object, Some(&of_order(order)), &footer(3, pixel, Some(range), false));
        // Order 4 in a partition of order 3.
        assert_eq!(of(4, 10, (41, 42)), Ok(Some((41 << 50, (43 << 50) - 1))));
        assert!(of(4, 10, (41, 44)).is_err());
        // Order 2 around a partition of order 3: the partition is all that is known.
        assert_eq!(of(2, 10, (2, 2)), Ok(Some((10 << 52, (11 << 52) - 1))));
        assert!(of(2, 10, (2, 3)).is_err());
        assert!(of(2, 10, (1, 1)).is_err());
    }

    #[test]
    fn positions_of_few_digits_are_looked_for_around_their_cells() {
        let fields = [("a", DataType::Float64), ("b", DataType::Float32)];
        let schema = Schema::new(fields.map(|(name, ty)| arrow::datatypes::Field::new(name, ty, true)).to_vec());
        let slack = |ra: &str, dec: &str| {
            let told = "obs_collection=c\ndataproduct_type=object\nhats_col_ra=RA\nhats_col_dec=DEC\n";
            let told = told.replace("RA", ra).replace("DEC", dec);
            let info = crate::foreign::info::catalog(&crate::Properties::parse(&told)).unwrap();
            position(&info, &schema, &mut Vec::new()).unwrap().unwrap().slack_arcsec
        };
        assert_eq!(slack("a", "a"), 0.0);
        let step = f64::from(360.0_f32 - 360.0_f32.next_down()) * 3600.0;
        assert!(slack("a", "b") > step / 2.0 && slack("b", "a") == slack("b", "b"));
    }

    #[test]
    fn rows_of_a_margin_are_where_they_are() {
        let of = |range, nulls| cells(Kind::Margin, Some(&of_order(29)), &footer(0, 4, range, nulls));
        assert_eq!(of(Some((44 << 56, 45 << 56)), false), Ok(Some((44 << 56, 45 << 56))));
        assert_eq!(of(Some((44 << 56, 45 << 56)), true), Ok(None));
        assert_eq!(of(None, false), Ok(None));
    }
}
