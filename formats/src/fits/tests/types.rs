//! Each type of TFORMn, and what scaling, NULLs and dimensions make of it.

use std::sync::Arc;

use arrow::{
    array::{
        Array, AsArray, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int16Array,
        Int32Array, Int64Array, ListArray, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType, Float64Type},
};

use super::*;
use crate::{ColumnMeta, fits::columns::item};

/// Asserts the values of a table of one column; cards are those of the first column.
#[track_caller]
fn reads(cards: &[&str], cells: &[&[u8]], heap: &[u8], expected: impl Array + 'static) {
    let (field, values, bad) = column(cards, cells, heap);
    assert_eq!(field.data_type(), values.data_type());
    assert_eq!(&*values, &expected as &dyn Array);
    assert_eq!(bad, Vec::<String>::new());
}

fn arraysize(field: &Field) -> Option<&str> {
    ColumnMeta::of(field).arraysize
}

fn fixed(values: impl Array + 'static, size: i32) -> FixedSizeListArray {
    FixedSizeListArray::new(item(values.data_type().clone()), size, Arc::new(values), None)
}

fn list(values: impl Array + 'static, lengths: &[usize]) -> ListArray {
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    ListArray::new(item(values.data_type().clone()), offsets, Arc::new(values), None)
}

/// A descriptor of an array in the heap, of 32 bits.
fn p(values: i32, at: i32) -> Vec<u8> {
    [values.to_be_bytes(), at.to_be_bytes()].concat()
}

#[test]
fn integers_are_those_that_were_stored() {
    reads(&["TFORM1  = 'B'"], &[&[0], &[255]], b"", UInt8Array::from(vec![0, 255]));
    let (low, high) = (i16::MIN.to_be_bytes(), 300_i16.to_be_bytes());
    reads(&["TFORM1  = '1I'"], &[&low, &high], b"", Int16Array::from(vec![i16::MIN, 300]));
    let (low, high) = (i32::MIN.to_be_bytes(), 70_000_i32.to_be_bytes());
    reads(&["TFORM1  = 'J'"], &[&low, &high], b"", Int32Array::from(vec![i32::MIN, 70_000]));
    let (low, high) = ((-9_007_199_254_740_993_i64).to_be_bytes(), i64::MAX.to_be_bytes());
    reads(&["TFORM1  = 'K'"], &[&low, &high], b"", Int64Array::from(vec![-9_007_199_254_740_993, i64::MAX]));
}

#[test]
fn floats_keep_nan_and_infinity() {
    let cells = [1.5_f32.to_be_bytes(), f32::NAN.to_be_bytes(), f32::NEG_INFINITY.to_be_bytes()];
    let (_, values, _) = column(&["TFORM1  = 'E'"], &cells.each_ref().map(<[u8; 4]>::as_slice), b"");
    let values = values.as_primitive::<arrow::datatypes::Float32Type>();
    assert_eq!(values.null_count(), 0);
    assert!(values.value(0) == 1.5 && values.value(1).is_nan() && values.value(2) == f32::NEG_INFINITY);
    let cell = 0.1_f64.to_be_bytes();
    reads(&["TFORM1  = 'D'"], &[&cell], b"", Float64Array::from(vec![0.1]));
}

