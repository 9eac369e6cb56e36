//! Names of the elements of array columns: noted in the field's metadata, and held against the arrays.

use std::collections::HashSet;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Field},
};
use formats::ColumnMeta;

/// The field with names for its elements; the sentence that refuses them begins with the column.
pub(crate) fn with_elements(field: &Field, names: &[String]) -> Result<Field, String> {
    let column = field.name();
    match field.data_type() {
        DataType::FixedSizeList(_, size) if *size as usize != names.len() => {
            return Err(format!("{column}: its arrays have {size} elements, and {} names are given", names.len()));
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {}
        other => return Err(format!("{column}: it is {other}, and only arrays have elements")),
    }
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(format!("{column}: two elements are called {twice}"));
    }
    let text = serde_json::to_string(names).map_err(|error| format!("{column}: {error}"))?;
    Ok(ColumnMeta { elements: Some(&text), ..ColumnMeta::default() }.describe(field.clone()))
}

/// The rows whose array has another number of elements than so many, and that number.
pub(crate) fn of_other_length(arrays: &ArrayRef, length: usize) -> Vec<(usize, usize)> {
    let lengths: Vec<usize> = match arrays.data_type() {
        DataType::List(_) => arrays.as_list::<i32>().offsets().lengths().collect(),
        DataType::LargeList(_) => arrays.as_list::<i64>().offsets().lengths().collect(),
        DataType::FixedSizeList(_, size) if *size as usize != length => vec![*size as usize; arrays.len()],
        _ => return Vec::new(),
    };
    let others = lengths.into_iter().enumerate().filter(|(_, found)| *found != length);
    others.filter(|(row, _)| arrays.is_valid(*row)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{array::ListArray, datatypes::Float32Type};

    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn names_are_for_arrays_of_as_many_elements() {
        let item = Arc::new(Field::new("element", DataType::Float32, true));
        let flux = Field::new("flux", DataType::FixedSizeList(Arc::clone(&item), 3), true);
        let named = with_elements(&flux, &names("u,g,r")).unwrap();
        assert_eq!(ColumnMeta::of(&named).element_names().unwrap(), ["u", "g", "r"]);
        assert!(with_elements(&flux, &names("u,g")).unwrap_err().contains("3 elements, and 2 names"));
        assert!(with_elements(&flux, &names("u,g,u")).unwrap_err().contains("called u"));
        assert!(with_elements(&item, &names("u")).unwrap_err().contains("only arrays"));
        assert!(with_elements(&Field::new("flux", DataType::List(item), true), &names("u")).is_ok());
    }

    #[test]
    fn an_array_of_another_length_is_found_and_none_is_no_array() {
        let lists = [Some(vec![Some(1.0)]), None, Some(vec![]), Some(vec![None, Some(2.0)])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists));
        assert_eq!(of_other_length(&lists, 2), [(0, 1), (2, 0)]);
    }
}
