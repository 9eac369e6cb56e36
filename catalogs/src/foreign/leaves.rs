//! Which files hold the rows of a foreign catalogue.
//!
//! Three witnesses may speak: `partition_info.csv` lists the cells, `dataset/_metadata` the files, and the folder itself
//! what is there. Each may be missing; where two of them contradict each other, rows would be lost without a word, so
//! that is refused. Only paths are judged here, no file with rows is opened.

use std::collections::{BTreeMap, BTreeSet};

use parquet::file::metadata::ParquetMetaData;
use sky::healpix::{Order, Pixel};

use super::{
    footer,
    info::CatalogInfo,
    place::{Absence, Place},
};
use crate::{CatalogError, descriptor::Kind, layout};

/// The footers of all files in one.
pub(super) const METADATA: &str = "dataset/_metadata";

/// A list of all cells of order 10 has fewer bytes.
const PARTITIONS_AT_MOST: u64 = 512 << 20;

/// A file with rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaf {
    /// The partition that its path names; none for a part of an index.
    pub(super) pixel: Option<Pixel>,
    /// Its path below the catalogue's folder.
    pub(super) path: String,
}

/// The files, ascending, and what is odd about them but harmless.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Leaves {
    pub(super) files: Vec<Leaf>,
    pub(super) warnings: Vec<String>,
}

/// Finds the files of a catalogue.
pub(super) async fn find(place: &Place, info: &CatalogInfo) -> Result<Leaves, CatalogError> {
    let listing = place.list("dataset").await?;
    if info.kind == Kind::Index {
        return parts(place, listing).await;
    }
    let mut witnesses = Witnesses { listing, ..Witnesses::default() };
    let mut warnings = Vec::new();
    match place.read(layout::PARTITIONS, PARTITIONS_AT_MOST).await? {
        Ok(text) => {
            witnesses.cells = Some(cells(&text).map_err(|why| place.bad(format!("{}: {why}", layout::PARTITIONS)))?)
        }
        Err(Absence::WebPage) => warnings.push(format!("a web page stands in the place of {}", layout::PARTITIONS)),
        Err(_) => {}
    }
    let unnamed = info.suffix == "/" && witnesses.listing.is_none();
    if witnesses.cells.is_none() || unnamed {
        witnesses.footers = files_of_metadata(place).await?;
    }
    let mut leaves = witnesses.leaves(&info.suffix).map_err(|why| place.bad(why))?;
    leaves.warnings.splice(0..0, warnings);
    Ok(leaves)
}

/// The files of an index: `dataset/index/part.N.parquet`, by number.
async fn parts(place: &Place, listing: Option<Vec<String>>) -> Result<Leaves, CatalogError> {
    let paths = match listing {
        Some(paths) => paths,
        None => files_of_metadata(place).await?.ok_or_else(|| {
            place.bad("the files of an index are named by dataset/_metadata, which is not there, and cannot be listed")
        })?,
    };
    let number = |path: &String| path.rsplit('/').next()?.strip_prefix("part.")?.split('.').next()?.parse::<u64>().ok();
    let mut numbered: Vec<_> = paths
        .into_iter()
        .filter(|path| path.starts_with("dataset/index/") && path.ends_with(".parquet"))
        .map(|path| (number(&path), path))
        .collect();
    numbered.sort_unstable();
    if numbered.is_empty() {
        return Err(place.bad("it has no file dataset/index/part.0.parquet"));
    }
    let files = numbered.into_iter().map(|(_, path)| Leaf { pixel: None, path }).collect();
    Ok(Leaves { files, warnings: Vec::new() })
}

/// The paths that `dataset/_metadata` names, below the catalogue's folder.
async fn files_of_metadata(place: &Place) -> Result<Option<Vec<String>>, CatalogError> {
    Ok(footer::optional(place, METADATA).await?.map(|metadata| paths_in(&metadata)))
}

fn paths_in(metadata: &ParquetMetaData) -> Vec<String> {
    let paths = metadata.row_groups().iter().filter_map(|group| group.columns().first()?.file_path());
    let paths: BTreeSet<String> = paths.map(|path| format!("dataset/{}", path.trim_start_matches('/'))).collect();
    paths.into_iter().collect()
}