#[test]
fn a_tzero_of_half_the_range_makes_the_other_signedness_exactly() {
    let zero = |n: &'static str, form: &'static str| [form, "TSCAL1  = 1.0", n];
    let cells: [&[u8]; 3] = [&[0], &[128], &[255]];
    reads(&zero("TZERO1  = -128", "TFORM1  = 'B'"), &cells, b"", Int8Array::from(vec![-128, 0, 127]));
    let cells = [i16::MIN, 0, i16::MAX].map(i16::to_be_bytes);
    let cells = cells.each_ref().map(<[u8; 2]>::as_slice);
    reads(&zero("TZERO1  = 32768", "TFORM1  = 'I'"), &cells, b"", UInt16Array::from(vec![0, 32_768, 65_535]));
    let cells = [i32::MIN, 0, i32::MAX].map(i32::to_be_bytes);
    let cells = cells.each_ref().map(<[u8; 4]>::as_slice);
    reads(&zero("TZERO1  = 2147483648.", "TFORM1  = 'J'"), &cells, b"", UInt32Array::from(vec![0, 1 << 31, u32::MAX]));
    let cells = [i64::MIN, 1, i64::MAX].map(i64::to_be_bytes);
    let cells = cells.each_ref().map(<[u8; 8]>::as_slice);
    let expected = UInt64Array::from(vec![0, (1 << 63) + 1, u64::MAX]);
    reads(&zero("TZERO1  = 9223372036854775808", "TFORM1  = 'K'"), &cells, b"", expected);
}

#[test]
fn any_other_scaling_makes_64_bit_floats() {
    let cards = |form| [form, "TSCAL1  = 0.5D0", "TZERO1  = 10", "TNULL1  = -1"];
    let cells: [&[u8]; 2] = [&(-1_i16).to_be_bytes(), &4_i16.to_be_bytes()];
    reads(&cards("TFORM1  = 'I'"), &cells, b"", Float64Array::from(vec![None, Some(12.0)]));
    reads(&cards("TFORM1  = 'B'"), &[&[4]], b"", Float64Array::from(vec![12.0]));
    reads(&cards("TFORM1  = 'J'"), &[&4_i32.to_be_bytes()], b"", Float64Array::from(vec![12.0]));
    reads(&cards("TFORM1  = 'K'"), &[&4_i64.to_be_bytes()], b"", Float64Array::from(vec![12.0]));
    reads(&cards("TFORM1  = 'E'"), &[&4_f32.to_be_bytes()], b"", Float64Array::from(vec![12.0]));
    reads(&cards("TFORM1  = 'D'"), &[&4_f64.to_be_bytes()], b"", Float64Array::from(vec![12.0]));
    let complex = [4_f32.to_be_bytes(), 6_f32.to_be_bytes()].concat();
    reads(&cards("TFORM1  = 'C'"), &[&complex], b"", fixed(Float64Array::from(vec![12.0, 3.0]), 2));
    let complex = [4_f64.to_be_bytes(), 6_f64.to_be_bytes()].concat();
    reads(&cards("TFORM1  = 'M'"), &[&complex], b"", fixed(Float64Array::from(vec![12.0, 3.0]), 2));
}

#[test]
fn a_zero_point_alone_that_is_not_half_the_range_is_a_scaling() {
    reads(&["TFORM1  = 'B'", "TZERO1  = 32768"], &[&[1]], b"", Float64Array::from(vec![32_769.0]));
    reads(&["TFORM1  = 'B'", "TZERO1  = -128", "TSCAL1  = 2"], &[&[1]], b"", Float64Array::from(vec![-126.0]));
}

#[test]
fn tnull_is_the_stored_integer_before_it_is_shifted() {
    let cards = ["TFORM1  = 'I'", "TZERO1  = 32768", "TNULL1  = -32768"];
    let cells: [&[u8]; 2] = [&i16::MIN.to_be_bytes(), &0_i16.to_be_bytes()];
    reads(&cards, &cells, b"", UInt16Array::from(vec![None, Some(32_768)]));
    reads(&["TFORM1  = 'B'", "TNULL1  = 255"], &[&[255], &[0]], b"", UInt8Array::from(vec![None, Some(0)]));
    let cells: [&[u8]; 1] = [&(-1_i64).to_be_bytes()];
    reads(&["TFORM1  = 'K'", "TNULL1  = -1"], &cells, b"", Int64Array::from(vec![None]));
    // What the type cannot hold is never met.
    reads(&["TFORM1  = 'B'", "TNULL1  = -99"], &[&[157]], b"", UInt8Array::from(vec![157]));
}

