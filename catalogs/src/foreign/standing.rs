//! What stands at an address: a catalogue, a collection with members, or nothing that can be attached.

use futures::future::BoxFuture;

use super::{
    info::{self, CatalogInfo, CollectionInfo, Described},
    place::{Absence, Place},
};
use crate::{CatalogError, Properties, Remote, layout};

/// The old name of a catalogue's properties, before the format was called HATS.
const HIPSCAT: &str = "catalog_info.json";

/// Properties are a few lines: no file of more bytes is read as such.
const PROPERTIES_AT_MOST: u64 = 4 << 20;

/// How many steps lead from a collection or extension to a catalogue at most.
const STEPS: usize = 4;

/// A catalogue, and the collection that it was found through.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) place: Place,
    pub(super) info: CatalogInfo,
    pub(super) collection: Option<(Place, CollectionInfo)>,
}

/// Finds the catalogue that an address means: a folder, or a properties file. Of a collection it is the primary one, or
/// the member that is asked for.
pub(super) async fn find(url: &str, member: Option<&str>, remote: &Remote) -> Result<Standing, CatalogError> {
    match properties_file(url) {
        Some((folder, file)) => {
            let place = Place::open(folder, remote)?;
            let described = read_file(&place, file).await?;
            follow(place, described, member, remote, STEPS).await
        }
        None => {
            let place = Place::open(url, remote)?;
            let described = look(&place).await?;
            follow(place, described, member, remote, STEPS).await
        }
    }
}

/// The catalogue in a folder; not a collection.
pub(super) async fn catalog(place: &Place) -> Result<CatalogInfo, CatalogError> {
    match look(place).await? {
        Described::Catalog(info) => Ok(info),
        _ => Err(place.bad("a catalogue should stand there, not a collection")),
    }
}

/// Splits the path of a properties file.
fn properties_file(url: &str) -> Option<(&str, &str)> {
    let (folder, file) = match url.rsplit_once('/') {
        Some((folder, file)) => (if folder.is_empty() { "/" } else { folder }, file),
        None => (".", url),
    };
    (file.ends_with(".properties") || file == layout::OLD_PROPERTIES).then_some((folder, file))
}

async fn read_file(place: &Place, file: &str) -> Result<Described, CatalogError> {
    let text = place.read(file, PROPERTIES_AT_MOST).await?.map_err(|absence| nothing(place, file, &[absence]))?;
    info::described(&parse(&text)).map_err(|why| place.bad(format!("{file}: {why}")))
}

/// Looks into a folder: first for a catalogue, then for a collection.
async fn look(place: &Place) -> Result<Described, CatalogError> {
    let mut absences = Vec::new();
    for file in [layout::PROPERTIES, layout::OLD_PROPERTIES, layout::COLLECTION] {
        match place.read(file, PROPERTIES_AT_MOST).await? {
            Ok(text) => return info::described(&parse(&text)).map_err(|why| place.bad(format!("{file}: {why}"))),
            Err(absence) => absences.push(absence),
        }
    }
    if place.read(HIPSCAT, PROPERTIES_AT_MOST).await?.is_ok() {
        return Err(place.bad(
            "it is in the old format HiPSCat (catalog_info.json), whose spatial index is another one; import its Parquet \
             files instead of attaching it",
        ));
    }
    Err(nothing(place, "hats.properties, properties or collection.properties", &absences))
}

fn parse(text: &[u8]) -> Properties {
    Properties::parse(&String::from_utf8_lossy(text))
}

fn nothing(place: &Place, files: &str, absences: &[Absence]) -> CatalogError {
    let why = if absences.contains(&Absence::WebPage) {
        format!("it has no {files}: the server sends a web page in their place, where it should answer 404")
    } else if absences.contains(&Absence::Forbidden) {
        format!("it has no {files}, or they may not be read: access was denied")
    } else {
        format!("it has no {files}, so no HATS catalogue stands there")
    };
    place.bad(why)
}

/// Goes on to the catalogue that is meant.
fn follow<'a>(
    place: Place,
    described: Described,
    member: Option<&'a str>,
    remote: &'a Remote,
    steps: usize,
) -> BoxFuture<'a, Result<Standing, CatalogError>> {
    Box::pin(async move {
        if steps == 0 {
            return Err(place.bad("its collections and extensions lead in a circle"));
        }
        let path = match (described, member) {
            (Described::Catalog(_), Some(member)) => {
                return Err(place.bad(format!("it is a catalogue and no collection: it has no member {member}")));
            }
            (Described::Catalog(info), None) => return Ok(Standing { place, info, collection: None }),
            (Described::Extension(path), _) => path,
            (Described::Collection(collection), member) => {
                return of_collection(place, collection, member, remote, steps).await;
            }
        };
        let there = place.member(&path, remote)?;
        let described = look(&there).await?;
        follow(there, described, member, remote, steps - 1).await
    })
}

async fn of_collection(
    place: Place,
    collection: CollectionInfo,
    member: Option<&str>,
    remote: &Remote,
    steps: usize,
) -> Result<Standing, CatalogError> {
    let Some(member) = member.filter(|member| !same_folder(member, &collection.primary)) else {
        let there = place.member(&collection.primary, remote)?;
        let info = catalog(&there).await?;
        return Ok(Standing { place: there, info, collection: Some((place, collection)) });
    };
    if let Some((_, file)) = collection.extensions.iter().find(|(name, file)| name == member || file == member) {
        let described = read_file(&place, file).await?;
        return follow(place, described, None, remote, steps - 1).await;
    }
    let members = || collection.margins.iter().chain(collection.indexes.iter().map(|(_, path)| path));
    let Some(path) = members().find(|path| same_folder(member, path)) else {
        let extensions = collection.extensions.iter().map(|(name, _)| name.as_str());
        let all: Vec<_> =
            [collection.primary.as_str()].into_iter().chain(members().map(String::as_str)).chain(extensions).collect();
        return Err(place.bad(format!("the collection has no member {member}; it has {}", all.join(", "))));
    };
    let there = place.member(path, remote)?;
    let info = catalog(&there).await?;
    Ok(Standing { place: there, info, collection: None })
}

/// Whether a member is meant by its path, or by the last part of it.
fn same_folder(asked: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    asked.trim_end_matches('/') == path || path.rsplit('/').next() == Some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_properties_file_is_split() {
        assert_eq!(properties_file("s3://b/c/phot.properties"), Some(("s3://b/c", "phot.properties")));
        assert_eq!(properties_file("hats.properties"), Some((".", "hats.properties")));
        assert_eq!(properties_file("/properties"), Some(("/", "properties")));
        assert_eq!(properties_file("/data/c/properties"), Some(("/data/c", "properties")));
        assert_eq!(properties_file("/data/properties/"), None);
        assert_eq!(properties_file("/data/c"), None);
    }
}
