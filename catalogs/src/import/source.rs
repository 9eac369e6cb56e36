//! Where the rows of an import come from.
//!
//! A source is read twice, once to count the sky and once to move the rows, so it is something that can be opened again:
//! a file, or a generator. Formats are told by their ending.

use std::{
    fs::File,
    io::{BufReader, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    csv::{ReaderBuilder, reader::Format},
    datatypes::SchemaRef,
    error::ArrowError,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::CatalogError;

/// Rows a batch while reading.
const BATCH_ROWS: usize = 65_536;

/// The rows of one pass over a source.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'a>;

/// Rows that can be read again and again, in the same order.
pub trait RowSource: Send + Sync {
    /// The name that messages use.
    fn name(&self) -> String;
    /// The columns, with VO metadata where it is known.
    fn schema(&self) -> SchemaRef;
    /// One pass over all rows.
    fn batches(&self) -> Result<Batches<'_>, CatalogError>;
}

/// Opens a local file as a source: `.parquet`, `.csv` or `.tsv`.
pub fn open_file(path: &Path) -> Result<Box<dyn RowSource>, CatalogError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "parquet" | "parq" => Ok(Box::new(ParquetFile::open(path)?)),
        "csv" => Ok(Box::new(TextFile::open(path, b',')?)),
        "tsv" => Ok(Box::new(TextFile::open(path, b'\t')?)),
        _ => Err(CatalogError::input(path.display(), "its format is not known; files end in .parquet, .csv or .tsv")),
    }
}

fn open(path: &Path) -> Result<File, CatalogError> {
    let file = File::open(path).map_err(|error| CatalogError::input(path.display(), error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(CatalogError::input(path.display(), "it is a folder, not a file"));
    }
    Ok(file)
}

struct ParquetFile {
    path: PathBuf,
    schema: SchemaRef,
}

impl ParquetFile {
    fn open(path: &Path) -> Result<Self, CatalogError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(open(path)?);
        let builder = builder
            .map_err(|error| CatalogError::input(path.display(), format!("it cannot be read as Parquet: {error}")))?;
        Ok(Self { path: path.to_owned(), schema: Arc::clone(builder.schema()) })
    }
}

impl RowSource for ParquetFile {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn batches(&self) -> Result<Batches<'_>, CatalogError> {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(open(&self.path)?)?.with_batch_size(BATCH_ROWS).build()?;
        Ok(Box::new(reader))
    }
}

/// Comma- or tab-separated text with a header line. Types are inferred from every line, so that no late row surprises.
struct TextFile {
    path: PathBuf,
    format: Format,
    schema: SchemaRef,
}

impl TextFile {
    fn open(path: &Path, delimiter: u8) -> Result<Self, CatalogError> {
        let format = Format::default().with_header(true).with_delimiter(delimiter);
        let mut file = BufReader::new(open(path)?);
        let (schema, _) = format.infer_schema(&mut file, None).map_err(|error| {
            CatalogError::input(path.display(), format!("it cannot be read as text columns: {error}"))
        })?;
        file.rewind().map_err(|error| CatalogError::input(path.display(), error))?;
        if schema.fields().is_empty() {
            return Err(CatalogError::input(path.display(), "it is empty; its first line should name the columns"));
        }
        Ok(Self { path: path.to_owned(), format, schema: Arc::new(schema) })
    }
}

impl RowSource for TextFile {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn batches(&self) -> Result<Batches<'_>, CatalogError> {
        let reader = ReaderBuilder::new(Arc::clone(&self.schema))
            .with_format(self.format.clone())
            .with_batch_size(BATCH_ROWS)
            .build_buffered(BufReader::with_capacity(1 << 20, open(&self.path)?))?;
        Ok(Box::new(reader))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use arrow::datatypes::DataType;

    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        (folder, path)
    }

    fn refusal(name: &str, text: &str) -> String {
        let (_folder, path) = file(name, text);
        match open_file(&path) {
            Err(error) => error.to_string(),
            Ok(source) => source.batches().unwrap().find_map(Result::err).expect("a refusal").to_string(),
        }
    }

    #[test]
    fn text_gets_the_types_that_all_of_its_rows_allow() {
        let (_folder, path) = file("a.tsv", "id\tra\tname\n1\t10.5\tα Cen\n2\t11\t\n");
        let source = open_file(&path).unwrap();
        let types: Vec<_> = source.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Int64, DataType::Float64, DataType::Utf8]);
        let rows: usize = source.batches().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows, 2);
    }

    #[test]
    fn a_source_is_read_again_from_its_beginning() {
        let (_folder, path) = file("a.csv", "a\n1\n2\n");
        let source = open_file(&path).unwrap();
        let pass = || source.batches().unwrap().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(pass(), pass());
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_file_and_the_reason() {
        assert!(refusal("a.csv", "").contains("empty"));
        assert!(refusal("a.parquet", "ra,dec\n").contains("as Parquet"));
        assert!(refusal("a.xlsx", "").contains("format is not known"));
        let ragged = refusal("a.csv", "a,b\n1,2\n3\n");
        assert!(ragged.contains("line 3"), "{ragged}");
        let sentence = open_file(Path::new("no/such.csv")).err().unwrap().to_string();
        assert!(sentence.starts_with("no/such.csv: "), "{sentence}");
    }
}