#[test]
fn logical_values_are_t_f_or_null_and_nothing_else() {
    let cells: [&[u8]; 3] = [b"T", b"F", b"\0"];
    reads(&["TFORM1  = 'L'"], &cells, b"", BooleanArray::from(vec![Some(true), Some(false), None]));
    reads(&["TFORM1  = '2L'"], &[b"TF"], b"", fixed(BooleanArray::from(vec![true, false]), 2));
    let (_, values, bad) = column(&["TTYPE1  = 'seen'", "TFORM1  = '2L'"], &[b"TT", b"T\x01", b"1F", b"FF"], b"");
    assert_eq!(values.len(), 2);
    let reason = |row, byte| format!("row {row} seen: the byte {byte} is no truth value; those are T, F and 0");
    assert_eq!(bad, [reason(2, 1), reason(3, 49)]);
}

#[test]
fn bits_are_counted_from_the_highest_of_each_byte() {
    reads(&["TFORM1  = 'X'"], &[&[0x80], &[0x7f]], b"", BooleanArray::from(vec![true, false]));
    let (field, values, _) = column(&["TFORM1  = '11X'"], &[&[0b1010_0000, 0b0011_1111]], b"");
    let expected: Vec<bool> = "10100000001".chars().map(|bit| bit == '1').collect();
    assert_eq!(&*values, &fixed(BooleanArray::from(expected), 11) as &dyn Array);
    assert_eq!(arraysize(&field), Some("11"));
}

#[test]
fn texts_lose_their_padding_and_one_that_begins_with_zero_is_null() {
    let cells: [&[u8]; 5] = [b"Vega  ", b"  \xCE\xB1\0x", b"\0\0\0\0\0\0", b"      ", b"Altair"];
    let expected = StringArray::from(vec![Some("Vega"), Some("  α"), None, Some(""), Some("Altair")]);
    reads(&["TFORM1  = '6A'"], &cells, b"", expected);
    let (_, values, bad) = column(&["TFORM1  = '2A'"], &[b"\xff\xfe", b"ok"], b"");
    assert_eq!(&*values, &StringArray::from(vec!["ok"]) as &dyn Array);
    assert_eq!(bad, ["row 1 col1: its characters are not UTF-8"]);
}

#[test]
fn a_text_with_dimensions_is_a_list_of_texts() {
    let expected = || fixed(StringArray::from(vec![Some("U"), Some("BV"), None]), 3);
    for cards in [["TFORM1  = '6A2'", "TUNIT1  = ''"], ["TFORM1  = '6A'", "TDIM1   = '(2,3)'"]] {
        let (field, values, _) = column(&cards, &[b"U BV\0\0"], b"");
        assert_eq!(&*values, &expected() as &dyn Array);
        assert_eq!(arraysize(&field), Some("2x3"));
    }
    reads(&["TFORM1  = '6A'", "TDIM1   = '(6)'"], &[b"U BV R"], b"", StringArray::from(vec!["U BV R"]));
    reads(&["TFORM1  = '6A6'"], &[b"U BV R"], b"", StringArray::from(vec!["U BV R"]));
}

#[test]
fn many_values_a_row_are_a_list_of_fixed_size_with_its_dimensions() {
    let cell: Vec<u8> = (1..=6_i16).flat_map(i16::to_be_bytes).collect();
    let other: Vec<u8> = (7..=12_i16).flat_map(i16::to_be_bytes).collect();
    let cards = ["TFORM1  = '6I'", "TDIM1   = '( 3, 2)'", "TNULL1  = 2"];
    let (field, values, _) = column(&cards, &[&cell, &other], b"");
    let numbers = (1..=12).map(|i| (i != 2).then_some(i)).collect::<Vec<Option<i16>>>();
    assert_eq!(&*values, &fixed(Int16Array::from(numbers), 6) as &dyn Array);
    assert_eq!(arraysize(&field), Some("3x2"));
    let (field, ..) = column(&["TFORM1  = '6I'"], &[&cell], b"");
    assert_eq!(arraysize(&field), Some("6"));
    // Dimensions for which there is no room say nothing, and no value is lost.
    for text in ["TDIM1   = '(3,3)'", "TDIM1   = '3,2'", "TDIM1   = '(0,2)'", "TDIM1   = '(-3,-2)'"] {
        let (field, values, _) = column(&["TFORM1  = '6I'", text], &[&cell], b"");
        assert_eq!((values.as_fixed_size_list().value_length(), arraysize(&field)), (6, Some("6")), "{text}");
    }
}

