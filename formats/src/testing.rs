//! For tests: a store in memory whose answers can break off, a table to write, and readers of whole tables.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{Array, ArrayRef, DictionaryArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Float32Type, Int8Type, Schema},
};
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use tokio::runtime::Runtime;

use crate::{Input, Places, SourceOptions, TableSource};

/// How answers break off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Not at all.
    Never,
    /// Each second answer for a range, whoever else asks meanwhile, ends after half of it, as if that were all.
    ShortOnce,
    /// The same, but with an error.
    ErrorOnce,
    /// Every answer ends after half of it, as if that were all.
    Always,
}

/// A store and the runtime that reads it.
pub(crate) struct Net {
    pub(crate) store: Arc<Flaky>,
    runtime: Runtime,
}

impl Net {
    pub(crate) fn new(broken: Broken) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { store: Arc::new(Flaky::new(broken)), runtime }
    }

    /// Puts an object and opens it.
    pub(crate) fn input(&self, name: &str, content: &[u8]) -> Input {
        let path = Path::from(name);
        let store = &self.store.inner;
        let meta = self.runtime.block_on(async {
            store.put(&path, Bytes::copy_from_slice(content).into()).await.unwrap();
            store.head(&path).await.unwrap()
        });
        Input::object(name.to_owned(), Arc::clone(&self.store) as _, meta, self.runtime.handle().clone())
    }

    pub(crate) fn remove(&self, name: &str) {
        self.runtime.block_on(self.store.inner.delete(&Path::from(name))).unwrap();
    }
}

/// A store in memory whose answers break off.
#[derive(Debug)]
pub(crate) struct Flaky {
    inner: InMemory,
    broken: Broken,
    /// How often each end of a range was asked for: a range that is taken up again keeps its end.
    turns: Mutex<HashMap<u64, u64>>,
    answers: AtomicU64,
    cuts: AtomicU64,
    sent: AtomicU64,
}

impl Flaky {
    fn new(broken: Broken) -> Self {
        Self {
            inner: InMemory::new(),
            broken,
            turns: Mutex::default(),
            answers: 0.into(),
            cuts: 0.into(),
            sent: 0.into(),
        }
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn cut(&self, mut bytes: Bytes, end: u64) -> Vec<Result<Bytes>> {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let turn = *self.turns.lock().unwrap().entry(end).and_modify(|turn| *turn += 1).or_default();
        let broken = match self.broken {
            Broken::Never => false,
            Broken::ShortOnce | Broken::ErrorOnce => turn.is_multiple_of(2),
            Broken::Always => true,
        };
        if broken {
            self.cuts.fetch_add(1, Ordering::Relaxed);
            bytes.truncate(bytes.len() / 2);
        }
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut parts = vec![Ok(bytes)];
        if broken && self.broken == Broken::ErrorOnce {
            parts.push(Err(object_store::Error::Generic { store: "Flaky", source: "connection reset".into() }));
        }
        parts
    }
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flaky({})", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Flaky {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let result = self.inner.get_opts(location, options).await?;
        let (meta, range, attributes) = (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let parts = self.cut(result.bytes().await?, range.end);
        Ok(GetResult { payload: GetResultPayload::Stream(stream::iter(parts).boxed()), meta, range, attributes })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// The rows of a table, of all columns or some: in one batch, with the number of each row.
pub(crate) fn read(table: &dyn TableSource, columns: Option<&[usize]>) -> std::result::Result<RecordBatch, String> {
    let mut batches = Vec::new();
    let mut next = 1;
    for piece in table.pieces(columns).map_err(|error| error.to_string())? {
        let decoded = piece.and_then(|piece| {
            piece.decode(&mut |rows| {
                assert_eq!(rows.places, Places::Rows(next), "rows are numbered in the order of the file");
                assert_eq!(rows.bad, []);
                next += rows.batch.num_rows() as u64;
                batches.push(rows.batch);
                Ok(())
            })
        });
        decoded.map_err(|error| error.to_string())?;
    }
    let schema = match columns {
        Some(columns) => Arc::new(table.schema().project(columns).unwrap()),
        None => Arc::clone(table.schema()),
    };
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// A batch of some types, with NULLs, whose rows differ.
pub(crate) fn stars(rows: usize) -> RecordBatch {
    let id = Int64Array::from_iter_values(0..rows as i64);
    let ra = Float64Array::from_iter((0..rows).map(|i| (i % 7 != 3).then_some(i as f64 * 0.37)));
    let name = StringArray::from_iter((0..rows).map(|i| (i % 5 != 0).then(|| format!("Gaia δ{i}"))));
    let kind: DictionaryArray<Int8Type> = (0..rows).map(|i| ["STAR", "QSO", "GALAXY"].get(i % 4).copied()).collect();
    let light = ListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..rows).map(|i| (i % 6 != 1).then(|| (0..i % 4).map(move |k| Some((i + k) as f32)))),
    );
    let unit = HashMap::from([("vo:unit".to_owned(), "deg".to_owned())]);
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("ra", DataType::Float64, true).with_metadata(unit),
        Field::new("name", DataType::Utf8, true),
        Field::new("kind", kind.data_type().clone(), true),
        Field::new("light", light.data_type().clone(), true),
    ]);
    let columns: Vec<ArrayRef> = vec![Arc::new(id), Arc::new(ra), Arc::new(name), Arc::new(kind), Arc::new(light)];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// Opens bytes as a local file; the folder must be kept.
pub(crate) fn local(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Input) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let input = Input::file(&path).unwrap();
    (folder, input)
}

/// What opening and reading says, without the file's folder: it must be an error, and no panic.
pub(crate) fn refusal(name: &str, bytes: &[u8]) -> String {
    let (folder, input) = local(name, bytes);
    let read = crate::open(input, &SourceOptions::default())
        .map_err(|error| error.to_string())
        .and_then(|table| read(&*table, None));
    let error = read.expect_err("it was read");
    error.strip_prefix(&format!("{}/", folder.path().display())).expect("the file is not named").to_owned()
}
