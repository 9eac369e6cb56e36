//! Union, intersection, complement and the questions to a coverage, cell by cell in three-valued logic.

use proptest::prelude::*;
use sky::coverage::{Coverage, CoverageRange, Membership};
use sky::healpix::CELLS_29;

use crate::cases::cases;

/// The sky in as many pieces as a test looks at one by one.
const PIECES: u64 = 48;
const PIECE: u64 = CELLS_29 / PIECES;

fn membership() -> impl Strategy<Value = Membership> {
    prop::sample::select(vec![Membership::Outside, Membership::Maybe, Membership::Inside])
}

/// What is known of every piece. Runs are as likely as changes.
fn pieces() -> impl Strategy<Value = Vec<Membership>> {
    prop::collection::vec((membership(), any::<bool>()), PIECES as usize).prop_map(|choices| {
        let mut last = Membership::Outside;
        choices
            .into_iter()
            .map(|(membership, changes)| {
                if changes {
                    last = membership;
                }
                last
            })
            .collect()
    })
}

fn coverage(pieces: &[Membership]) -> Coverage {
    (0..)
        .zip(pieces)
        .filter(|(_, known)| **known != Membership::Outside)
        .map(|(piece, known): (u64, _)| CoverageRange {
            start: piece * PIECE,
            end: (piece + 1) * PIECE,
            inside: *known == Membership::Inside,
        })
        .collect()
}

/// What a coverage knows of the first and the last cell of every piece, which must be the same.
fn read(coverage: &Coverage) -> Vec<Membership> {
    (0..PIECES)
        .map(|piece| {
            let [first, last] = [piece * PIECE, (piece + 1) * PIECE - 1].map(|cell| coverage.membership(cell));
            assert_eq!(first, last);
            first
        })
        .collect()
}

fn each(one: &[Membership], other: &[Membership], logic: fn(Membership, Membership) -> Membership) -> Vec<Membership> {
    one.iter().zip(other).map(|(one, other)| logic(*one, *other)).collect()
}

fn not(known: Membership) -> Membership {
    match known {
        Membership::Outside => Membership::Inside,
        Membership::Maybe => Membership::Maybe,
        Membership::Inside => Membership::Outside,
    }
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn coverages_combine_as_their_cells_do(one in pieces(), other in pieces()) {
        let (left, right) = (coverage(&one), coverage(&other));
        prop_assert_eq!(read(&left), one.clone());
        prop_assert_eq!(read(&left.union(&right)), each(&one, &other, Membership::max));
        prop_assert_eq!(read(&left.intersection(&right)), each(&one, &other, Membership::min));
        prop_assert_eq!(read(&left.complement()), one.iter().copied().map(not).collect::<Vec<_>>());
    }

    #[test]
    fn the_laws_of_logic_hold(one in pieces(), other in pieces()) {
        let (one, other) = (coverage(&one), coverage(&other));
        prop_assert_eq!(one.complement().complement(), one.clone());
        prop_assert_eq!(one.union(&other), other.union(&one));
        prop_assert_eq!(
            one.union(&other).complement(),
            one.complement().intersection(&other.complement())
        );
        prop_assert_eq!(one.union(&one.intersection(&other)), one.clone());
        prop_assert_eq!(one.union(&Coverage::empty()), one.clone());
        prop_assert_eq!(one.intersection(&Coverage::whole_sky()), one);
    }

    #[test]
    fn fewer_ranges_never_know_more(one in pieces(), max_ranges in 0_usize..24) {
        let degraded = coverage(&one).degrade(max_ranges);
        prop_assert!(degraded.ranges().len() <= max_ranges.max(1));
        for (before, after) in one.iter().zip(read(&degraded)) {
            let allowed = after == *before || after == Membership::Maybe;
            prop_assert!(allowed, "{:?} became {:?}", before, after);
        }
    }

    #[test]
    fn asking_for_many_ranges_is_asking_for_each(
        one in pieces(),
        mut asked in prop::collection::vec((0..PIECES, 0_u64..6), 0..20),
        sorted in any::<bool>(),
    ) {
        if sorted {
            asked.sort_unstable();
        }
        let coverage = coverage(&one);
        let ranges: Vec<_> = asked
            .iter()
            .map(|(first, pieces)| first * PIECE..((first + pieces) * PIECE).min(CELLS_29))
            .collect();
        for ((first, pieces), found) in asked.iter().zip(coverage.select(&ranges)) {
            let within = &one[*first as usize..((first + pieces) as usize).min(one.len())];
            let expected = if within.iter().all(|known| *known == Membership::Outside) {
                Membership::Outside
            } else if within.iter().all(|known| *known == Membership::Inside) {
                Membership::Inside
            } else {
                Membership::Maybe
            };
            prop_assert_eq!(found, expected);
        }
        for range in &ranges {
            let touched = coverage.select(std::slice::from_ref(range)) != [Membership::Outside];
            prop_assert_eq!(coverage.intersects_range(range.start, range.end), touched);
        }
    }
}
