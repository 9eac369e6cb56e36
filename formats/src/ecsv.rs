//! Enhanced CSV: a text whose comment lines before the names of the columns hold a YAML document that describes them.
//!
//! ```text
//!   # %ECSV 1.0
//!   # ---
//!   # datatype:
//!   # - {name: ra, unit: deg, datatype: float64, description: right ascension, meta: {ucd: pos.eq.ra}}
//!   # - {name: spectrum, datatype: string, subtype: 'float64[3]'}
//!   ra spectrum
//!   281.5 [1.5,null,2.5]
//! ```
//!
//! The types are those of the document, and nothing is inferred. Complex numbers, 128-bit floats, JSON objects and arrays of
//! more than one dimension or of text stay the text that they are written as. What Python objects the columns once made
//! (`__serialized_columns__`) is not looked at: the plain columns are the table.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, Schema};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    ColumnMeta, FormatError, Input, SourceOptions, TableSource,
    text::{Dialect, Layout, Limits, Nulls, TextSource},
};

/// The longest header.
const LONGEST: u64 = 16 << 20;

/// What the YAML document says; other keys are of no concern.
#[derive(Debug, Deserialize)]
struct Header {
    datatype: Vec<Column>,
    delimiter: Option<String>,
    meta: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    datatype: String,
    subtype: Option<String>,
    unit: Option<Value>,
    description: Option<Value>,
    meta: Option<Value>,
}

/// Opens an ECSV file.
pub(crate) fn open(input: Input, options: &SourceOptions) -> Result<Box<dyn TableSource>, FormatError> {
    let header = read_header(input.text()?, input.name())?;
    let delimiter = match header.delimiter.as_deref() {
        None | Some(" ") => b' ',
        Some(",") => b',',
        Some(other) => {
            let why = format!("its header wants fields separated by '{other}'; ECSV knows the space and the comma");
            return Err(FormatError::bad(input.name(), why));
        }
    };
    let layout = Layout {
        dialect: Dialect { delimiter, comment: Some(b'#') },
        nulls: Nulls::new(&options.text.nulls),
        header: true,
        limits: Limits::default(),
        name: input.name().to_owned(),
    };
    let names = layout.names(input.text()?)?;
    check_names(&header, &names).map_err(|why| FormatError::bad(input.name(), why))?;
    let fields = header.datatype.iter().map(Column::field).collect::<Result<Vec<_>, _>>();
    let fields = fields.map_err(|why| FormatError::bad(input.name(), why))?;
    let mut source = TextSource::new(input, layout, fields).described(table_metadata(&header));
    source.read_as(options.types.as_ref().unwrap_or(&Schema::empty()));
    source.check()?;
    Ok(Box::new(source))
}

/// Reads the comment lines at the beginning of the text, and the document in them.
fn read_header(text: impl Read, name: &str) -> Result<Header, FormatError> {
    let mut text = BufReader::new(text.take(LONGEST));
    let (mut document, mut line, mut number) = (String::new(), Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        text.read_until(b'\n', &mut line).map_err(|error| FormatError::unreadable(name, error))?;
        let shown = std::str::from_utf8(&line)
            .map_err(|_| FormatError::bad(name, format!("line {number} of its header is not UTF-8")))?;
        let shown = shown.trim_start_matches('\u{FEFF}').trim_end();
        let Some(comment) = shown.strip_prefix('#') else { break };
        let comment = comment.strip_prefix(' ').unwrap_or(comment);
        match comment.strip_prefix("%ECSV") {
            Some(version) if number == 1 => check_version(version.trim()).map_err(|why| FormatError::bad(name, why))?,
            _ if number == 1 => {
                return Err(FormatError::bad(name, "it is no ECSV: its first line is not '# %ECSV 1.0'"));
            }
            _ if comment.starts_with('#') => document.push('\n'),
            _ => {
                document.push_str(comment);
                document.push('\n');
            }
        }
    }
    if number == 1 {
        return Err(FormatError::bad(name, "it is no ECSV: its first line is not '# %ECSV 1.0'"));
    }
    parse_header(&document).map_err(|why| FormatError::bad(name, format!("its header is no ECSV header: {why}")))
}

fn check_version(version: &str) -> Result<(), String> {
    match version.split('.').next() {
        Some("0" | "1") => Ok(()),
        _ => Err(format!("it is written in ECSV {version}; versions up to 1 are known")),
    }
}

fn parse_header(document: &str) -> Result<Header, String> {
    let options = serde_saphyr::options! {
        ignore_binary_tag_for_string: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(document, options).map_err(|error| error.to_string())
}

fn check_names(header: &Header, names: &[String]) -> Result<(), String> {
    if header.datatype.len() != names.len() {
        return Err(format!("its header describes {} columns, but names {}", header.datatype.len(), names.len()));
    }
    let described = header.datatype.iter().map(|column| column.name.trim());
    match described.zip(names).find(|(described, named)| described != named) {
        Some((described, named)) => {
            Err(format!("its header describes the column {described} where the line of names has {named}"))
        }
        None => Ok(()),
    }
}

/// The metadata of the whole table.
fn table_metadata(header: &Header) -> HashMap<String, String> {
    let meta = |key| header.meta.as_ref().and_then(|meta| entry(meta, key));
    let parts = [("vo:description", meta("description")), ("vo:name", meta("name"))];
    parts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?))).collect()
}

