//! Felis as it is written: block style, every text in quotation marks, so that no name can be taken for something else.

use arrow::datatypes::{DataType, Schema};
use formats::ColumnMeta;

use crate::TableName;

/// Describes a table in Felis. `id` is its unique key. A description of less than three letters is left out, since Felis
/// refuses it; what Felis has no type for is text.
pub fn write(name: &TableName, description: Option<&str>, schema: &Schema, id: Option<&str>) -> String {
    let column_id = |column: &str| quoted(&format!("#{}.{column}", name.table()));
    let mut lines = vec![
        "---".to_owned(),
        format!("name: {}", quoted(name.schema())),
        format!("\"@id\": {}", quoted(&format!("#{}", name.schema()))),
        "tables:".to_owned(),
        format!("- name: {}", quoted(name.table())),
        // A table may have the name of its schema or of a column, and ids are unique.
        format!("  \"@id\": {}", quoted(&format!("#{}/{}", name.schema(), name.table()))),
    ];
    lines.extend(describable(description).map(|text| format!("  description: {}", quoted(text))));
    lines.extend(id.map(|id| format!("  primaryKey: {}", column_id(id))));
    lines.push("  columns:".to_owned());
    for field in schema.fields() {
        let meta = ColumnMeta::of(field);
        let shape = Shape::of(field.data_type());
        lines.push(format!("  - name: {}", quoted(field.name())));
        let mut say = |key: &str, text: Option<&str>| {
            lines.extend(text.map(|text| format!("    {key}: {}", quoted(text))));
        };
        let arraysize = shape.arraysize.map(|arraysize| meta.arraysize.map_or(arraysize, str::to_owned));
        say("\"@id\"", Some(&format!("#{}.{}", name.table(), field.name())));
        say("datatype", Some(shape.datatype));
        say("description", describable(meta.description));
        say("ivoa:unit", meta.unit);
        say("ivoa:ucd", meta.ucd);
        say("votable:utype", meta.utype);
        say("votable:xtype", meta.xtype);
        say("votable:arraysize", arraysize.as_deref());
        lines.extend(shape.length.map(|length| format!("    length: {length}")));
        if !field.is_nullable() {
            lines.push("    nullable: false".to_owned());
        }
    }
    lines.join("\n") + "\n"
}

fn describable(description: Option<&str>) -> Option<&str> {
    description.map(str::trim).filter(|text| text.chars().count() >= 3)
}

/// A type in Felis.
struct Shape {
    datatype: &'static str,
    /// Felis wants one with `binary`.
    length: Option<i32>,
    arraysize: Option<String>,
}

impl Shape {
    fn of(data_type: &DataType) -> Self {
        use DataType::{
            Binary, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, FixedSizeBinary,
            FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeList, List,
            Timestamp, UInt8, UInt16, UInt32, UInt64,
        };
        let datatype = match data_type {
            Boolean => "boolean",
            UInt8 => "byte",
            Int8 | Int16 => "short",
            UInt16 | Int32 => "int",
            UInt32 | Int64 | UInt64 => "long",
            Float16 | Float32 => "float",
            Float64 | Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => "double",
            Timestamp(..) | Date32 | Date64 => "timestamp",
            Dictionary(_, value) => return Self::of(value),
            FixedSizeBinary(length) => return Self { datatype: "binary", length: Some(*length), arraysize: None },
            Binary | LargeBinary | DataType::BinaryView => {
                return Self { datatype: "binary", length: Some(LONGEST_BINARY), arraysize: None };
            }
            List(item) | LargeList(item) => return Self::of(item.data_type()).many("*".to_owned()),
            FixedSizeList(item, size) => return Self::of(item.data_type()).many(size.to_string()),
            _ => "text",
        };
        Self { datatype, length: None, arraysize: None }
    }

    /// An array of this; arrays of what is no number have no type, and are text.
    fn many(self, arraysize: String) -> Self {
        let array = self.length.is_none() && self.arraysize.is_none() && !matches!(self.datatype, "text" | "timestamp");
        if array {
            Self { arraysize: Some(arraysize), ..self }
        } else {
            Self { datatype: "text", length: None, arraysize: None }
        }
    }
}

/// The length that is written for binary values of any length: that of a BLOB.
const LONGEST_BINARY: i32 = 65_535;

