//! Which files an import reads: what a person writes, made into inputs.
//!
//! ```text
//!   stars.csv · stars/ · 'stars-*.csv.gz' · file:///… · s3://bucket/key · s3://bucket/folder/ · 's3://bucket/*.fits' · https://…
//! ```
//! A folder stands for all files below it whose names say a known format, in the order of their names. A place that is
//! not there, a pattern that nothing matches and a file that is named twice are refused: each would change the rows
//! without a word.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use formats::{Format, Input};
use glob::{MatchOptions, Pattern};
use tokio::runtime::Handle;
use url::Url;

use crate::{CatalogError, CatalogStore, Remote};

/// A star matches within one folder only; two of them match any number of folders.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files that these sources stand for, in the order of the sources and in each by name.
pub async fn inputs(sources: &[String], remote: &Remote) -> Result<Vec<Input>, CatalogError> {
    let mut inputs: Vec<Input> = Vec::new();
    let mut named = HashSet::new();
    for source in sources {
        let found = match source.split_once("://") {
            Some(("s3", _)) => in_bucket(source, remote).await?,
            Some(("http" | "https", _)) => vec![at_address(source, remote).await?],
            Some(("file", path)) => on_disk(&of_file_url(source, path))?,
            Some((scheme, _)) => {
                let why = format!("'{scheme}://' is not understood; write a path, s3:// or https://");
                return Err(CatalogError::input(source, why));
            }
            None => on_disk(source)?,
        };
        for input in found {
            if !named.insert(input.name().to_owned()) {
                return Err(CatalogError::input(input.name(), "it is named twice; its rows would be there twice"));
            }
            inputs.push(input);
        }
    }
    Ok(inputs)
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a name is that of something beside the data, such as `_metadata`; such a file must be named itself.
fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn on_disk(source: &str) -> Result<Vec<Input>, CatalogError> {
    let path = Path::new(source);
    let mut paths = Vec::new();
    if path.is_dir() {
        below(path, &mut paths)?;
        if paths.is_empty() {
            return Err(CatalogError::input(source, "the folder holds no file of a known format"));
        }
    } else if is_pattern(source) && !path.exists() {
        let found = glob::glob_with(source, MATCHING).map_err(|error| CatalogError::input(source, error.msg))?;
        for entry in found {
            let path = entry.map_err(|error| CatalogError::input(error.path().display(), error.error()))?;
            let is_table = path.file_name().is_some_and(|name| !is_hidden(&name.to_string_lossy()));
            if is_table && !path.is_dir() {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(CatalogError::input(source, "no file matches this pattern"));
        }
    } else {
        paths.push(path.to_owned());
    }
    paths.sort();
    paths.iter().map(|path| Ok(Input::file(path)?)).collect()
}

/// The files below a folder whose names say a format; hidden ones and links in a circle are left alone.
fn below(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), CatalogError> {
    let failed = |error| CatalogError::io(folder.display(), error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if is_hidden(&name.to_string_lossy()) {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            below(&entry.path(), paths)?;
        } else if Format::of_name(&name.to_string_lossy()).is_some() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

async fn at_address(source: &str, remote: &Remote) -> Result<Input, CatalogError> {
    let mut place = Url::parse(source).map_err(|error| CatalogError::input(source, error))?;
    // A query is refused with the place: it may say which file is meant.
    let path = place.path().to_owned();
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    place.set_path(&format!("{folder}/"));
    let store = CatalogStore::read_only(place.as_str(), remote)?;
    let name = percent_decode(name).map_err(|why| CatalogError::input(source, why))?;
    if name.is_empty() {
        return Err(CatalogError::input(source, "an address cannot be listed; write that of a file"));
    }
    let meta = store.head(&name).await.map_err(|error| absent(source, error))?;
    Ok(Input::object(source.to_owned(), store.objects(), meta, Handle::current()))
}

async fn in_bucket(source: &str, remote: &Remote) -> Result<Vec<Input>, CatalogError> {
    let place = source.strip_prefix("s3://").unwrap_or(source);
    let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
    let store = CatalogStore::read_only(&format!("s3://{bucket}"), remote)?;
    let input = |meta: object_store::ObjectMeta| {
        let name = format!("s3://{bucket}/{}", meta.location);
        Input::object(name, store.objects(), meta, Handle::current())
    };
    if !is_pattern(key) && !key.is_empty() && !key.ends_with('/') {
        match store.head(key).await {
            Ok(meta) => return Ok(vec![input(meta)]),
            Err(error) if !error.is_absent() => return Err(absent(source, error)),
            Err(_) => {} // perhaps a folder
        }
    }
    let literal = &key[..key.find(['*', '?', '[']).unwrap_or(key.len())];
    let folder = if is_pattern(key) { literal.rsplit_once('/').map_or("", |(folder, _)| folder) } else { key };
    let mut found = store.list(folder.trim_matches('/')).await.map_err(|error| absent(source, error))?;
    if is_pattern(key) {
        let pattern = Pattern::new(key).map_err(|error| CatalogError::input(source, error.msg))?;
        let is_table =
            |object: &object_store::ObjectMeta| object.location.filename().is_some_and(|name| !is_hidden(name));
        found.retain(|object| is_table(object) && pattern.matches_with(object.location.as_ref(), MATCHING));
    } else {
        let is_table = |name: &str| !is_hidden(name) && Format::of_name(name).is_some();
        found.retain(|object| object.location.filename().is_some_and(is_table));
    }
    if found.is_empty() {
        return Err(CatalogError::input(source, "there is no such object, and no file of a known format below it"));
    }
    found.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(found.into_iter().map(input).collect())
}

/// The path that an address of this machine means: as it is written where that is there, or else decoded.
fn of_file_url(source: &str, path: &str) -> String {
    let decoded = Url::parse(source).ok().and_then(|url| url.to_file_path().ok());
    match decoded.filter(|decoded| !Path::new(path).exists() && decoded.exists()) {
        Some(decoded) => decoded.display().to_string(),
        None => path.to_owned(),
    }
}

/// The name of a file whose address has it encoded.
fn percent_decode(name: &str) -> Result<String, object_store::path::Error> {
    object_store::path::Path::from_url_path(name).map(|path| path.to_string())
}

fn absent(source: &str, error: CatalogError) -> CatalogError {
    if error.is_absent() { CatalogError::input(source, "there is no such file") } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn names(sources: &[&str]) -> Result<Vec<String>, String> {
        let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
        let found = inputs(&sources, &Remote::default()).await.map_err(|error| error.to_string())?;
        Ok(found.iter().map(|input| input.name().rsplit('/').next().unwrap().to_owned()).collect())
    }

    #[tokio::test]
    async fn files_folders_and_patterns_become_files_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        std::fs::create_dir_all(folder.path().join("sub/.hidden")).unwrap();
        for name in
            ["b.csv", "a.csv.gz", "readme.md", "_metadata.parquet", "sub/c.parquet", "sub/.hidden/d.csv", "ü [1].csv"]
        {
            std::fs::write(folder.path().join(name), "x\n1\n").unwrap();
        }
        assert_eq!(names(&[&root]).await.unwrap(), ["a.csv.gz", "b.csv", "c.parquet", "ü [1].csv"]);
        assert_eq!(names(&[&format!("{root}/*.csv*")]).await.unwrap(), ["a.csv.gz", "b.csv", "ü [1].csv"]);
        assert_eq!(names(&[&format!("{root}/**/*.parquet")]).await.unwrap(), ["c.parquet"]);
        assert_eq!(
            names(&[&format!("{root}/ü [1].csv")]).await.unwrap(),
            ["ü [1].csv"],
            "a file may look like a pattern"
        );
        assert_eq!(
            names(&[&format!("{root}/sub"), &format!("file://{root}/b.csv")]).await.unwrap(),
            ["c.parquet", "b.csv"]
        );
        assert_eq!(names(&[&format!("file://{root}/%C3%BC%20%5B1%5D.csv")]).await.unwrap(), ["ü [1].csv"]);
    }

    #[tokio::test]
    async fn what_stands_for_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        std::fs::write(folder.path().join("a.csv"), "x\n1\n").unwrap();
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        for (sources, why) in [
            (vec![format!("{root}/no.csv")], "no.csv: "),
            (vec![format!("{root}/*.fits")], "no file matches"),
            (vec![format!("{root}/empty")], "no file of a known format"),
            (vec![format!("{root}/a.csv"), format!("{root}/*.csv")], "named twice"),
            (vec!["ftp://host/a.csv".to_owned()], "not understood"),
            (vec!["https://host/folder/".to_owned()], "cannot be listed"),
            (vec!["https://host/table.csv?id=5".to_owned()], "only a path is understood"),
        ] {
            let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
            let refusal = names(&sources).await.unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
    }
}
