//! What the properties files of a foreign catalogue say, with types, and judged.
//!
//! A key is known by its name in the standard and by the attribute name that older files use. Nothing here reads a file:
//! these are functions from text to structs, whose errors are the end of a sentence that begins with the file's name.

use std::collections::BTreeMap;

use crate::{
    Properties,
    descriptor::{HealpixColumn, Kind},
};

/// What `hats.properties` says of a catalogue.
#[derive(Clone, Debug)]
pub(super) struct CatalogInfo {
    pub(super) kind: Kind,
    /// Rows, as told.
    pub(super) rows: Option<u64>,
    /// The names of the position columns, as told.
    pub(super) position: Option<(String, String)>,
    pub(super) default_columns: Vec<String>,
    /// The spatial index column, as told.
    pub(super) healpix: Option<HealpixColumn>,
    /// What follows `Npix=N` in the path of a partition; `/` for a folder of files.
    pub(super) suffix: String,
    /// Width of a margin in arcseconds.
    pub(super) margin_threshold: Option<f64>,
    /// The column that an index looks up.
    pub(super) index_column: Option<String>,
    /// Whether the pairs of an association are stored.
    pub(super) leaf_files: bool,
    /// All that says nothing about the files: provenance, and what is unknown here.
    pub(super) kept: BTreeMap<String, String>,
}

/// What `collection.properties` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CollectionInfo {
    pub(super) primary: String,
    pub(super) margins: Vec<String>,
    /// Column and path of each index.
    pub(super) indexes: Vec<(String, String)>,
    /// Name and properties file of each extension.
    pub(super) extensions: Vec<(String, String)>,
    pub(super) kept: BTreeMap<String, String>,
}

/// What a properties file describes.
#[derive(Clone, Debug)]
pub(super) enum Described {
    Catalog(CatalogInfo),
    Collection(CollectionInfo),
    /// An extension, by the path of the catalogue or collection with its columns.
    Extension(String),
}

/// Keys that describe the files as they were laid out: they are read here or found out anew, and not kept.
const OF_THE_FILES: [&str; 31] = [
    "obs_collection",
    "catalog_name",
    "name",
    "dataproduct_type",
    "catalog_type",
    "hats_nrows",
    "total_rows",
    "hats_col_ra",
    "ra_column",
    "hats_col_dec",
    "dec_column",
    "hats_cols_default",
    "default_columns",
    "hats_col_healpix",
    "healpix_column",
    "hats_col_healpix_order",
    "healpix_order",
    "hats_npix_suffix",
    "npix_suffix",
    "hats_skymap_order",
    "skymap_order",
    "hats_skymap_alt_orders",
    "skymap_alt_orders",
    "hats_max_rows",
    "hats_max_bytes",
    "hats_estsize",
    "hats_order",
    "moc_sky_fraction",
    "all_margins",
    "all_indexes",
    "all_extensions",
];

/// Says what a properties file is about: an extension, a collection, or else a catalogue.
pub(super) fn described(properties: &Properties) -> Result<Described, String> {
    let kind = either(properties, "dataproduct_type", "catalog_type");
    match kind {
        Some("extension") => required(properties, "hats_assn_join_table_url", "join_catalog").map(Described::Extension),
        None if properties.get("hats_primary_table_url").is_some() => collection(properties).map(Described::Collection),
        _ => catalog(properties).map(Described::Catalog),
    }
}

/// Reads the properties of a catalogue.
pub(super) fn catalog(properties: &Properties) -> Result<CatalogInfo, String> {
    let get = |key, attribute| either(properties, key, attribute).map(str::to_owned);
    let kind = kind_of(&required(properties, "dataproduct_type", "catalog_type")?)?;
    let name = required(properties, "obs_collection", "catalog_name")?;
    let mut kept = kept(properties);
    kept.insert("obs_collection".to_owned(), name);
    let info = CatalogInfo {
        kind,
        rows: whole_number(properties, "hats_nrows", "total_rows")?,
        position: get("hats_col_ra", "ra_column").zip(get("hats_col_dec", "dec_column")),
        default_columns: list(either(properties, "hats_cols_default", "default_columns")),
        healpix: healpix_column(properties)?,
        suffix: get("hats_npix_suffix", "npix_suffix").unwrap_or_else(|| ".parquet".to_owned()),
        margin_threshold: arcseconds(properties, "hats_margin_threshold", "margin_threshold")?,
        index_column: get("hats_index_column", "indexing_column"),
        leaf_files: truth(properties, "hats_assn_leaf_files", "contains_leaf_files")?.unwrap_or(true),
        kept,
    };
    for (key, attribute) in required_by(kind) {
        required(properties, key, attribute)?;
    }
    Ok(info)
}