/// A text as a YAML scalar in quotation marks, on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            ' '..='~' | '\u{A0}'..='\u{2027}' | '\u{2030}'..='\u{D7FF}' | '\u{E000}'..='\u{FEFE}' => {
                quoted.push(letter)
            }
            '\u{FF00}'..='\u{FFFD}' | '\u{10000}'.. => quoted.push(letter),
            control => quoted.push_str(&format!("\\U{:08X}", u32::from(control))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use arrow::datatypes::{Field, TimeUnit};
    use proptest::prelude::*;

    use super::*;
    use crate::felis::Felis;

    fn every_type() -> Schema {
        let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
        let ra = ColumnMeta {
            unit: Some("mas.yr**-1"),
            ucd: Some("pos.eq.ra;meta.main"),
            utype: Some("a:b"),
            xtype: Some("x"),
            arraysize: None,
            elements: None,
            description: Some("it's \"east\": # — \\ Ω"),
        };
        let matrix = ColumnMeta { arraysize: Some("2x3"), ..ColumnMeta::default() };
        Schema::new(vec![
            ra.describe(Field::new("ra", DataType::Float64, false)),
            field("yes", DataType::Boolean),
            field("1", DataType::UInt8),
            field("días: 'x' #", DataType::Int32),
            field("text", DataType::LargeUtf8),
            field("when", DataType::Timestamp(TimeUnit::Microsecond, None)),
            field("key", DataType::FixedSizeBinary(16)),
            field("blob", DataType::Binary),
            field("list", DataType::new_list(DataType::Int16, true)),
            matrix.describe(field("matrix", DataType::new_fixed_size_list(DataType::Float32, 6, true))),
            field("names", DataType::new_list(DataType::Utf8, true)),
            field("curve", DataType::Struct(vec![field("mjd", DataType::Float64)].into())),
        ])
    }

    #[test]
    fn what_is_written_reads_as_what_it_was_written_from() {
        let name: TableName = "gaia.dr3".parse().unwrap();
        let schema = every_type();
        let text = write(&name, Some("All of it"), &schema, Some("ra"));
        let felis = Felis::parse(&text).unwrap();
        let bare = Schema::new(
            schema
                .fields()
                .iter()
                .map(|field| field.as_ref().clone().with_metadata(HashMap::new()))
                .collect::<Vec<_>>(),
        );
        let described = felis.describe(Some("dr3"), &bare).unwrap();
        assert!(described.differences.is_empty(), "{:?}", described.differences);
        assert_eq!(described.table.primary_key, ["ra"]);
        assert_eq!(described.schema.metadata()["vo:description"], "All of it");
        for (written, read) in schema.fields().iter().zip(described.schema.fields()) {
            let (mut written, mut read) = (ColumnMeta::of(written), ColumnMeta::of(read));
            // Those that go without saying are said.
            written.arraysize = written.arraysize.or(read.arraysize);
            read.arraysize = read.arraysize.or(written.arraysize);
            assert_eq!(written, read);
        }
        assert_eq!(ColumnMeta::of(described.schema.field(8)).arraysize, Some("*"));
        assert_eq!(ColumnMeta::of(described.schema.field(9)).arraysize, Some("2x3"));
    }

    #[test]
    fn every_column_has_a_type_of_felis_and_an_id_of_its_own() {
        let name: TableName = "stars.stars".parse().unwrap();
        let mut fields = every_type().fields().to_vec();
        fields.push(Field::new("stars", DataType::Int32, true).into());
        let text = write(&name, Some("x"), &Schema::new(fields), None);
        assert!(!text.contains("description: \"x\""), "Felis refuses such short ones");
        let ids: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("\"@id\": ")).collect();
        let unique: HashSet<&&str> = ids.iter().collect();
        assert_eq!((ids.len(), unique.len()), (15, 15));
        for part in [
            "name: \"ra\"\n    \"@id\": \"#stars.ra\"\n    datatype: \"double\"\n",
            "datatype: \"binary\"\n    length: 16\n",
            "datatype: \"short\"\n    votable:arraysize: \"*\"\n",
            "name: \"names\"\n    \"@id\": \"#stars.names\"\n    datatype: \"text\"\n",
            "name: \"curve\"\n    \"@id\": \"#stars.curve\"\n    datatype: \"text\"\n",
            "nullable: false",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_the_quotation_marks(text in any::<String>()) {
            let yaml = format!("name: x\ntables:\n- name: {}\n  columns: []", quoted(&text));
            let felis = Felis::parse(&yaml).unwrap();
            prop_assert_eq!(&felis.tables()[0].name, &text);
        }
    }
}
