//! The stars: where they are, how bright, how far, and what is missing.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use demo_sky::{DemoSky, Table};

use crate::{all_numbers, million, numbers, whole};

/// Galactic latitude in degrees, from the pole's place in the sky alone.
fn galactic_latitude(ra: f64, dec: f64) -> f64 {
    let (pole_ra, pole_dec) = (192.859_48_f64.to_radians(), 27.128_25_f64.to_radians());
    let (ra, dec) = (ra.to_radians(), dec.to_radians());
    (dec.sin() * pole_dec.sin() + dec.cos() * pole_dec.cos() * (ra - pole_ra).cos()).asin().to_degrees()
}

fn places() -> Vec<(f64, f64)> {
    all_numbers(million(), "ra").into_iter().zip(all_numbers(million(), "dec")).collect()
}

fn share_of_nulls(column: &dyn Array) -> f64 {
    column.null_count() as f64 / column.len() as f64
}

#[test]
fn identifiers_are_unique_and_begin_with_the_healpix_pixel() {
    let ids = million().column_by_name("source_id").unwrap().as_primitive::<Int64Type>();
    let distinct: HashSet<i64> = ids.values().iter().copied().collect();
    assert_eq!(distinct.len(), 1_000_000);
    for (&id, (ra, dec)) in ids.values().iter().zip(places()) {
        assert_eq!(id as u64 >> 35, cdshealpix::nested::hash(12, ra.to_radians(), dec.to_radians()));
    }
}

#[test]
fn positions_lie_on_the_sky() {
    assert!(places().iter().all(|(ra, dec)| (0.0..360.0).contains(ra) && (-90.0..=90.0).contains(dec)));
    let galaxies = whole(DemoSky { seed: 2026, rows: 400_000 }, Table::Galaxies);
    assert!(all_numbers(&galaxies, "ra").iter().all(|ra| (0.0..360.0).contains(ra)));
    assert!(all_numbers(&galaxies, "dec").iter().all(|dec| (-90.0..=90.0).contains(dec)));
}

#[test]
fn the_plane_is_denser_than_the_poles_for_stars_and_emptier_for_galaxies() {
    let density = |places: &[(f64, f64)], low: f64, high: f64| {
        let within = places.iter().filter(|(ra, dec)| (low..high).contains(&galactic_latitude(*ra, *dec).abs()));
        within.count() as f64 / (high.to_radians().sin() - low.to_radians().sin())
    };
    let stars = places();
    let ratio = density(&stars, 0.0, 5.0) / density(&stars, 60.0, 90.0);
    assert!((8.0..80.0).contains(&ratio), "{ratio}");

    let galaxies = whole(DemoSky { seed: 2026, rows: 400_000 }, Table::Galaxies);
    let star = galaxies.column_by_name("star_source_id").unwrap();
    let (ra, dec) = (all_numbers(&galaxies, "ra"), all_numbers(&galaxies, "dec"));
    let places: Vec<_> = (0..ra.len()).filter(|&row| star.is_null(row)).map(|row| (ra[row], dec[row])).collect();
    let ratio = density(&places, 0.0, 5.0) / density(&places, 20.0, 90.0);
    assert!((0.15..0.4).contains(&ratio), "{ratio}");
}

#[test]
fn the_bulge_and_the_large_magellanic_cloud_stand_out() {
    let within = |ra: f64, dec: f64, radius: f64| {
        let limit = radius.to_radians().cos();
        let near = |&&(a, d): &&(f64, f64)| {
            let (a, d, ra, dec) = (a.to_radians(), d.to_radians(), ra.to_radians(), dec.to_radians());
            d.sin() * dec.sin() + d.cos() * dec.cos() * (a - ra).cos() > limit
        };
        places().iter().filter(near).count()
    };
    let centre = within(266.4, -28.9, 5.0);
    let anticentre = within(86.4, 28.9, 5.0);
    assert!(centre > 4 * anticentre, "{centre} {anticentre}");
    let cloud = within(79.9, -69.0, 2.0);
    let mirrored = within(79.9, 69.0, 2.0);
    assert!(cloud > 10 * mirrored, "{cloud} {mirrored}");
}

#[test]
fn clusters_crowd_hundreds_of_stars_into_single_pixels() {
    let mut counts: HashMap<u64, u32> = HashMap::new();
    for (ra, dec) in places() {
        *counts.entry(cdshealpix::nested::hash(8, ra.to_radians(), dec.to_radians())).or_default() += 1;
    }
    // A million stars over 786,432 pixels: one each on average.
    let crowded = counts.values().filter(|&&count| count > 100).count();
    assert!((50..1_000).contains(&crowded), "{crowded}");
    assert!(counts.len() > 200_000, "the rest of the sky is not empty: {}", counts.len());
}

#[test]
fn about_one_star_in_seven_has_no_parallax_and_then_no_proper_motion_either() {
    let column = |name| million().column_by_name(name).unwrap();
    let share = share_of_nulls(column("parallax"));
    assert!((0.13..0.17).contains(&share), "{share}");
    let flags = column("flags").as_primitive::<Int32Type>();
    for row in 0..million().num_rows() {
        let missing = column("parallax").is_null(row);
        for other in ["parallax_error", "pmra", "pmdec"] {
            assert_eq!(column(other).is_null(row), missing, "{other}, row {row}");
        }
        assert_eq!(flags.value(row) & 8 != 0, missing, "flags, row {row}");
    }
}

