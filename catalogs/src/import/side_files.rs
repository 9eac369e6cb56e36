//! Everything but the rows: what HATS readers need, and what we do. The descriptor comes last and makes it a catalogue.

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use parquet::{
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};

use sha2::{Digest, Sha256};

use crate::{
    CatalogError, CatalogStore, DataFile, Descriptor, HEALPIX_COLUMN, Kind, Pairs, Properties,
    footers::Footers,
    import::{ImportPlan, journal::Finished, leaf::Style},
    layout, manifest,
    snapshot::hexadecimal,
    statistics::StatisticsWriter,
};

/// Above so many column chunks `dataset/_metadata` is left out: readers do without, and it would be as large as a table.
const FOOTER_CHUNKS: usize = 200_000;
/// The most letters of a column's name in that of a folder.
const LONGEST_NAME: usize = 100;
/// How many footers are read at once.
const FOOTERS_AT_ONCE: usize = 16;

/// A version that is about to be complete.
pub(super) struct Version<'a> {
    pub(super) store: &'a CatalogStore,
    pub(super) root: &'a str,
    /// The table's folder below the root.
    pub(super) table: &'a str,
    pub(super) schema: &'a SchemaRef,
    pub(super) style: &'a Style,
    pub(super) descriptor: &'a Descriptor,
    /// The files in the order of the sky.
    pub(super) files: &'a [Finished],
}