#[test]
fn complex_numbers_are_pairs_of_floats() {
    let cell: Vec<u8> = [1.0_f32, -2.0, 3.0, -4.0].into_iter().flat_map(f32::to_be_bytes).collect();
    let (field, values, _) = column(&["TFORM1  = 'C'"], &[&cell[..8], &cell[8..]], b"");
    assert_eq!(&*values, &fixed(Float32Array::from(vec![1.0, -2.0, 3.0, -4.0]), 2) as &dyn Array);
    assert_eq!(arraysize(&field), Some("2"));
    let (field, values, _) = column(&["TFORM1  = '2C'"], &[&cell], b"");
    assert_eq!(&*values, &fixed(Float32Array::from(vec![1.0, -2.0, 3.0, -4.0]), 4) as &dyn Array);
    assert_eq!(arraysize(&field), Some("2x2"));
    let cell: Vec<u8> = [1.0_f64, f64::NAN].into_iter().flat_map(f64::to_be_bytes).collect();
    let (field, values, _) = column(&["TFORM1  = 'M'"], &[&cell], b"");
    let values = values.as_fixed_size_list().values().as_primitive::<Float64Type>();
    assert!(values.value(0) == 1.0 && values.value(1).is_nan());
    assert_eq!(arraysize(&field), Some("2"));
}

#[test]
fn arrays_of_any_length_come_from_the_heap() {
    let heap: Vec<u8> = [1_i16, 2, -1, 4].into_iter().flat_map(i16::to_be_bytes).collect();
    let cells = [p(3, 2), p(0, 999), p(1, 0)];
    let cells: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
    let (field, values, bad) = column(&["TFORM1  = '1PI(3)'", "TNULL1  = -1"], &cells, &heap);
    let expected = list(Int16Array::from(vec![Some(2), None, Some(4), Some(1)]), &[3, 0, 1]);
    assert_eq!(&*values, &expected as &dyn Array);
    assert_eq!(arraysize(&field), Some("*"));
    assert_eq!(bad, Vec::<String>::new());
}

