//! Damaged files: whatever the bytes are, the outcome is rows or a sentence, never a panic, and rows are counted.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// A file with every type, of 40 rows, and a heap.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let cards = [
        "TFORM1  = 'L'",
        "TFORM2  = '11X'",
        "TFORM3  = 'B'",
        "TFORM4  = '3I'",
        "TFORM5  = 'J'",
        "TFORM6  = 'K'",
        "TFORM7  = '9A'",
        "TFORM8  = 'E'",
        "TFORM9  = 'D'",
        "TFORM10 = 'C'",
        "TFORM11 = 'M'",
        "TFORM12 = 'PE(9)'",
        "TFORM13 = 'QA(9)'",
        "TFORM14 = 'PX(9)'",
        "TFORM15 = 'PL(9)'",
        "TZERO4  = 32768",
        "TSCAL5  = 0.5",
        "TNULL6  = 7",
        "TDIM7   = '(3,3)'",
        "TTYPE8  = 'mag'",
    ];
    let heap: Vec<u8> = [&b"TFTF"[..], &[0; 60], b"Vega Deneb Altair", &[1; 119]].concat();
    let row = |i: u8| {
        let i32s = |values: i32, at: i32| [values.to_be_bytes(), at.to_be_bytes()].concat();
        let fixed = [&b"TXXB\x00\x01\x00\x02\x00\x03"[..], &[i; 12], b"U  B  V  ", &[i; 36]].concat();
        let text = [5_i64.to_be_bytes(), (64 + i64::from(i % 9)).to_be_bytes()].concat();
        [fixed, i32s(i32::from(i) % 9, 4), text, i32s(11, 81), i32s(4, 0)].concat()
    };
    let rows: Vec<Vec<u8>> = (0..40).map(row).collect();
    file(&cards, &rows, &heap)
});

/// Reads all of it, if that can be done; counts the rows and checks the arrays.
fn outcome(bytes: &[u8]) -> Result<usize, String> {
    let (_folder, input) = local("stars.fits", bytes);
    let table = open(input, None)?;
    let (batch, bad) = read(&*table, None)?;
    batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
    assert_eq!((batch.num_rows() + bad.len()) as u64, table.row_count().unwrap());
    Ok(batch.num_rows())
}

#[test]
fn the_whole_file_can_be_read() {
    assert_eq!(outcome(&WHOLE), Ok(40));
    assert_eq!(outcome(&gzip(&WHOLE)), Ok(40));
}

#[test]
fn a_file_cut_anywhere_is_an_error_until_its_data_are_whole() {
    // 40 rows of 107 bytes and the heap; the rest of the last block is padding.
    let headers = WHOLE.len() - (40_usize * 107 + 200).next_multiple_of(2880);
    let last = headers + 40 * 107 + 200 - 1;
    assert_eq!(outcome(&WHOLE[..=last]), Ok(40));
    for length in (0..=last).step_by(97).chain([last]) {
        let why = outcome(&WHOLE[..length]).unwrap_err();
        assert!(["cut short", "no table", "not a FITS"].iter().any(|part| why.contains(part)), "{length}: {why}");
    }
}

/// Something of a byte: a digit where headers are read, as often as anything.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), b'0'..=b'9', Just(b' '), Just(b'\''), Just(b'P'), Just(0xff)]
}

proptest! {
    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), byte()), 1..12), packed: bool) {
        let mut bytes = WHOLE.clone();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = outcome(&if packed { gzip(&bytes) } else { bytes });
    }

    #[test]
    fn flipped_bytes_of_the_header_never_panic(flips in prop::collection::vec((2880_usize..2880 + 30 * 80, byte()), 1..6)) {
        let mut bytes = WHOLE.clone();
        for (at, byte) in flips {
            bytes[at] = byte;
        }
        let _ = outcome(&bytes);
    }

    #[test]
    fn truncated_packed_files_never_panic(length: prop::sample::Index, unpacked: bool) {
        let bytes = if unpacked { gzip(&WHOLE[..length.index(WHOLE.len())]) } else { gzip(&WHOLE) };
        let length = if unpacked { bytes.len() } else { length.index(bytes.len()) };
        let _ = outcome(&bytes[..length]);
    }

    #[test]
    fn any_bytes_behind_a_first_card_never_panic(noise in prop::collection::vec(any::<u8>(), 0..9000)) {
        let _ = outcome(&[primary(), b"XTENSION= 'BINTABLE'".to_vec(), noise].concat());
    }
}
