//! A whole house in a temporary folder: store, metadata database, engine, jobs. Shared by the tests of the doors.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use catalogs::{
    CatalogStore, PositionColumns, Remote, StoreOptions,
    import::{self, ImportPlan, PositionPlan},
};
use engine::{Engine, EngineOptions};
use formats::Batches;
use jobs::Jobs;
use metadata::{Metadata, Publication};
use tempfile::TempDir;

pub struct House {
    pub folder: TempDir,
    pub metadata: Metadata,
    pub store: CatalogStore,
    pub jobs: Arc<Jobs>,
}

impl House {
    /// A house with no table.
    pub async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metadata = Metadata::open(&format!("sqlite:{}/almagest.db", folder.path().display())).await.unwrap();
        let url = folder.path().join("catalogues").display().to_string();
        let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
        let engine = Engine::new(EngineOptions { memory: 256 << 20, threads: 2, ..EngineOptions::default() }).unwrap();
        let jobs = Arc::new(Jobs::new(engine, metadata.clone(), store.clone(), Remote::default(), "a test".into()));
        Self { folder, metadata, store, jobs }
    }

    /// A house with the table `demo.stars` of `rows` stars.
    pub async fn with_stars(rows: i64) -> Self {
        let house = Self::empty().await;
        house.publish("demo.stars", stars(rows)).await;
        house
    }

    /// Imports rows as the next version of a table and publishes it. Returns the folder of the catalogue.
    pub async fn publish(&self, name: &str, rows: RecordBatch) -> String {
        let root = format!("{name}/{}", self.metadata.generation().await.unwrap());
        let description = Some("Stars of the tests, <none> real".to_owned());
        let mut plan = ImportPlan::new(name.parse().unwrap(), Default::default());
        if PositionColumns::recognise(&rows.schema()).is_none() {
            plan.position = PositionPlan::None;
        }
        plan.description = description.clone();
        plan.max_rows = 1000;
        plan.memory = 64 << 20;
        plan.spill = self.folder.path().join("spill");
        let given = Batches::new("given rows", rows.schema(), vec![rows]);
        let imported = import::run(&self.store, &root, vec![Box::new(given)], plan, Arc::new(|_| {})).await;
        let (snapshot, _) = imported.unwrap();
        let publication = Publication {
            name: name.parse().unwrap(),
            root: root.clone(),
            snapshot: snapshot.id().to_owned(),
            rows: snapshot.rows(),
            description,
            note: None,
            columns: Vec::new(),
        };
        let seen = self.metadata.table(&publication.name).await.unwrap().map(|served| served.version);
        self.metadata.publish(&publication, seen, None).await.unwrap();
        root
    }
}

/// Stars along a line at declination 5°, 0.01° apart from right ascension 10° on. Each third has no magnitude.
pub fn stars(rows: i64) -> RecordBatch {
    let degrees = |name: &str, ucd: &str| {
        let metadata = [("vo:unit", "deg"), ("vo:ucd", ucd), ("vo:description", "Position <ICRS>")];
        Field::new(name, DataType::Float64, false)
            .with_metadata(metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    };
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        degrees("ra", "pos.eq.ra;meta.main"),
        degrees("dec", "pos.eq.dec;meta.main"),
        Field::new("mag", DataType::Float32, true),
        Field::new("name", DataType::Utf8, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows)),
        Arc::new(Float64Array::from_iter_values((0..rows).map(|row| 10.0 + row as f64 / 100.0))),
        Arc::new(Float64Array::from_iter_values((0..rows).map(|_| 5.0))),
        Arc::new(Float32Array::from_iter((0..rows).map(|row| (row % 3 != 2).then_some(15.0 + row as f32 / 2.0)))),
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("star, no {row}")))),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}
