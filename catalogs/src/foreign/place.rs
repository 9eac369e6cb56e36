//! A folder of somebody else's: on a disk, in a bucket or on a web server.
//!
//! Files that may be missing are told apart from files that cannot be read, also where a server answers a question for
//! a missing file with a web page or, like a bucket that may not be listed, with a refusal. Nothing is ever written here.

use bytes::Bytes;
use object_store::path::Path;
use url::Url;

use crate::{CatalogError, CatalogStore, Remote};

/// A folder in a store. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Place {
    store: CatalogStore,
    /// Below the store's own folder, without slashes at its ends.
    folder: String,
}

/// Why a file that may be missing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// The store knows no such file.
    NotThere,
    /// A web page stands in its place.
    WebPage,
    /// The store does not say: it refuses.
    Forbidden,
}

impl Place {
    /// The folder that a URL or a local path names.
    pub(super) fn open(url: &str, remote: &Remote) -> Result<Self, CatalogError> {
        Ok(Self { store: CatalogStore::read_only(url, remote)?, folder: String::new() })
    }

    /// The store that the folder lies in.
    pub(super) fn store(&self) -> &CatalogStore {
        &self.store
    }

    /// The folder's path in its store; empty when it is the store's own.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// The path in the store of a file of this folder.
    pub(super) fn path(&self, file: &str) -> String {
        if self.folder.is_empty() { file.to_owned() } else { format!("{}/{file}", self.folder) }
    }

    /// The folder's address, for people and for resolving what is relative to it.
    pub(super) fn url(&self) -> Url {
        let mut url = self.store.url().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(self.folder.split('/').filter(|part| !part.is_empty())).push("");
        }
        url
    }

    /// A catalogue here that cannot be used.
    pub(super) fn bad(&self, why: impl ToString) -> CatalogError {
        CatalogError::catalog(self.url(), why)
    }

    /// Reads a file that may be missing, and should have no more bytes than these.
    pub(super) async fn read(&self, file: &str, most: u64) -> Result<Result<Bytes, Absence>, CatalogError> {
        Ok(match self.store.get_small(&self.path(file), most).await {
            Ok(bytes) if is_web_page(&bytes) => Err(Absence::WebPage),
            Ok(bytes) => Ok(bytes),
            Err(error) if error.is_absent() => Err(Absence::NotThere),
            Err(error) if error.is_denied() && !self.store.is_local() => Err(Absence::Forbidden),
            Err(error) => return Err(error),
        })
    }

    /// The paths of all files below a folder of this one, relative to this one; none where the place cannot be listed.
    pub(super) async fn list(&self, folder: &str) -> Result<Option<Vec<String>>, CatalogError> {
        if self.is_web() {
            return Ok(None);
        }
        let found = match self.store.list(&self.path(folder)).await {
            Ok(found) => found,
            Err(error) if error.is_denied() && !self.store.is_local() => return Ok(None),
            Err(error) => return Err(error),
        };
        let below = if self.folder.is_empty() {
            String::new()
        } else {
            format!("{}/", CatalogStore::object_path(&self.folder))
        };
        let mut paths: Vec<String> = found
            .iter()
            .filter_map(|object| object.location.as_ref().strip_prefix(&below))
            .map(str::to_owned)
            .collect();
        paths.sort_unstable();
        Ok(Some(paths))
    }

    fn is_web(&self) -> bool {
        self.store.url().scheme().starts_with("http")
    }

    /// The folder that a member's path means: relative to this one, absolute, or a URL. It stays in this store where it
    /// lies below the store's folder.
    pub(super) fn member(&self, text: &str, remote: &Remote) -> Result<Self, CatalogError> {
        let text = text.trim();
        let target = if text.contains("://") {
            Url::parse(text).map_err(|error| self.bad(format!("the address '{text}' of a member: {error}")))?
        } else {
            self.resolve(text)
        };
        let root = self.store.url();
        if target.scheme() == "file" && !self.store.is_local() {
            return Err(self.bad(format!("its member {text} would be a folder of this machine")));
        }
        let same_place = root.scheme() == target.scheme() && root.authority() == target.authority();
        match target.path().strip_prefix(root.path()) {
            Some(rest) if same_place => {
                let folder =
                    Path::from_url_path(rest).map_err(|error| self.bad(format!("the member {text}: {error}")))?;
                Ok(Self { store: self.store.clone(), folder: folder.to_string() })
            }
            _ => Self::open(target.as_str(), remote),
        }
    }

    /// Where a path that is no URL leads from here.
    fn resolve(&self, text: &str) -> Url {
        let mut url = self.url();
        let absolute = text.starts_with('/');
        if let Ok(mut segments) = url.path_segments_mut() {
            if absolute {
                segments.clear();
            } else {
                segments.pop_if_empty();
            }
            for part in text.split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(segments.pop()),
                    name => drop(segments.push(name)),
                }
            }
            segments.push("");
        }
        url
    }
}

/// Whether these are the bytes of a web page, which a careless server sends for a missing file. No file of a catalogue
/// begins with an angle bracket.
pub(super) fn is_web_page(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    text.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_is_told_from_a_file_of_a_catalogue() {
        assert!(is_web_page(b"\n <!DOCTYPE html><html>"));
        assert!(is_web_page("\u{feff}<html>".as_bytes()));
        for file in ["#HATS catalog\n", "Norder,Npix\n", "", "PAR1"] {
            assert!(!is_web_page(file.as_bytes()), "{file}");
        }
    }

    #[test]
    fn a_distant_collection_has_no_member_on_this_machine_and_none_above_its_bucket() {
        let place = Place::open("s3://bucket/sky", &Remote::default()).unwrap();
        let sentence = place.member("file:///etc", &Remote::default()).unwrap_err().to_string();
        assert!(sentence.contains("its member file:///etc would be a folder of this machine"), "{sentence}");
        let above = place.member("../../../../etc", &Remote::default()).unwrap();
        assert_eq!(above.url().as_str(), "s3://bucket/etc/");
        let beside = place.member("/other#1/50%", &Remote::default()).unwrap();
        assert_eq!(beside.url().as_str(), "s3://bucket/other%231/50%25/");
    }

    #[test]
    fn a_member_is_found_relative_absolute_or_by_url() {
        let folder = tempfile::tempdir().unwrap();
        let sky = folder.path().join("my sky");
        std::fs::create_dir_all(sky.join("sub")).unwrap();
        let place = Place::open(&sky.display().to_string(), &Remote::default()).unwrap();
        let root = place.url();
        assert!(root.as_str().ends_with("/my%20sky/"), "{root}");

        let below = place.member("a b/", &Remote::default()).unwrap();
        assert_eq!((below.folder(), below.store().url()), ("a b", &root));
        assert_eq!(below.path("hats.properties"), "a b/hats.properties");
        let here = place.member("./sub/../sub", &Remote::default()).unwrap();
        assert_eq!((here.folder(), here.store().url()), ("sub", &root));
        let absolute = sky.canonicalize().unwrap().join("sub");
        for text in [absolute.display().to_string(), Url::from_directory_path(&absolute).unwrap().to_string()] {
            let found = place.member(&text, &Remote::default()).unwrap();
            assert_eq!((found.folder(), found.store().url()), ("sub", &root), "{text}");
        }
        let outside = place.member("..", &Remote::default()).unwrap();
        assert_eq!(outside.folder(), "");
        assert!(root.as_str().starts_with(outside.store().url().as_str()));
    }
}
