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
    fn arbitrary_bytes_and_text_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[0-9/, \\-sS+t]{0,40}", any_text in ".{0,40}",
    ) {
        prop_assert!(Moc::from_fits(&bytes).is_err());
        let _ = text.parse::<Moc>();
        let _ = any_text.parse::<Moc>();
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