fn collection(properties: &Properties) -> Result<CollectionInfo, String> {
    required(properties, "obs_collection", "name")?;
    let pairs = |key| {
        let words = list(properties.get(key));
        if words.len() % 2 == 1 {
            return Err(format!("{key} should alternate names and paths, but it has {} words", words.len()));
        }
        Ok(words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect::<Vec<_>>())
    };
    Ok(CollectionInfo {
        primary: required(properties, "hats_primary_table_url", "primary_catalog")?,
        margins: list(properties.get("all_margins")),
        indexes: pairs("all_indexes")?,
        extensions: pairs("all_extensions")?,
        kept: kept(properties),
    })
}

/// The keys that each type needs beyond its name.
fn required_by(kind: Kind) -> &'static [(&'static str, &'static str)] {
    const RA_DEC: [(&str, &str); 2] = [("hats_col_ra", "ra_column"), ("hats_col_dec", "dec_column")];
    const PRIMARY: (&str, &str) = ("hats_primary_table_url", "primary_catalog");
    match kind {
        Kind::Object | Kind::Source => &RA_DEC,
        Kind::Margin => &[PRIMARY, ("hats_margin_threshold", "margin_threshold")],
        Kind::Index => &[PRIMARY, ("hats_index_column", "indexing_column")],
        Kind::Association => &[
            PRIMARY,
            ("hats_col_assn_primary", "primary_column"),
            ("hats_assn_join_table_url", "join_catalog"),
            ("hats_col_assn_join", "join_column"),
            ("hats_assn_leaf_files", "contains_leaf_files"),
        ],
        Kind::Map | Kind::Table => &[],
    }
}

fn kind_of(text: &str) -> Result<Kind, String> {
    Ok(match text {
        "object" => Kind::Object,
        "source" => Kind::Source,
        "margin" => Kind::Margin,
        "association" => Kind::Association,
        "index" => Kind::Index,
        "map" => Kind::Map,
        other => {
            return Err(format!(
                "dataproduct_type={other} is no type of catalogue; HATS has object, source, margin, association, index \
                 and map, in lower case"
            ));
        }
    })
}

/// The value of a key or of its older name. What is empty, and the text `None`, is absent.
fn either<'a>(properties: &'a Properties, key: &str, attribute: &str) -> Option<&'a str> {
    properties.get(key).or_else(|| properties.get(attribute))
}

fn required(properties: &Properties, key: &str, attribute: &str) -> Result<String, String> {
    let found = either(properties, key, attribute);
    found.map(str::to_owned).ok_or_else(|| format!("the key {key} is missing, which HATS requires here"))
}

/// A number of digits only. A key without a value is refused, as everywhere: somebody meant to write a number.
fn whole_number(properties: &Properties, key: &str, attribute: &str) -> Result<Option<u64>, String> {
    let written = properties.iter().find(|(name, _)| *name == key || *name == attribute);
    let Some((name, text)) = written.filter(|(_, text)| *text != "None") else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.map(Some).ok_or_else(|| format!("{name}={text} should be a whole number, written with digits only"))
}

fn healpix_column(properties: &Properties) -> Result<Option<HealpixColumn>, String> {
    let order = whole_number(properties, "hats_col_healpix_order", "healpix_order")?.unwrap_or(29);
    let order = u8::try_from(order).ok().filter(|order| *order <= 29);
    let order = order.ok_or("hats_col_healpix_order should be 0 to 29")?;
    let column = either(properties, "hats_col_healpix", "healpix_column");
    Ok(column.map(|column| HealpixColumn { column: column.to_owned(), order }))
}

fn arcseconds(properties: &Properties, key: &str, attribute: &str) -> Result<Option<f64>, String> {
    let Some(text) = either(properties, key, attribute) else { return Ok(None) };
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.map(Some).ok_or_else(|| format!("{key}={text} should be a number of arcseconds"))
}

fn truth(properties: &Properties, key: &str, attribute: &str) -> Result<Option<bool>, String> {
    match either(properties, key, attribute) {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(text) => Err(format!("{key}={text} should be True or False")),
    }
}