impl Version<'_> {
    async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), CatalogError> {
        self.store.put(&format!("{}/{path}", self.root), bytes).await
    }

    /// Schema, manifest and statistics: with them the files can be read as a table.
    pub(super) async fn write_ours(&self) -> Result<(), CatalogError> {
        self.put(layout::SCHEMA, self.style.footer()?).await?;
        let files: Vec<_> = self.files.iter().map(|(file, _)| file.clone()).collect();
        self.put(layout::MANIFEST, manifest::encode(&files)?).await?;
        let mut statistics = StatisticsWriter::new(self.schema)?;
        for (_, file) in self.files {
            statistics.push(file.clone())?;
        }
        self.put(layout::STATISTICS, statistics.finish()?).await
    }

    /// Whether other HATS readers can be given the tree: it has positions, and all of its files.
    pub(super) fn is_hats(&self) -> bool {
        self.descriptor.position.is_some() && self.files.iter().all(|(file, _)| !file.path.starts_with('/'))
    }

    /// What other HATS readers look for.
    pub(super) async fn write_hats(&self, plan: &ImportPlan) -> Result<(), CatalogError> {
        if !self.is_hats() {
            return Ok(());
        }
        let table = self.table;
        let mut partitions = String::from("Norder,Npix\n");
        for pixel in self.files.iter().filter_map(|(file, _)| file.pixel) {
            partitions += &format!("{},{}\n", pixel.order().get(), pixel.index());
        }
        self.put(&format!("{table}/{}", layout::COMMON_METADATA), self.style.footer()?).await?;
        self.put(&format!("{table}/{}", layout::PARTITIONS), partitions.into_bytes()).await?;
        if let Some(footers) = self.footers().await? {
            self.put(&format!("{table}/dataset/_metadata"), footers).await?;
        }
        let properties = self.properties(plan).to_string().into_bytes();
        self.put(&format!("{table}/{}", layout::OLD_PROPERTIES), properties.clone()).await?;
        self.put(&format!("{table}/{}", layout::PROPERTIES), properties).await?;
        self.put(layout::COLLECTION, self.collection().into_bytes()).await
    }

    /// The footers of all files as one, where that is not too much.
    async fn footers(&self) -> Result<Option<Vec<u8>>, CatalogError> {
        let groups: u64 = self.files.iter().map(|(file, _)| file.rows / self.style.row_group_rows() as u64 + 1).sum();
        if groups as usize * self.schema.fields().len() > FOOTER_CHUNKS {
            return Ok(None);
        }
        let mut footers = Footers::new(self.schema, self.style.properties())?;
        let mut read = futures::stream::iter(self.files).map(|(file, _)| self.footer(file)).buffered(FOOTERS_AT_ONCE);
        for (file, _) in self.files {
            let Some(footer) = read.next().await.transpose()? else { break };
            let below = file.path.rsplit_once("dataset/").map_or(file.path.as_str(), |(_, below)| below);
            footers.push(below, footer)?;
        }
        footers.encode().map(Some)
    }

    async fn footer(&self, file: &DataFile) -> Result<ParquetMetaData, CatalogError> {
        let path = format!("{}/{}", self.root, file.path);
        let mut tail = (64 << 10).min(file.bytes);
        loop {
            let bytes = self.store.get_range(&path, file.bytes - tail..file.bytes).await?;
            let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip);
            match reader.try_parse_sized(&bytes, file.bytes) {
                Ok(()) => return Ok(reader.finish()?),
                Err(ParquetError::NeedMoreData(needed)) if tail < file.bytes => {
                    tail = (needed as u64).max(tail + 1).min(file.bytes);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn properties(&self, plan: &ImportPlan) -> Properties {
        let Descriptor { rows, position, kind, .. } = self.descriptor;
        let mut properties = Properties::default();
        properties.set("obs_collection", self.table);
        properties.set(
            "dataproduct_type",
            match kind {
                Kind::Source => "source",
                Kind::Association => "association",
                _ => "object",
            },
        );
        if let Some(Pairs { left, right }) = &self.descriptor.pairs {
            properties.set("hats_primary_table_url", &left.table);
            properties.set("hats_col_assn_primary", &left.id);
            properties.set("hats_col_assn_primary_assn", &left.column);
            properties.set("hats_assn_join_table_url", &right.table);
            properties.set("hats_col_assn_join", &right.id);
            properties.set("hats_col_assn_join_assn", &right.column);
            properties.set("hats_assn_leaf_files", "True");
            properties.set("hats_assn_max_separation", right.separation_arcsec);
        }
        properties.set("hats_nrows", rows);
        properties.set("hats_max_rows", plan.max_rows);
        properties.set("hats_estsize", self.files.iter().map(|(file, _)| file.bytes).sum::<u64>() / 1024);
        properties.set("hats_builder", &self.descriptor.builder);
        properties.set("hats_creation_date", self.descriptor.created.format("%Y-%m-%dT%H:%MUTC"));
        properties.set("hats_release_date", "2025-08-22");
        properties.set("hats_version", "v1.0");
        if let Some(description) = &self.descriptor.description {
            properties.set("obs_description", description);
        }
        if let Some(position) = position {
            properties.set("hats_col_ra", &position.ra);
            properties.set("hats_col_dec", &position.dec);
        }
        if let Some(id) = &self.descriptor.id {
            properties.set("hats_cols_survey_id", id);
        }
        properties.set("hats_col_healpix", HEALPIX_COLUMN);
        properties.set("hats_col_healpix_order", 29);
        properties.set("hats_npix_suffix", ".parquet");
        let pixels = || self.files.iter().filter_map(|(file, _)| file.pixel);
        properties.set("hats_order", pixels().map(|pixel| pixel.order().get()).max().unwrap_or(0));
        let cells: u64 = pixels().map(|pixel| pixel.range().end - pixel.range().start).sum();
        properties.set("moc_sky_fraction", format!("{:.5}", cells as f64 / (12_u64 << 58) as f64));
        properties
    }

    fn collection(&self) -> String {
        let Descriptor { margins, indexes, .. } = self.descriptor;
        let mut properties = Properties::default();
        // A name of its own: readers tell a collection from its table by it.
        properties.set("obs_collection", format!("{}_collection", self.table));
        properties.set("hats_primary_table_url", self.table);
        if let Some(first) = margins.first() {
            let all: Vec<&str> = margins.iter().map(|margin| margin.folder.as_str()).collect();
            properties.set("all_margins", all.join(" "));
            properties.set("default_margin", &first.folder);
        }
        // Lists are divided by spaces: an index of a column with one in its name cannot be told.
        let told: Vec<_> = indexes.iter().filter(|index| !index.column.contains([' ', ',', ';'])).collect();
        if let Some(first) = told.first() {
            let all: Vec<String> = told.iter().map(|index| format!("{} {}", index.column, index.folder)).collect();
            properties.set("all_indexes", all.join(" "));
            properties.set("default_index", &first.column);
        }
        properties.to_string()
    }

    /// Makes it a catalogue.
    pub(super) async fn write_descriptor(&self, report: Vec<u8>) -> Result<(), CatalogError> {
        self.put(layout::IMPORT_REPORT, report).await?;
        self.put(layout::DESCRIPTOR, self.descriptor.encode()?).await
    }
}

/// The name of the folder of a margin.
pub(super) fn margin_folder(table: &str, arcsec: f64) -> String {
    format!("{table}_{arcsec}arcsec")
}

/// The name of the folder of an index. One that cannot tell its column whole has a checksum of it, so that no two share it.
pub(super) fn index_folder(table: &str, column: &str) -> String {
    let plain = column.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' });
    let plain: String = plain.take(LONGEST_NAME).collect();
    if plain == column {
        return format!("{table}_by_{plain}");
    }
    let sum = hexadecimal(&Sha256::digest(column));
    format!("{table}_by_{plain}_{}", &sum[..8])
}