#[test]
fn every_type_can_stand_in_the_heap() {
    let q = |values: i64, at: i64| [values.to_be_bytes(), at.to_be_bytes()].concat();
    let floats: Vec<u8> = [1.0_f32, -2.0, 3.0, -4.0].into_iter().flat_map(f32::to_be_bytes).collect();
    reads(&["TFORM1  = 'QE'"], &[&q(2, 4)], &floats, list(Float32Array::from(vec![-2.0, 3.0]), &[2]));
    let (field, values, _) = column(&["TFORM1  = '1QC(2)'"], &[&q(1, 8), &q(0, 0)], &floats);
    assert_eq!(&*values, &list(Float32Array::from(vec![3.0, -4.0]), &[2, 0]) as &dyn Array);
    assert_eq!(arraysize(&field), Some("2x*"));
    reads(&["TFORM1  = 'PM'"], &[&p(0, 0)], b"", list(Float64Array::from(Vec::<f64>::new()), &[0]));
    let texts = StringArray::from(vec!["Deneb", "", "eb"]);
    reads(&["TFORM1  = 'PA(5)'"], &[&p(5, 0), &p(0, 0), &p(3, 3)], b"Deneb ", texts);
    let truths = BooleanArray::from(vec![Some(false), None, Some(true)]);
    reads(&["TFORM1  = 'PL'"], &[&p(2, 1), &p(1, 0)], b"TF\0", list(truths, &[2, 1]));
    let bits = BooleanArray::from("1000000010100".chars().map(|bit| bit == '1').collect::<Vec<_>>());
    reads(&["TFORM1  = 'PX'"], &[&p(10, 0), &p(3, 2)], &[0x80, 0x80, 0x9f], list(bits, &[10, 3]));
    let scaled = ["TFORM1  = 'PB'", "TZERO1  = 100", "TSCAL1  = 10"];
    reads(&scaled, &[&p(2, 0)], &[1, 2], list(Float64Array::from(vec![110.0, 120.0]), &[2]));
    reads(&["TFORM1  = 'PJ'"], &[&p(1, 0)], &7_i32.to_be_bytes(), list(Int32Array::from(vec![7]), &[1]));
    reads(&["TFORM1  = 'PD'"], &[&p(1, 0)], &7_f64.to_be_bytes(), list(Float64Array::from(vec![7.0]), &[1]));
    let unsigned = ["TFORM1  = 'PK'", "TZERO1  = 9223372036854775808"];
    reads(&unsigned, &[&p(1, 0)], &i64::MAX.to_be_bytes(), list(UInt64Array::from(vec![u64::MAX]), &[1]));
}