/// The cells that `partition_info.csv` lists.
fn cells(text: &[u8]) -> Result<Vec<Pixel>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text".to_owned())?;
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().map(|(_, line)| line.trim_start_matches('\u{feff}')).unwrap_or_default();
    let word = |word: &str| word.trim().trim_matches('"').to_owned();
    let names: Vec<String> = header.split(',').map(word).collect();
    let column = |name: &str| {
        names.iter().position(|found| found == name).ok_or_else(|| format!("it has no column {name} in its first line"))
    };
    let (order, index) = (column("Norder")?, column("Npix")?);
    lines
        .map(|(number, line)| {
            let words: Vec<String> = line.split(',').map(word).collect();
            let (Some(order), Some(index)) = (words.get(order), words.get(index)) else {
                return Err(format!("line {} has too few values", number + 1));
            };
            pixel(order, index).ok_or_else(|| format!("line {}: {order}/{index} is no cell", number + 1))
        })
        .collect()
}

fn pixel(order: &str, index: &str) -> Option<Pixel> {
    Pixel::new(Order::new(order.parse().ok()?).ok()?, index.parse().ok()?).ok()
}

/// The cell that a path names, and what follows its number: `.*Norder=(\d*).*Npix=(\d*)(.*)`.
fn pixel_of_path(path: &str) -> Option<(Pixel, &str)> {
    let (before, after) = path.rsplit_once("Npix=")?;
    let (_, order) = before.rsplit_once("Norder=")?;
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (index, rest) = after.split_at(digits(after));
    Some((pixel(&order[..digits(order)], index)?, rest))
}

/// Whether a path whose cell is followed by this is a file of the cell.
fn is_leaf(rest: &str, suffix: &str) -> bool {
    if suffix != "/" {
        return rest == suffix;
    }
    // Hidden files, and marks like `_SUCCESS`, hold no rows.
    rest.starts_with('/') && !rest.split('/').any(|part| part.starts_with(['.', '_']))
}

/// What is known of the files, by who says it.
#[derive(Debug, Default)]
struct Witnesses {
    /// `partition_info.csv`.
    cells: Option<Vec<Pixel>>,
    /// `dataset/_metadata`.
    footers: Option<Vec<String>>,
    /// The folder `dataset`.
    listing: Option<Vec<String>>,
}

impl Witnesses {
    /// The files that all witnesses agree on.
    fn leaves(self, suffix: &str) -> Result<Leaves, String> {
        let mut warnings = Vec::new();
        let there = self.listing.map(|paths| by_cell(&paths, suffix)).transpose()?;
        let named = self.footers.map(|paths| by_cell(&paths, suffix)).transpose()?;
        let told = match (&self.cells, &named) {
            (Some(cells), _) => cells.clone(),
            (None, Some(named)) => named.files.keys().copied().collect(),
            (None, None) => {
                let Some(there) = &there else {
                    return Err("neither partition_info.csv nor dataset/_metadata tells which files it has".to_owned());
                };
                if there.files.is_empty() {
                    return Err(format!(
                        "it has no partition_info.csv, and no file named Npix=…{suffix} below dataset"
                    ));
                }
                warnings.push("it has no partition_info.csv: its partitions are those found in its folder".to_owned());
                there.files.keys().copied().collect()
            }
        };
        let witness = if self.cells.is_some() { "partition_info.csv" } else { "dataset/_metadata" };
        refuse_overlaps(&told)?;
        let Some(found) = there.as_ref().or(named.as_ref().filter(|_| suffix == "/" || self.cells.is_none())) else {
            if suffix == "/" {
                return Err("its partitions are folders (hats_npix_suffix=/), which cannot be listed there, and \
                            dataset/_metadata, which would name their files, is not there"
                    .to_owned());
            }
            let path = |pixel| leaf_path(pixel, suffix);
            let files = told.into_iter().map(|pixel| Leaf { pixel: Some(pixel), path: path(pixel) }).collect();
            warnings.push(unchecked());
            return Ok(Leaves { files, warnings });
        };
        if there.is_none() {
            warnings.push(unchecked());
        }
        let mut files = Vec::new();
        for pixel in &told {
            let paths = found.files.get(pixel).ok_or_else(|| {
                format!("{witness} lists the cell {pixel}, but {} is not there", leaf_path(*pixel, suffix))
            })?;
            files.extend(paths.iter().map(|path| Leaf { pixel: Some(*pixel), path: path.clone() }));
        }
        let told: BTreeSet<Pixel> = told.into_iter().collect();
        if let Some((_, paths)) = found.files.iter().find(|(pixel, _)| !told.contains(pixel)) {
            return Err(format!("{} is not listed in {witness}: its rows would be missing", paths[0]));
        }
        warnings.extend(found.others.iter().take(3).map(|path| format!("{path} is not taken for a part of it")));
        Ok(Leaves { files, warnings })
    }
}

