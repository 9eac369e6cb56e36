//! MOCs: text and FITS there and back, whatever bytes come, and sets against their cells.

use proptest::prelude::*;
use sky::healpix::{CELLS_29, Order, Pixel, cell29};
use sky::{Moc, Position, SkyError};

use super::samples::anywhere;
use crate::cases::cases;

/// MOCs of any order, from cells of that order and coarser ones, clustered so that some of them touch.
fn moc() -> impl Strategy<Value = Moc> {
    let cell = (0_u8..4, 0.0..1.0_f64, 0_u64..6);
    (0_u8..=29, prop::collection::vec(cell, 0..25), 0.0..1.0_f64).prop_map(|(order, cells, anchor)| {
        let order = Order::new(order).expect("at most 29");
        let pixels = cells.into_iter().map(|(coarser, place, step)| {
            let order = Order::new(order.get().saturating_sub(coarser)).expect("at most 29");
            // Half of the cells follow one anchor.
            let place = if step % 2 == 0 { anchor } else { place };
            let index = ((order.cells() as f64 * place) as u64 + step).min(order.cells() - 1);
            Pixel::new(order, index).expect("below the number of cells")
        });
        Moc::from_pixels(order, pixels)
    })
}

/// Cells at which two MOCs may differ: their ends, and both sides of them.
fn telling_cells(mocs: [&Moc; 2]) -> Vec<u64> {
    let ends = mocs.into_iter().flat_map(|moc| moc.ranges().flat_map(|range| [range.start, range.end]));
    ends.flat_map(|end| [end.saturating_sub(1), end, end + 1])
        .chain([0, CELLS_29 / 2, CELLS_29 - 1])
        .map(|cell| cell.min(CELLS_29 - 1))
        .collect()
}

/// The cards of a table of pairs of 64-bit integers, as many as the data has.
fn sound_table(data: &[u8]) -> Vec<String> {
    let rows = data.len() / 16 * 2;
    let rows = format!("NAXIS2  = {rows}");
    let cards =
        ["XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 8", &rows, "PCOUNT  = 0", "GCOUNT  = 1"];
    let moc = ["TFIELDS = 1", "TFORM1  = '1K'", "ORDERING= 'RANGE'", "MOCORD_S= 29"];
    cards.into_iter().chain(moc).map(str::to_owned).collect()
}

/// A keyword that a reader of MOCs looks at, with a value that one might trust.
fn hostile_card() -> impl Strategy<Value = String> {
    let keyword = prop::sample::select(vec![
        "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "TFORM1", "ORDERING",
        "MOCORDER", "MOCORD_S", "MOCDIM", "COORDSYS", "END",
    ]);
    let value = prop::sample::select(vec![
        "'BINTABLE'",
        "'IMAGE'",
        "'RANGE'",
        "'NUNIQ'",
        "'RING'",
        "'1K'",
        "'1J'",
        "'I'",
        "'99999999999K'",
        "'SPACE'",
        "'TIME'",
        "'C'",
        "'G'",
        "'",
        "''",
        "",
        "/",
        "T",
        "-1",
        "0",
        "1",
        "2",
        "4",
        "8",
        "16",
        "29",
        "30",
        "255",
        "256",
        "999999999",
        "4294967296",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "-64",
        "1e3",
        "0x10",
        "é",
    ]);
    (keyword, value).prop_map(|(keyword, value)| format!("{keyword:8}= {value}"))
}

