//! The configuration: defaults, under `almagest.toml`, under `ALMAGEST__SECTION__KEY` in the environment, under flags.
//!
//! A key is declared once, in [`keys`], with its type, default and meaning; reading, refusing, printing and the page for
//! operators all follow from that declaration. What is not understood is refused with its name, its place and the nearest
//! name that is; nothing is ignored. Secrets come from files or from the environment and are never printed.
//!
//! Nothing here opens what it names (a folder, a store, an address): a configuration is only words that fit together.

mod environment;
mod error;
mod file;
mod keys;
mod layers;
mod places;
mod print;
mod schema;
mod values;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

pub(crate) use self::{
    error::ConfigError,
    keys::{Config, Log, MetadataPlace},
    layers::{Effective, Flag},
    places::StoreUrl,
    print::default_file,
    values::{ByteSize, LogFormat, Threads, grouped_digits, length_of_time},
};

/// The file that is read where nobody names another and this one exists.
const USUAL_FILE: &str = "almagest.toml";
/// The environment variable that names the file.
const FILE_VARIABLE: &str = "ALMAGEST_CONFIG";

/// The configuration of this process. `named` is the file of `--config`.
pub(crate) fn load(named: Option<&Path>, flags: &[Flag]) -> Result<Effective, ConfigError> {
    let file = read_file(named)?;
    let file = file.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    Effective::of(file, env::vars_os(), flags)
}

/// The file's path and text; `None` where nobody named one and the usual one is not there.
fn read_file(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let named = named
        .map(Path::to_owned)
        .or_else(|| env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
    let must_exist = named.is_some();
    let path = named.unwrap_or_else(|| PathBuf::from(USUAL_FILE));
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(source) => Err(ConfigError::FileUnreadable { path, source }),
    }
}