#[test]
fn an_array_that_is_not_in_the_heap_makes_a_bad_row() {
    let cards = ["TTYPE1  = 'flux'", "TFORM1  = 'PJ'"];
    let cells = [p(1, 0), p(2, 4), p(-1, 0), p(1, -4), p(i32::MAX, 0), p(2, 0), p(1, 9)];
    let cells: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
    let (_, values, bad) = column(&cards, &cells, &[0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(&*values, &list(Int32Array::from(vec![1, 1, 2]), &[1, 2]) as &dyn Array);
    let outside = |row, values, at: u32| {
        format!("row {row} flux: its array of {values} values at byte {at} is not within the heap, which has 8 bytes")
    };
    let negative = "row 3 flux: its array has -1 values".to_owned();
    let far = outside(4, 1, u32::MAX - 3);
    assert_eq!(bad, [outside(2, 2, 4), negative, far, outside(5, i32::MAX, 0), outside(7, 1, 9)]);
    let (_, _, bad) = column(&["TFORM1  = 'PL'"], &[&p(1, 0), &p(2, 0)], b"T?");
    assert_eq!(bad, ["row 2 col1: the byte 63 is no truth value; those are T, F and 0"]);
}

#[test]
fn the_heap_may_begin_behind_a_gap() {
    let cards = ["TFORM1  = 'PB'", "THEAP   = 11"];
    reads(&cards, &[&p(2, 0)], b"gap\x01\x02", list(UInt8Array::from(vec![1, 2]), &[2]));
    let why = |card| refusal(&file(&["TFORM1  = 'PB'", card], &[p(1, 0)], &[1]), None);
    assert_eq!(why("THEAP   = 7"), "HDU 1: THEAP is 7; the heap must begin between byte 8 and byte 9");
    assert_eq!(why("THEAP   = 10"), "HDU 1: THEAP is 10; the heap must begin between byte 8 and byte 9");
    assert_eq!(why("THEAP   = -1"), "HDU 1: THEAP is -1, which is negative");
}

#[test]
fn long_arrays_are_handed_on_in_smaller_batches() {
    // Twelve rows share five arrays of 4 MiB, not in the order of the rows.
    let heap: Vec<u8> = (0..5_u8).flat_map(|i| std::iter::repeat_n(i, 4 << 20)).collect();
    let order = [4, 0, 3, 1, 2, 2, 0, 4, 1, 3, 0, 4];
    let rows: Vec<Vec<u8>> = order.iter().map(|i| p(4 << 20, i * (4 << 20))).collect();
    let (_folder, input) = local("stars.fits", &file(&["TFORM1  = 'PB'"], &rows, &heap));
    let table = open(input, None).unwrap();
    let mut sizes = Vec::new();
    let mut found = Vec::new();
    for piece in table.pieces(None).unwrap() {
        let decoded = piece.unwrap().decode(&mut |rows| {
            let lists = rows.batch.column(0).as_list::<i32>();
            sizes.push(rows.batch.num_rows());
            for row in 0..lists.len() {
                let values = lists.value(row);
                let values = values.as_primitive::<arrow::datatypes::UInt8Type>().values();
                assert_eq!(values.len(), 4 << 20);
                assert!(values.iter().all(|value| *value == values[0]));
                found.push(i32::from(values[0]));
            }
            Ok(())
        });
        decoded.unwrap();
    }
    assert_eq!((sizes, found), (vec![4, 4, 4], order.to_vec()));
}

#[test]
fn a_column_without_data_is_left_out() {
    let cards = ["TTYPE1  = 'none'", "TFORM1  = '0A'", "TTYPE2  = 'id'", "TFORM2  = 'B'", "TFORM3  = '0PE(0)'"];
    let (field, values, _) = column(&cards, &[&[7]], b"");
    assert_eq!((field.name().as_str(), values.len()), ("id", 1));
    let why = refusal(&file(&["TFORM1  = '0D'", "NAXIS2  = 1000000000000"], &[], b""), None);
    assert_eq!(why, "HDU 1: it has no column that holds data");
}

#[test]
fn a_type_that_is_none_is_refused_by_its_column() {
    let why = |form: &str| refusal(&file(&["TFORM1  = 'B'", &format!("TFORM2  = '{form}'")], &[vec![0; 9]], b""), None);
    assert_eq!(why("Z"), "HDU 1: TFORM2 asks for 'Z', which is no type that the standard knows");
    assert_eq!(why("é"), "HDU 1: TFORM2 asks for 'é', which is no type that the standard knows");
    assert_eq!(why("12"), "HDU 1: TFORM2 is '12'");
    assert_eq!(why(""), "HDU 1: TFORM2 is ''");
    assert_eq!(why("P"), "HDU 1: TFORM2 is 'P' and does not say of what");
    assert_eq!(why("PP"), "HDU 1: TFORM2 asks for 'P', which is no type that the standard knows");
    assert_eq!(why("2PE(3)"), "HDU 1: TFORM2 is '2PE(3)': a row can hold one array of a column, not 2");
    assert_eq!(why("1000000000D"), "HDU 1: TFORM2 is '1000000000D': so wide a row is not read");
    assert_eq!(
        why("99999999999999999999999D"),
        "HDU 1: TFORM2 is '99999999999999999999999D': so wide a row is not read"
    );
    assert_eq!(why("J"), "HDU 1: its columns have 5 bytes a row, and NAXIS1 says 9");
    assert_eq!(why("2D"), "HDU 1: its columns have 17 bytes a row, and NAXIS1 says 9");
    assert_eq!(
        refusal(&file(&["TFORM1  = 'D'", "TZERO1  = 1E999"], &[vec![0; 8]], b""), None),
        "HDU 1: TZERO1 is 1E999, which is no number"
    );
    assert_eq!(refusal(&file(&["TFORM1  = 'B'", "TFIELDS = 2"], &[vec![0; 8]], b""), None), "HDU 1: TFORM2 is missing");
}

#[test]
fn types_need_no_dimensions_of_one() {
    let (field, ..) = column(&["TFORM1  = '1D'", "TDIM1   = '(1,1)'"], &[&[0; 8]], b"");
    assert_eq!((field.data_type(), arraysize(&field)), (&DataType::Float64, None));
}