/// A FITS file of an empty first header and a table.
fn fits(cards: &[String], data: &[u8]) -> Vec<u8> {
    let first = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "END"].map(str::to_owned);
    let mut file = Vec::new();
    for cards in [&first[..], cards, &["END".to_owned()]] {
        for card in cards {
            let mut card = card.clone().into_bytes();
            card.resize(80, b' ');
            file.extend(card);
        }
        if cards.last().is_some_and(|card| card == "END") {
            file.resize(file.len().next_multiple_of(2880), b' ');
        }
    }
    file.extend(data);
    file.resize(file.len().next_multiple_of(2880), 0);
    file
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn a_moc_survives_text_and_fits(moc in moc()) {
        let text = moc.to_string();
        prop_assert_eq!(&text.parse::<Moc>().unwrap(), &moc, "{}", text);
        prop_assert_eq!(&format!("s{text}\n").parse::<Moc>().unwrap(), &moc);
        prop_assert_eq!(&text.replace(' ', ", ").parse::<Moc>().unwrap(), &moc);
        prop_assert_eq!(&Moc::from_fits(&moc.to_fits()).unwrap(), &moc);
        prop_assert_eq!(&Moc::from_pixels(moc.order(), moc.pixels()), &moc);
        prop_assert_eq!(&Moc::from_ranges(moc.order(), moc.ranges()).unwrap(), &moc);
    }

    #[test]
    fn a_broken_fits_file_is_refused_in_a_sentence(
        moc in moc(), cut in 0.0..1.0_f64, damage in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..6),
    ) {
        let mut bytes = moc.to_fits();
        for (place, byte) in damage {
            let place = (bytes.len() as f64 * place) as usize;
            bytes[place] = byte;
        }
        // Damage may go unnoticed, as another MOC; it never panics.
        let _ = Moc::from_fits(&bytes);
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        if let Err(error) = Moc::from_fits(&bytes) {
            prop_assert!(matches!(error, SkyError::MocFits(_)));
        }
    }

    #[test]
    fn a_damaged_header_never_panics(
        moc in moc(), damage in prop::collection::vec((0_usize..2 * 2880, prop::sample::select(b" '0159=/KJINUX-\xff".to_vec())), 1..8),
    ) {
        let mut bytes = moc.to_fits();
        for (place, byte) in damage {
            bytes[place] = byte;
        }
        if let Err(error) = Moc::from_fits(&bytes) {
            prop_assert!(matches!(error, SkyError::MocFits(_)));
        }
    }

    #[test]
    fn a_header_of_hostile_values_is_a_moc_or_a_sentence(
        cards in prop::collection::vec(hostile_card(), 0..6),
        replaced in prop::collection::vec(0_usize..10, 0..3),
        dropped in prop::option::weighted(0.2, 0_usize..10),
        data in prop::collection::vec(any::<u8>(), 0..160),
    ) {
        let mut table: Vec<String> = sound_table(&data);
        for (place, card) in replaced.iter().zip(&cards) {
            table[*place].clone_from(card);
        }
        if let Some(place) = dropped {
            table.remove(place);
        }
        table.extend(cards.into_iter().skip(replaced.len()));
        match Moc::from_fits(&fits(&table, &data)) {
            // What could be read can be written and read again.
            Ok(moc) => prop_assert_eq!(&Moc::from_fits(&moc.to_fits()).unwrap(), &moc),
            Err(SkyError::MocFits(sentence)) => {
                prop_assert!(sentence.len() < 200 && !sentence.contains('\n'), "{}", sentence);
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_text_is_a_moc_that_is_written_and_read_again_or_a_sentence(
        text in prop_oneof!["[0-9/, \\-sS+t]{0,40}", "([0-9]|1[0-9]|2[0-9])/([0-9]{1,3}(-[0-9]{1,3})?[ ,]){0,5}", ".{0,40}"],
    ) {
        match text.parse::<Moc>() {
            Ok(moc) => prop_assert_eq!(moc.to_string().parse::<Moc>().unwrap(), moc),
            Err(error) => prop_assert!(error.to_string().starts_with("MOC text: ") || matches!(error, SkyError::Pixel { .. } | SkyError::Order(_)), "{}", error),
        }
    }

    #[test]
    fn mocs_combine_as_their_cells_do(one in moc(), other in moc()) {
        let (union, intersection) = (one.union(&other), one.intersection(&other));
        let (difference, complement) = (one.difference(&other), one.complement());
        for cell in telling_cells([&one, &other]) {
            let (in_one, in_other) = (one.contains_cell29(cell), other.contains_cell29(cell));
            prop_assert_eq!(union.contains_cell29(cell), in_one || in_other);
            prop_assert_eq!(intersection.contains_cell29(cell), in_one && in_other);
            prop_assert_eq!(difference.contains_cell29(cell), in_one && !in_other);
            prop_assert_eq!(complement.contains_cell29(cell), !in_one);
        }
        prop_assert_eq!(one.intersects(&other), !intersection.is_empty());
        prop_assert_eq!(one.contains(&other), other.difference(&one).is_empty());
        prop_assert!(union.contains(&one) && one.contains(&intersection));
    }

    #[test]
    fn a_degraded_moc_is_made_of_the_cells_it_touches(moc in moc(), order in 0_u8..=29) {
        let order = Order::new(order).expect("at most 29");
        let degraded = moc.degraded(order);
        prop_assert_eq!(degraded.order(), order.min(moc.order()));
        prop_assert!(degraded.contains(&moc));
        for pixel in degraded.pixels() {
            prop_assert!(pixel.order() <= order.min(moc.order()));
        }
        let length = degraded.order().cell_length();
        for cell in telling_cells([&moc, &degraded]) {
            let start = cell / length * length;
            let touched = moc.ranges().any(|range| range.start < start + length && start < range.end);
            prop_assert_eq!(degraded.contains_cell29(cell), touched);
        }
    }

    #[test]
    fn a_position_is_in_the_moc_of_its_cell(position in anywhere(), order in 0_u8..=29) {
        let pixel = Pixel::of(position, Order::new(order).expect("at most 29"));
        let moc = Moc::from_pixels(pixel.order(), [pixel]);
        prop_assert!(moc.contains_position(position));
        prop_assert!(!moc.complement().contains_position(position));
        prop_assert!(pixel.range().contains(&cell29(position)));
        // The middle of a cell is in it, and within reach of the position.
        let middle: Position = moc.centroid().expect("one cell has a middle");
        prop_assert!(middle.distance(position).0 < 2.0 / f64::from(1_u32 << order.min(30)));
    }
}