/// Where a partition is, unless a listing says otherwise.
fn leaf_path(pixel: Pixel, suffix: &str) -> String {
    let path = layout::leaf_path(pixel);
    format!("{}{suffix}", path.strip_suffix(".parquet").unwrap_or(&path))
}

fn unchecked() -> String {
    "its folder cannot be listed: whether it holds files that are not in its list could not be checked".to_owned()
}

/// Files by their cells.
#[derive(Debug, Default)]
struct ByCell {
    files: BTreeMap<Pixel, Vec<String>>,
    /// Paths that name a cell but do not end as files of it do.
    others: Vec<String>,
}

fn by_cell(paths: &[String], suffix: &str) -> Result<ByCell, String> {
    let mut sorted = ByCell::default();
    for path in paths {
        let Some((pixel, rest)) = pixel_of_path(path) else { continue };
        if !is_leaf(rest, suffix) {
            sorted.others.push(path.clone());
            continue;
        }
        let files = sorted.files.entry(pixel).or_default();
        if suffix != "/" && !files.is_empty() {
            return Err(format!("{} and {path} both claim the cell {pixel}", files[0]));
        }
        files.push(path.clone());
    }
    Ok(sorted)
}

/// No cell may occur twice or lie in another: it would not be clear which file holds a row.
fn refuse_overlaps(cells: &[Pixel]) -> Result<(), String> {
    let mut cells = cells.to_vec();
    cells.sort_unstable_by_key(|pixel| (pixel.range().start, pixel.order()));
    for pair in cells.windows(2) {
        if pair[0] == pair[1] {
            return Err(format!("the cell {} occurs twice in its list of partitions", pair[0]));
        }
        if pair[1].range().start < pair[0].range().end {
            return Err(format!("its partitions overlap: the cell {} lies in {}", pair[1], pair[0]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(order: u8, index: u64) -> Pixel {
        Pixel::new(Order::new(order).unwrap(), index).unwrap()
    }

    fn paths(paths: &[&str]) -> Option<Vec<String>> {
        Some(paths.iter().map(|path| path.to_string()).collect())
    }

    fn found(leaves: &Leaves) -> Vec<&str> {
        leaves.files.iter().map(|leaf| leaf.path.as_str()).collect()
    }

    #[test]
    fn a_list_of_partitions_may_have_other_columns_in_any_order() {
        let read = |text: &str| cells(text.as_bytes());
        assert_eq!(read("Norder,Npix\n1,44\n1,45\n"), Ok(vec![at(1, 44), at(1, 45)]));
        assert_eq!(read("num_rows,Npix,Dir,\"Norder\"\r\n7, 28371 ,20000,6\r\n\r\n"), Ok(vec![at(6, 28371)]));
        assert_eq!(read("Norder,Npix\n"), Ok(vec![]));
        assert!(read("").unwrap_err().contains("no column Norder"));
        assert!(read("Norder,Dir\n1,0\n").unwrap_err().contains("no column Npix"));
        assert!(read("Norder,Npix\n1,44\n1\n").unwrap_err().contains("line 3 has too few"));
        assert!(read("Norder,Npix\n1,48\n").unwrap_err().contains("line 2: 1/48 is no cell"));
        assert!(read("Norder,Npix\n30,0\n").unwrap_err().contains("is no cell"));
    }

    #[test]
    fn a_cell_is_read_from_a_path_whatever_its_folders() {
        let of = |path| pixel_of_path(path);
        assert_eq!(of("dataset/Norder=6/Dir=20000/Npix=28371.parquet"), Some((at(6, 28371), ".parquet")));
        assert_eq!(of("dataset/Norder=0/Npix=11/part0.snappy.parquet"), Some((at(0, 11), "/part0.snappy.parquet")));
        for path in ["dataset/_metadata", "dataset/data_thumbnail.parquet", "dataset/Norder=1/Npix=.parquet"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn a_folder_without_lists_is_its_own_witness() {
        let listing = paths(&[
            "dataset/Norder=1/Dir=0/Npix=44.parquet",
            "dataset/Norder=1/Dir=0/Npix=44.parquet.crc",
            "dataset/Norder=1/Dir=0/Npix=45.parquet",
            "dataset/_common_metadata",
            "dataset/data_thumbnail.parquet",
        ]);
        let leaves = Witnesses { listing, ..Witnesses::default() }.leaves(".parquet").unwrap();
        assert_eq!(leaves.files.len(), 2);
        assert!(leaves.warnings[0].contains("no partition_info.csv"), "{:?}", leaves.warnings);
        assert!(leaves.warnings[1].contains("Npix=44.parquet.crc is not taken"), "{:?}", leaves.warnings);
        let nothing = Witnesses { listing: Some(Vec::new()), ..Witnesses::default() };
        assert!(nothing.leaves(".parquet").unwrap_err().contains("no file named Npix"));
        assert!(Witnesses::default().leaves(".parquet").unwrap_err().contains("neither"));
    }

    #[test]
    fn witnesses_that_contradict_each_other_are_refused_by_the_file() {
        let listing = || paths(&["dataset/Norder=1/Dir=0/Npix=44.parquet", "dataset/Norder=1/Dir=0/Npix=45.parquet"]);
        let with = |cells: Vec<Pixel>| Witnesses { cells: Some(cells), listing: listing(), footers: None };
        let missing = with(vec![at(1, 44), at(1, 45), at(1, 46)]).leaves(".parquet").unwrap_err();
        assert!(
            missing.contains("lists the cell 1/46, but dataset/Norder=1/Dir=0/Npix=46.parquet is not"),
            "{missing}"
        );
        let extra = with(vec![at(1, 44)]).leaves(".parquet").unwrap_err();
        assert!(extra.contains("Npix=45.parquet is not listed in partition_info.csv"), "{extra}");
        let twice = with(vec![at(1, 44), at(1, 44)]).leaves(".parquet").unwrap_err();
        assert!(twice.contains("1/44 occurs twice"), "{twice}");
        let overlap = with(vec![at(1, 44), at(0, 11)]).leaves(".parquet").unwrap_err();
        assert!(overlap.contains("1/44 lies in 0/11"), "{overlap}");
        let footers = paths(&["dataset/Norder=1/Dir=0/Npix=44.parquet"]);
        let stale = Witnesses { footers, listing: listing(), cells: None }.leaves(".parquet").unwrap_err();
        assert!(stale.contains("is not listed in dataset/_metadata"), "{stale}");
        let two = paths(&["dataset/Norder=1/Dir=0/Npix=44.parquet", "dataset/Norder=1/Dir=1/Npix=44.parquet"]);
        let two = Witnesses { listing: two, ..Witnesses::default() }.leaves(".parquet").unwrap_err();
        assert!(two.contains("both claim the cell 1/44"), "{two}");
    }

    #[test]
    fn without_a_listing_paths_follow_from_the_cells_and_that_is_said() {
        let cells = Some(vec![at(6, 28371), at(0, 4)]);
        let leaves = Witnesses { cells: cells.clone(), ..Witnesses::default() }.leaves(".parq").unwrap();
        assert_eq!(
            found(&leaves),
            ["dataset/Norder=6/Dir=20000/Npix=28371.parq", "dataset/Norder=0/Dir=0/Npix=4.parq"]
        );
        assert!(leaves.warnings[0].contains("could not be checked"), "{:?}", leaves.warnings);

        let folders = Witnesses { cells: cells.clone(), ..Witnesses::default() }.leaves("/").unwrap_err();
        assert!(folders.contains("cannot be listed"), "{folders}");
        let footers =
            paths(&["dataset/Norder=0/Dir=0/Npix=4/a.parquet", "dataset/Norder=6/Dir=20000/Npix=28371/b.parquet"]);
        let named = Witnesses { cells, footers, listing: None }.leaves("/").unwrap();
        assert_eq!(found(&named)[1], "dataset/Norder=0/Dir=0/Npix=4/a.parquet");
    }

    #[test]
    fn a_partition_may_be_a_folder_of_files() {
        let listing = paths(&[
            "dataset/Norder=0/Dir=0/Npix=11/_SUCCESS",
            "dataset/Norder=0/Dir=0/Npix=11/part0.snappy.parquet",
            "dataset/Norder=0/Dir=0/Npix=11/part1.snappy.parquet",
        ]);
        let leaves = Witnesses { cells: Some(vec![at(0, 11)]), listing, footers: None }.leaves("/").unwrap();
        assert_eq!(leaves.files.len(), 2);
        assert!(leaves.files.iter().all(|leaf| leaf.pixel == Some(at(0, 11))));
    }
}