/// The words of a list, whatever separates them.
fn list(text: Option<&str>) -> Vec<String> {
    let separates = |c: char| c.is_whitespace() || c == ',' || c == ';';
    text.unwrap_or_default().split(separates).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn kept(properties: &Properties) -> BTreeMap<String, String> {
    let others =
        properties.iter().filter(|(key, text)| !OF_THE_FILES.contains(key) && !text.is_empty() && *text != "None");
    others.map(|(key, text)| (key.to_owned(), text.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CatalogInfo, String> {
        catalog(&Properties::parse(text))
    }

    const OBJECT: &str = "obs_collection=c\ndataproduct_type=object\nhats_col_ra=ra\nhats_col_dec=dec\n";

    #[test]
    fn standard_keys_and_attribute_names_say_the_same() {
        let new = read(
            "obs_collection=c\ndataproduct_type=source\nhats_nrows=12\nhats_col_ra=a\nhats_col_dec=b\n\
             hats_cols_default=a, b;c\nhats_col_healpix=h13\nhats_col_healpix_order=13\nhats_npix_suffix=/\n",
        );
        let old = read(
            "catalog_name=c\ncatalog_type=source\ntotal_rows=12\nra_column=a\ndec_column=b\n\
             default_columns=a b c\nhealpix_column=h13\nhealpix_order=13\nnpix_suffix=/\n",
        );
        let (new, old) = (new.unwrap(), old.unwrap());
        assert_eq!(format!("{new:?}"), format!("{old:?}"));
        assert_eq!((new.kind, new.rows, new.suffix.as_str()), (Kind::Source, Some(12), "/"));
        assert_eq!(new.position, Some(("a".into(), "b".into())));
        assert_eq!(new.default_columns, ["a", "b", "c"]);
        assert_eq!(new.healpix.map(|healpix| (healpix.column, healpix.order)), Some(("h13".into(), 13)));
    }

    #[test]
    fn what_is_not_set_is_absent_and_what_is_unknown_is_kept() {
        let info = read(&format!(
            "{OBJECT}hats_nrows=None\nhats_cols_default=None\nobs_regime=Optical\nmine=α β\nhats_order=3\nt_min=None\n"
        ))
        .unwrap();
        assert_eq!((info.rows, info.healpix, info.default_columns.len()), (None, None, 0));
        assert_eq!(info.suffix, ".parquet");
        let kept: Vec<_> = info.kept.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        assert_eq!(kept, [("mine", "α β"), ("obs_collection", "c"), ("obs_regime", "Optical")]);
    }

    #[test]
    fn each_type_asks_for_its_keys_by_name() {
        for (text, key) in [
            ("dataproduct_type=object\nhats_col_ra=ra\nhats_col_dec=dec\n", "obs_collection"),
            ("obs_collection=c\n", "dataproduct_type"),
            ("obs_collection=c\ndataproduct_type=object\nhats_col_ra=ra\n", "hats_col_dec"),
            ("obs_collection=c\ndataproduct_type=margin\nhats_primary_table_url=p\n", "hats_margin_threshold"),
            ("obs_collection=c\ndataproduct_type=index\nhats_primary_table_url=p\n", "hats_index_column"),
            ("obs_collection=c\ndataproduct_type=association\nhats_primary_table_url=p\n", "hats_col_assn_primary"),
        ] {
            let sentence = read(text).unwrap_err();
            assert!(sentence.contains(&format!("the key {key} is missing")), "{text}: {sentence}");
        }
        read("obs_collection=c\ndataproduct_type=map\n").unwrap();
    }

    #[test]
    fn values_of_another_kind_are_refused() {
        for (line, words) in [
            ("hats_nrows=4,000", "hats_nrows=4,000 should be a whole number"),
            ("hats_nrows=", "hats_nrows= should be"),
            ("hats_nrows=-1", "digits only"),
            ("hats_nrows=99999999999999999999999", "digits only"),
            ("hats_col_healpix_order=30", "0 to 29"),
            ("hats_margin_threshold=wide", "arcseconds"),
            ("hats_margin_threshold=nan", "arcseconds"),
            ("hats_assn_leaf_files=maybe", "True or False"),
            ("dataproduct_type=Object", "lower case"),
            ("dataproduct_type=hips", "no type of catalogue"),
        ] {
            let sentence = read(&format!("{OBJECT}{line}\n")).unwrap_err();
            assert!(sentence.contains(words), "{line}: {sentence}");
        }
    }

    #[test]
    fn a_properties_file_is_a_catalogue_a_collection_or_an_extension() {
        let of = |text: &str| described(&Properties::parse(text));
        assert!(matches!(of(OBJECT), Ok(Described::Catalog(_))));
        let collection =
            of("name=c\nhats_primary_table_url=main\nall_margins=m1 m2\nall_indexes=id by_id name by_name\n");
        let Ok(Described::Collection(collection)) = collection else { panic!("{collection:?}") };
        assert_eq!((collection.primary.as_str(), collection.margins.len()), ("main", 2));
        assert_eq!(collection.indexes, [("id".into(), "by_id".into()), ("name".into(), "by_name".into())]);
        let extension = of("obs_collection=p\ndataproduct_type=extension\nhats_assn_join_table_url=phot\n");
        assert!(matches!(extension, Ok(Described::Extension(path)) if path == "phot"));
        let odd = of("name=c\nhats_primary_table_url=main\nall_indexes=id\n").unwrap_err();
        assert!(odd.contains("alternate"), "{odd}");
    }
}
