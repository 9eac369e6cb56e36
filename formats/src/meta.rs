//! What the Virtual Observatory knows of a column, kept in Arrow field metadata.
//!
//! The keys travel with the schema through Parquet, through the engine and through Flight, so that a unit is never
//! looked up in a second place.

use arrow::datatypes::Field;

/// The VO metadata of one column; every part may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnMeta<'a> {
    /// VOUnits text.
    pub unit: Option<&'a str>,
    /// UCD1+ words.
    pub ucd: Option<&'a str>,
    /// Data model role.
    pub utype: Option<&'a str>,
    /// Extended type, as DALI has it.
    pub xtype: Option<&'a str>,
    /// The dimensions of an array value, as VOTable writes them.
    pub arraysize: Option<&'a str>,
    /// The names of the elements of an array value, as a JSON array of texts; see [`ColumnMeta::element_names`].
    pub elements: Option<&'a str>,
    /// A sentence for people.
    pub description: Option<&'a str>,
}

impl<'a> ColumnMeta<'a> {
    /// Reads the metadata of a field; what is empty says nothing.
    pub fn of(field: &'a Field) -> Self {
        let get = |key: &str| field.metadata().get(key).map(String::as_str).filter(|text| !text.trim().is_empty());
        Self {
            unit: get("vo:unit"),
            ucd: get("vo:ucd"),
            utype: get("vo:utype"),
            xtype: get("vo:xtype"),
            arraysize: get("vo:arraysize"),
            elements: get("vo:elements"),
            description: get("vo:description"),
        }
    }

    /// The field with this metadata; what is missing here stays as it was.
    pub fn describe(&self, field: Field) -> Field {
        let parts = [
            ("vo:unit", self.unit),
            ("vo:ucd", self.ucd),
            ("vo:utype", self.utype),
            ("vo:xtype", self.xtype),
            ("vo:arraysize", self.arraysize),
            ("vo:elements", self.elements),
            ("vo:description", self.description),
        ];
        let mut metadata = field.metadata().clone();
        for (key, text) in parts {
            if let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) {
                metadata.insert(key.to_owned(), text.to_owned());
            }
        }
        field.with_metadata(metadata)
    }

    /// The names of the elements of an array value, in their order; none where what is noted cannot be understood.
    pub fn element_names(&self) -> Option<Vec<String>> {
        serde_json::from_str(self.elements?).ok()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn names_of_elements_travel_with_the_field() {
        let field = Field::new("flux", DataType::Float32, true);
        assert_eq!(ColumnMeta::of(&field).element_names(), None);
        let named = ColumnMeta { elements: Some(r#"["jplus::rSDSS","g"]"#), ..ColumnMeta::default() }.describe(field);
        assert_eq!(ColumnMeta::of(&named).element_names().unwrap(), ["jplus::rSDSS", "g"]);
        let damaged = ColumnMeta { elements: Some("r, g"), ..ColumnMeta::default() };
        assert_eq!(damaged.element_names(), None);
    }
}