#[test]
fn other_columns_have_nulls_here_and_there() {
    let share = |name| share_of_nulls(million().column_by_name(name).unwrap());
    assert!((0.02..0.06).contains(&share("bp_rp")), "{}", share("bp_rp"));
    assert!((0.05..0.3).contains(&share("variable")), "{}", share("variable"));
    assert_eq!(share("name"), 1.0 - 20e-6);
    let flux = million().column_by_name("flux").unwrap().as_list::<i32>();
    assert_eq!(flux.null_count(), 0);
    assert!((0..flux.len()).all(|row| flux.value_length(row) == 5));
    let bands = flux.values().as_primitive::<Float32Type>();
    let missing = |band: usize| (band..bands.len()).step_by(5).filter(|&at| bands.is_null(at)).count() as f64 / 1e6;
    assert!((0.07..0.09).contains(&missing(0)), "u: {}", missing(0));
    assert!((1..5).all(|band| (0.005..0.03).contains(&missing(band))));
}

#[test]
fn some_parallaxes_are_negative_and_none_by_more_than_noise_explains() {
    let (parallax, error) = (numbers(million(), "parallax"), numbers(million(), "parallax_error"));
    let negative: Vec<f64> =
        parallax.iter().zip(&error).filter_map(|(p, e)| Some(p.as_ref()? / e.as_ref()?)).filter(|&s| s < 0.0).collect();
    let share = negative.len() as f64 / 1e6;
    assert!((0.02..0.4).contains(&share), "{share}");
    assert!(negative.iter().all(|&significance| significance > -6.0));
}

#[test]
fn there_are_ever_more_stars_the_fainter_they_are_down_to_magnitude_20() {
    let magnitudes = all_numbers(million(), "phot_g_mean_mag");
    let counts: Vec<usize> = (8..20).map(|bin| magnitudes.iter().filter(|&&g| g as i32 == bin).count()).collect();
    assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
    assert!(magnitudes.iter().all(|&g| (-2.0..21.2).contains(&g)));
}

/// Absolute magnitude and colour of the stars with a good parallax.
fn colour_magnitude_diagram() -> Vec<(f64, f64)> {
    let (parallax, error) = (numbers(million(), "parallax"), numbers(million(), "parallax_error"));
    let (g, colour) = (all_numbers(million(), "phot_g_mean_mag"), numbers(million(), "bp_rp"));
    (0..g.len())
        .filter_map(|row| {
            let parallax = parallax[row].filter(|p| *p > 10.0 * error[row].unwrap_or(f64::MAX))?;
            Some((g[row] + 5.0 * (parallax / 100.0).log10(), colour[row]?))
        })
        .collect()
}

#[test]
fn the_colour_magnitude_diagram_has_a_main_sequence_giants_and_white_dwarfs() {
    let diagram = colour_magnitude_diagram();
    assert!(diagram.len() > 50_000, "{}", diagram.len());
    let median_colour = |low: f64, high: f64| {
        let mut colours: Vec<f64> =
            diagram.iter().filter(|(m, c)| (low..high).contains(m) && *c > 0.3).map(|&(_, colour)| colour).collect();
        assert!(colours.len() > 100, "{} stars between {low} and {high}", colours.len());
        colours.sort_by(f64::total_cmp);
        colours[colours.len() / 2]
    };
    assert!((0.65..1.1).contains(&median_colour(4.0, 5.0)), "{}", median_colour(4.0, 5.0));
    assert!((1.2..1.8).contains(&median_colour(6.5, 7.5)), "{}", median_colour(6.5, 7.5));
    assert!((2.1..2.8).contains(&median_colour(9.5, 10.5)), "{}", median_colour(9.5, 10.5));
    let count = |magnitudes: std::ops::Range<f64>, colours: std::ops::Range<f64>| {
        diagram.iter().filter(|(m, c)| magnitudes.contains(m) && colours.contains(c)).count()
    };
    let (clump, gap, dwarfs) = (count(0.0..2.0, 1.0..2.2), count(6.0..8.0, -0.5..0.3), count(9.5..14.0, -0.6..1.0));
    assert!(clump > 1_000, "giants {clump}");
    assert!(dwarfs > 100, "white dwarfs {dwarfs}");
    assert!(gap * 10 < dwarfs, "between main sequence and white dwarfs {gap}");
}

#[test]
fn the_first_rows_are_stars_that_have_names_beyond_ascii() {
    let stars = whole(DemoSky { seed: 99, rows: 30 }, Table::Stars);
    let names = stars.column_by_name("name").unwrap().as_string::<i32>();
    let (ra, dec) = (all_numbers(&stars, "ra"), all_numbers(&stars, "dec"));
    let vega = (0..30).find(|&row| names.is_valid(row) && names.value(row) == "Véga (α Lyr)").unwrap();
    assert_eq!((ra[vega], dec[vega]), (279.234_73, 38.783_69));
    assert_eq!(names.len() - names.null_count(), 20);
    assert_eq!(stars.column_by_name("parallax").unwrap().slice(0, 20).null_count(), 0);
}

#[test]
fn two_seeds_give_two_skies() {
    let sky = |seed| all_numbers(&whole(DemoSky { seed, rows: 1_000 }, Table::Stars), "ra").split_off(20);
    let same = sky(1).iter().zip(sky(2)).filter(|(a, b)| **a == *b).count();
    assert_eq!(same, 0);
}
