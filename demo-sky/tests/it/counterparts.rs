//! The galaxies, and how well those that are stars seen again lie on the stars.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use demo_sky::{DemoSky, Table};

use crate::{all_numbers, million, whole};

/// A star seen again: how far to the east and to the north in arcseconds, and the star's declination.
struct Scatter {
    east: f64,
    north: f64,
    dec: f64,
}

struct Counterparts {
    scatter: Vec<Scatter>,
    galaxies: usize,
}

static COUNTERPARTS: LazyLock<Counterparts> = LazyLock::new(|| {
    let stars = million();
    let ids = stars.column_by_name("source_id").unwrap().as_primitive::<Int64Type>();
    let (ra, dec) = (all_numbers(stars, "ra"), all_numbers(stars, "dec"));
    let places: HashMap<i64, (f64, f64)> = ids.values().iter().copied().zip(ra.into_iter().zip(dec)).collect();

    let galaxies = whole(DemoSky { seed: 2026, rows: 1_000_000 }, Table::Galaxies);
    let (ra, dec) = (all_numbers(&galaxies, "ra"), all_numbers(&galaxies, "dec"));
    let star = galaxies.column_by_name("star_source_id").unwrap().as_primitive::<Int64Type>();
    let mut seen = HashSet::new();
    let scatter = (0..galaxies.num_rows())
        .filter(|&row| star.is_valid(row))
        .map(|row| {
            assert!(seen.insert(star.value(row)), "a star is seen again once at most");
            let &place = places.get(&star.value(row)).expect("the star is a row of the stars");
            offset(place, (ra[row], dec[row]))
        })
        .collect();
    Counterparts { scatter, galaxies: galaxies.num_rows() }
});

/// Gnomonic projection about the star, by the standard formulas in differences that stay exact for small angles.
fn offset((ra0, dec0): (f64, f64), (ra, dec): (f64, f64)) -> Scatter {
    let (d0, d, half) = (dec0.to_radians(), dec.to_radians(), ((ra - ra0) / 2.0).to_radians());
    let east = d.cos() * (2.0 * half).sin();
    let north = (d - d0).sin() + 2.0 * d0.sin() * d.cos() * half.sin() * half.sin();
    Scatter { east: east.to_degrees() * 3600.0, north: north.to_degrees() * 3600.0, dec: dec0 }
}

fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    (values.map(|value| value * value).sum::<f64>() / n).sqrt()
}

#[test]
fn three_galaxies_in_ten_are_stars_seen_again() {
    let share = COUNTERPARTS.scatter.len() as f64 / COUNTERPARTS.galaxies as f64;
    assert!((0.295..0.305).contains(&share), "{share}");
}

#[test]
fn the_scatter_is_a_third_of_an_arcsecond_on_each_axis() {
    let scatter = &COUNTERPARTS.scatter;
    let (east, north) = (scatter.iter().map(|s| s.east), scatter.iter().map(|s| s.north));
    for axis in [deviation(east.clone()), deviation(north.clone())] {
        assert!((0.297..0.303).contains(&axis), "{axis}");
    }
    let n = scatter.len() as f64;
    assert!((east.clone().sum::<f64>() / n).abs() < 0.005);
    assert!((north.clone().sum::<f64>() / n).abs() < 0.005);
    let correlation = east.zip(north).map(|(e, n)| e * n).sum::<f64>() / n / 0.09;
    assert!(correlation.abs() < 0.02, "{correlation}");
}

#[test]
fn the_scatter_has_the_tails_of_a_normal_distribution() {
    let beyond = |limit: f64| {
        let outside = COUNTERPARTS.scatter.iter().filter(|s| s.east.hypot(s.north) > limit * 0.3).count();
        outside as f64 / COUNTERPARTS.scatter.len() as f64
    };
    for limit in [1.0_f64, 2.0, 3.0] {
        let expected = (-0.5 * limit * limit).exp();
        assert!((beyond(limit) / expected - 1.0).abs() < 0.15, "{limit}: {} {expected}", beyond(limit));
    }
}

#[test]
fn the_scatter_is_the_same_near_the_poles() {
    let near = COUNTERPARTS.scatter.iter().filter(|s| s.dec.abs() > 80.0);
    let count = near.clone().count();
    assert!(count > 300, "{count}");
    for axis in [deviation(near.clone().map(|s| s.east)), deviation(near.map(|s| s.north))] {
        assert!((0.27..0.33).contains(&axis), "{axis}");
    }
}

#[test]
fn galaxies_have_redshifts_shapes_and_classes_that_fit_together() {
    let galaxies = whole(DemoSky { seed: 8, rows: 200_000 }, Table::Galaxies);
    let redshift = crate::numbers(&galaxies, "z");
    let class = galaxies.column_by_name("class").unwrap().as_string::<i32>();
    let (e1, e2) = (all_numbers(&galaxies, "e1"), all_numbers(&galaxies, "e2"));
    let mut classes: HashMap<&str, usize> = HashMap::new();
    for row in 0..galaxies.num_rows() {
        *classes.entry(class.value(row)).or_default() += 1;
        assert!(e1[row].hypot(e2[row]) < 0.951);
        assert!(redshift[row].is_none_or(|z| class.value(row) != "STAR" && z > 0.0 && z < 12.0), "row {row}");
    }
    assert_eq!(classes.len(), 3);
    assert!(classes.values().all(|&count| count > 1_000), "{classes:?}");
    let ids: HashSet<i64> =
        galaxies.column_by_name("object_id").unwrap().as_primitive::<Int64Type>().values().iter().copied().collect();
    assert_eq!(ids.len(), galaxies.num_rows());
}
