//! Union, intersection, complement and the questions to a coverage, cell by cell in three-valued logic.

use proptest::prelude::*;
use sky::Moc;
use sky::coverage::{Coverage, Membership};
use sky::healpix::{CELLS_29, Order};

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
    let of = |wanted: Membership| {
        let those = (0..).zip(pieces).filter(|(_, known)| **known == wanted);
        let ranges = those.map(|(piece, _): (u64, _)| piece * PIECE..(piece + 1) * PIECE);
        Coverage::of_moc(&Moc::from_ranges(Order::MAX, ranges).unwrap())
    };
    of(Membership::Maybe).as_border().union(&of(Membership::Inside))
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
    fn the_border_of_a_coverage_is_all_of_it_and_knows_nothing_inside(one in pieces(), other in pieces()) {
        let border = coverage(&one).as_border();
        let expected: Vec<_> = one.iter().map(|known| (*known).min(Membership::Maybe)).collect();
        prop_assert_eq!(read(&border), expected);
        prop_assert!(border.ranges().windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", border);
        // Not to know is neutral to neither, and stays so.
        prop_assert_eq!(Coverage::unknown().complement(), Coverage::unknown());
        prop_assert_eq!(Coverage::unknown(), Coverage::whole_sky().as_border());
        let other = coverage(&other);
        prop_assert_eq!(read(&other.intersection(&Coverage::unknown())), read(&other.as_border()));
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
