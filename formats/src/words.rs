//! Types in the words of a person, for messages; as in "cannot be read as whole numbers from 0 to 255".

use arrow::datatypes::DataType;

/// What a column of this type holds.
pub fn in_words(data_type: &DataType) -> String {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary,
        Duration, FixedSizeBinary, FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64, Interval,
        LargeBinary, LargeList, LargeListView, LargeUtf8, List, ListView, Map, Null, RunEndEncoded, Struct, Time32,
        Time64, Timestamp, UInt8, UInt16, UInt32, UInt64, Union, Utf8, Utf8View,
    };
    let whole = |bits: u32, signed: bool| {
        let (low, high) = if signed { (-1_i128 << (bits - 1), 1_i128 << (bits - 1)) } else { (0, 1_i128 << bits) };
        format!("whole numbers from {low} to {}", high - 1)
    };
    match data_type {
        Null => "nothing".to_owned(),
        Boolean => "truth values".to_owned(),
        Int8 => whole(8, true),
        Int16 => whole(16, true),
        Int32 => whole(32, true),
        Int64 => whole(64, true),
        UInt8 => whole(8, false),
        UInt16 => whole(16, false),
        UInt32 => whole(32, false),
        UInt64 => whole(64, false),
        Float16 => "numbers of 16 bits".to_owned(),
        Float32 => "numbers of 32 bits".to_owned(),
        Float64 => "numbers of 64 bits".to_owned(),
        Decimal32(digits, places)
        | Decimal64(digits, places)
        | Decimal128(digits, places)
        | Decimal256(digits, places) => format!("decimal numbers of {digits} digits, {places} of them decimal places"),
        Utf8 | LargeUtf8 | Utf8View => "text".to_owned(),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "bytes".to_owned(),
        Date32 | Date64 => "dates".to_owned(),
        Timestamp(..) => "times".to_owned(),
        Time32(_) | Time64(_) => "times of a day".to_owned(),
        Duration(_) | Interval(_) => "spans of time".to_owned(),
        List(item) | LargeList(item) | ListView(item) | LargeListView(item) | FixedSizeList(item, _) => {
            format!("lists of {}", in_words(item.data_type()))
        }
        Struct(_) | Union(..) => "structures".to_owned(),
        Map(..) => "tables of names and values".to_owned(),
        Dictionary(_, value) => in_words(value),
        RunEndEncoded(_, values) => in_words(values.data_type()),
    }
}

/// A text on one line: characters that are none to look at are written as Rust does, `\n` for the end of a line.
pub(crate) fn on_one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, letter| {
        if letter.is_control() {
            line.extend(letter.escape_default())
        } else {
            line.push(letter)
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, TimeUnit};

    use super::*;

    #[test]
    fn types_are_told_without_their_names_in_arrow() {
        let list = DataType::List(Arc::new(Field::new("element", DataType::UInt64, true)));
        for (data_type, words) in [
            (DataType::UInt8, "whole numbers from 0 to 255"),
            (DataType::Int64, "whole numbers from -9223372036854775808 to 9223372036854775807"),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "times"),
            (DataType::Decimal128(10, 2), "decimal numbers of 10 digits, 2 of them decimal places"),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), "text"),
            (list, "lists of whole numbers from 0 to 18446744073709551615"),
        ] {
            assert_eq!(in_words(&data_type), words);
        }
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(on_one_line("a\nb\tδ\u{7}"), r"a\nb\tδ\u{7}");
    }
}