/// What a mapping, or a list of mappings as ordered ones are written, has under a key, if it is a text.
fn entry(meta: &Value, key: &str) -> Option<String> {
    match meta {
        Value::Object(entries) => entries.get(key).and_then(text),
        Value::Array(parts) => parts.iter().find_map(|part| part.get(key)).and_then(text),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Column {
    fn field(&self) -> Result<Field, String> {
        let (data_type, arraysize) = self.data_type()?;
        let unit = self.unit.as_ref().and_then(|unit| text(unit).or_else(|| entry(unit, "unit")));
        let description = self.description.as_ref().and_then(text);
        let meta = |key| self.meta.as_ref().and_then(|meta| entry(meta, key));
        let (ucd, utype, xtype) = (meta("ucd"), meta("utype"), meta("xtype"));
        let meta = ColumnMeta {
            unit: unit.as_deref(),
            ucd: ucd.as_deref(),
            utype: utype.as_deref(),
            xtype: xtype.as_deref(),
            arraysize: arraysize.as_deref(),
            elements: None,
            description: description.as_deref(),
        };
        Ok(meta.describe(Field::new(self.name.trim(), data_type, true)))
    }

    /// The type, and the dimensions of an array.
    fn data_type(&self) -> Result<(DataType, Option<String>), String> {
        let known = scalar(&self.datatype);
        let known = known.ok_or_else(|| format!("its column {} has the unknown type {}", self.name, self.datatype))?;
        let Some((item, dimension)) = self.subtype.as_deref().and_then(array_of) else { return Ok((known, None)) };
        let item = Arc::new(Field::new("element", item, true));
        Ok(match dimension {
            Some(size) => (DataType::FixedSizeList(item, size), Some(size.to_string())),
            None => (DataType::List(item), Some("*".to_owned())),
        })
    }
}

fn scalar(datatype: &str) -> Option<DataType> {
    Some(match datatype {
        "bool" => DataType::Boolean,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float16" | "float32" => DataType::Float32,
        "float64" => DataType::Float64,
        "string" | "float128" | "complex64" | "complex128" | "complex256" => DataType::Utf8,
        _ => return None,
    })
}

/// What `float64[3]` and `float64[null]` say: the type of the elements, and how many there are if that is always so.
fn array_of(subtype: &str) -> Option<(DataType, Option<i32>)> {
    let (item, dimension) = subtype.trim().strip_suffix(']')?.split_once('[')?;
    let item = scalar(item.trim()).filter(|item| *item != DataType::Utf8)?;
    match dimension.trim() {
        "null" => Some((item, None)),
        size => size.parse().ok().filter(|size| *size > 0).map(|size| (item, Some(size))),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;
    use crate::text::tests::{Opened, whole};

    fn opened(text: &str) -> Result<Opened, String> {
        Opened::new("t.ecsv", text.as_bytes(), |input| open(input, &SourceOptions::default()))
    }

    const TABLE: &str = "\
# %ECSV 1.0
# ---
# datatype:
# - {name: id, datatype: int64, format: '%03d'}
# - {name: ra, unit: deg, datatype: float64, description: 'right ascension: ICRS', meta: {ucd: pos.eq.ra}}
# - {name: 2MASS, datatype: string, unit: !astropy.units.Unit {unit: mag}}
## a comment: of the header
# - name: good
#   datatype: bool
#   meta: !!omap
#   - {ucd: meta.code}
#   - {utype: q.ok}
# - {name: light, datatype: string, subtype: 'float32[2]'}
# - {name: many, datatype: string, subtype: 'int64[null]'}
# - {name: cube, datatype: string, subtype: 'int64[2,2]'}
# - {name: z, datatype: complex128}
# - {name: h, datatype: float16}
# meta: !!omap
# - keywords: !!omap
#   - {z_key1: val1}
# - description: Some stars
# - weird: .nan
# - __serialized_columns__:
#     sky:
#       __class__: astropy.coordinates.SkyCoord
#       ra: !astropy.table.SerializedColumn
#         name: ra
# schema: astropy-2.0
id ra 2MASS good light many cube z h
# between
001 10.5 \"a b\" True \"[1.5, null]\" [1,2,3] [[1,2],[3,4]] (1+2j) 0.5
2 \"\" \"\" False \"\" \"\" \"\" \"\" \"\"
3 nan x True [1,2] [] [] 1j 1e3
";

    #[test]
    fn columns_have_the_types_and_the_words_of_the_header() {
        let source = opened(TABLE).unwrap();
        let schema = source.schema();
        let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let item = |data_type| Arc::new(Field::new("element", data_type, true));
        let expected = [
            DataType::Int64,
            DataType::Float64,
            DataType::Utf8,
            DataType::Boolean,
            DataType::FixedSizeList(item(DataType::Float32), 2),
            DataType::List(item(DataType::Int64)),
            DataType::Utf8,
            DataType::Utf8,
            DataType::Float32,
        ];
        assert_eq!(types, expected);
        let ra = ColumnMeta::of(schema.field(1));
        assert_eq!((ra.unit, ra.ucd, ra.description), (Some("deg"), Some("pos.eq.ra"), Some("right ascension: ICRS")));
        assert_eq!((schema.field(2).name().as_str(), ColumnMeta::of(schema.field(2)).unit), ("2MASS", Some("mag")));
        let good = ColumnMeta::of(schema.field(3));
        assert_eq!((good.ucd, good.utype), (Some("meta.code"), Some("q.ok")));
        assert_eq!(ColumnMeta::of(schema.field(4)).arraysize, Some("2"));
        assert_eq!(ColumnMeta::of(schema.field(5)).arraysize, Some("*"));
        assert_eq!(schema.metadata()["vo:description"], "Some stars");
    }

    #[test]
    fn rows_are_those_of_the_text() {
        let source = opened(TABLE).unwrap();
        let found = whole(&*source, None);
        assert_eq!((found.lines.as_slice(), found.bad.len()), (&[31, 32, 33][..], 0));
        let (light, many) = (found.batch.column(4).as_fixed_size_list(), found.batch.column(5).as_list::<i32>());
        assert_eq!((light.value(0).null_count(), light.is_null(1)), (1, true));
        assert_eq!((many.value(0).len(), many.is_null(1), many.value(2).len()), (3, true, 0));
        let plain = whole(&*source, Some(&[0, 1, 2, 3, 6, 7, 8]));
        assert_eq!(
            plain.rows(),
            [
                ["1", "10.5", "a b", "true", "[[1,2],[3,4]]", "(1+2j)", "0.5"],
                ["2", "∅", "∅", "false", "∅", "∅", "∅"],
                ["3", "NaN", "x", "true", "[]", "1j", "1000.0"]
            ]
        );
    }

    #[test]
    fn commas_may_separate_and_values_that_do_not_fit_are_set_aside() {
        let text = "# %ECSV 0.9\n# ---\n# delimiter: ','\n# datatype:\n# - {name: a, datatype: uint8}\n\
                    # - {name: b, datatype: string}\na,b\n255,x y\n256,z\n,\n";
        let found = whole(&*opened(text).unwrap(), None);
        assert_eq!(found.rows(), [["255", "x y"], ["∅", "∅"]]);
        assert_eq!(found.bad[0].reason, "a: '256' is out of the range of whole numbers from 0 to 255");
        assert_eq!(found.bad[0].place.to_string(), "line 9");
    }

    #[test]
    fn two_thousand_columns_are_described() {
        let mut text = "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n".to_owned();
        for column in 0..2000 {
            text += &format!("# - {{name: c{column}, unit: mag, datatype: float64, description: column {column}}}\n");
        }
        text += &(0..2000).map(|column| format!("c{column}")).collect::<Vec<_>>().join(",");
        assert_eq!(opened(&text).unwrap().schema().fields().len(), 2000);
    }

    #[test]
    fn what_is_no_ecsv_is_told_in_a_sentence() {
        let why = |text: &str| match opened(text) {
            Ok(_) => panic!("{text} was taken for ECSV"),
            Err(why) => why,
        };
        assert_eq!(why("a,b\n1,2\n"), "it is no ECSV: its first line is not '# %ECSV 1.0'");
        assert_eq!(why("# a\n1,2\n"), "it is no ECSV: its first line is not '# %ECSV 1.0'");
        assert_eq!(why("# %ECSV 2.0\na\n"), "it is written in ECSV 2.0; versions up to 1 are known");
        let column = |text: &str, names: &str| why(&format!("# %ECSV 1.0\n# ---\n# datatype:\n# - {text}\n{names}\n"));
        let unknown = column("{name: a, datatype: quaternion}", "a");
        assert_eq!(unknown, "its column a has the unknown type quaternion");
        let other = column("{name: a, datatype: int8}", "b");
        assert_eq!(other, "its header describes the column a where the line of names has b");
        assert_eq!(column("{name: a, datatype: int8}", "a b"), "its header describes 1 columns, but names 2");
        assert!(column("{name: a}", "a").starts_with("its header is no ECSV header: "));
        assert!(column("{name: [", "a").starts_with("its header is no ECSV header: "));
        let semicolon = "# %ECSV 1.0\n# ---\n# delimiter: ;\n# datatype:\n# - {name: a, datatype: int8}\na\n";
        assert_eq!(why(semicolon), "its header wants fields separated by ';'; ECSV knows the space and the comma");
        assert!(why("# %ECSV 1.0\n# ---\n# datatype: []\n").starts_with("it has no row"));
    }
}
