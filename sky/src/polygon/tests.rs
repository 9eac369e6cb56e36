use super::*;

fn at(lon: f64, lat: f64) -> Position {
    Position::from_deg(lon, lat).unwrap()
}

fn polygon(vertices: &[(f64, f64)]) -> Result<Polygon, SkyError> {
    Polygon::new(vertices.iter().map(|&(lon, lat)| at(lon, lat)).collect())
}

fn refusal(vertices: &[(f64, f64)]) -> String {
    polygon(vertices).unwrap_err().to_string()
}

/// Computed with mpmath at 60 digits: the fan of triangles by the formula of Van Oosterom and Strackee from the unit
/// vectors of exactly these doubles, modulo 4π, the smaller side.
const AREAS: [(&[(f64, f64)], f64); 8] = [
    (&[(0.0, 0.0), (90.0, 0.0), (0.0, 90.0)], std::f64::consts::FRAC_PI_2),
    (&[(0.0, 80.0), (120.0, 80.0), (240.0, 80.0)], 0.039_924_945_157_620_6),
    (&[(359.5, -0.25), (0.5, -0.25), (0.5, 0.25), (359.5, 0.25)], 0.000_152_312_092_959_080_22),
    (&[(359.9999, 33.0), (0.0001, 33.0), (0.0001, 33.0002), (359.9999, 33.0002)], 1.021_893_499_455_621e-11),
    (&[(83.6, 22.0), (83.6000003, 22.0), (83.6000001, 22.0000002)], 8.473_090_849_018_177e-18),
    (&[(100.0, -30.0), (140.0, -60.0), (115.0, -50.0), (100.0, -70.0)], 0.070_360_623_756_127_64),
    (
        &[(0.0, -1.0), (70.0, -1.5), (140.0, -1.0), (210.0, -1.0), (210.0, 1.0), (140.0, 1.0), (70.0, 0.5), (0.0, 1.0)],
        0.146_635_467_489_351_63,
    ),
    (&[(0.0, -0.001), (90.0, 0.0), (180.0, 0.0), (270.0, 0.0)], 6.283_150_400_594_547),
];

#[test]
fn areas_agree_with_sixty_digits_whatever_the_winding_and_the_first_vertex() {
    for (vertices, expected) in AREAS {
        let mut vertices = vertices.to_vec();
        for turn in 0..vertices.len() {
            for _ in 0..2 {
                let area = polygon(&vertices).unwrap().area().0;
                assert!((area / expected - 1.0).abs() < 1e-12, "{vertices:?}, {turn}: {area:e} for {expected:e}");
                vertices.reverse();
            }
            vertices.rotate_left(1);
        }
    }
}

#[test]
fn the_inside_is_the_smaller_side_either_way_round() {
    let mut vertices = [(350.0, -10.0), (10.0, -10.0), (10.0, 10.0), (350.0, 10.0)];
    for _ in 0..2 {
        let square = polygon(&vertices).unwrap();
        assert!(square.contains_position(at(0.0, 0.0)) && square.contains_position(at(355.0, 9.0)));
        assert!(!square.contains_position(at(180.0, 0.0)) && !square.contains_position(at(11.0, 0.0)));
        vertices.reverse();
    }
}

#[test]
fn vertices_and_edges_belong_to_the_polygon() {
    let arrow = polygon(AREAS[5].0).unwrap();
    for &(lon, lat) in AREAS[5].0 {
        assert!(arrow.contains_position(at(lon, lat)), "{lon} {lat}");
    }
    for edge in arrow.edges() {
        for fraction in [0.001, 0.5, 0.7] {
            assert!(arrow.contains_position(edge.at(fraction).position()));
        }
    }
}

#[test]
fn a_concave_polygon_does_not_contain_its_notch() {
    let arrow = polygon(AREAS[5].0).unwrap();
    assert!(arrow.contains_position(at(115.0, -49.0)) && arrow.contains_position(at(101.0, -65.0)));
    assert!(!arrow.contains_position(at(115.0, -55.0)) && !arrow.contains_position(at(110.0, -60.0)));
}

#[test]
fn a_pole_lies_in_a_polygon_drawn_around_it() {
    let cap = polygon(AREAS[1].0).unwrap();
    assert!(cap.contains_position(at(0.0, 90.0)) && cap.contains_position(at(60.0, 86.0)));
    assert!(cap.contains_position(at(60.0, 85.1)) && !cap.contains_position(at(60.0, 84.9)));
    assert!(!cap.contains_position(at(0.0, -90.0)));
}

#[test]
fn an_outline_may_be_longer_than_half_a_turn() {
    let stripe = polygon(AREAS[6].0).unwrap();
    for lon in [0.5, 90.0, 180.0, 209.0] {
        assert!(stripe.contains_position(at(lon, 0.0)), "{lon}");
        assert!(!stripe.contains_position(at(lon, 3.0)) && !stripe.contains_position(at(lon, -3.0)), "{lon}");
    }
    for lon in [211.0, 270.0, 359.0] {
        assert!(!stripe.contains_position(at(lon, 0.0)), "{lon}");
    }
}

#[test]
fn repeated_vertices_and_a_closing_one_are_dropped() {
    let plain = polygon(&[(0.0, 0.0), (10.0, 0.0), (0.0, 10.0)]).unwrap();
    let closed = polygon(&[(0.0, 0.0), (10.0, 0.0), (10.0, 0.0), (0.0, 10.0), (360.0, 0.0)]).unwrap();
    assert_eq!(closed, plain);
    assert_eq!(closed.vertices().len(), 3);
}

#[test]
fn each_kind_of_degenerate_polygon_has_its_own_sentence() {
    assert_eq!(refusal(&[]), "a polygon needs at least 3 different vertices, and this one has 0");
    assert_eq!(
        refusal(&[(1.0, 1.0), (2.0, 2.0), (1.0, 1.0)]),
        "a polygon needs at least 3 different vertices, and this one has 2"
    );
    assert!(
        refusal(&[(0.0, 0.0), (10.0, 20.0), (190.0, -20.0)]).starts_with("vertices 2 and 3 of the polygon are opp")
    );
    assert!(
        refusal(&[(10.0, 20.0), (0.0, 0.0), (190.0, -20.0)]).starts_with("vertices 3 and 1 of the polygon are opp")
    );
    let flat = "all vertices of the polygon lie on one great circle, so it encloses no area";
    assert_eq!(refusal(&[(33.0, 0.0), (33.0, 10.0), (33.0, 20.0), (33.0, 5.0)]), flat);
    assert_eq!(refusal(&[(0.0, 0.0), (120.0, 0.0), (240.0, 0.0)]), flat);
    assert!(
        refusal(&[(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0)])
            .starts_with("the polygon's edge from vertex 1 crosses or touches its edge from vertex 3")
    );
    // A spike, and a vertex on an edge.
    assert!(
        refusal(&[(0.0, 0.0), (10.0, 0.0), (5.0, 0.0), (5.0, 9.0)])
            .starts_with("the polygon's edge from vertex 1 cros")
    );
    assert!(
        refusal(&[(0.0, 0.0), (10.0, 0.0), (5.0, 9.0), (5.0, 0.0), (4.0, 9.0)])
            .starts_with("the polygon's edge from vertex 1 cros")
    );
    let halves = [(0.0, 10.0), (60.0, -10.0), (120.0, 10.0), (180.0, -10.0), (240.0, 10.0), (300.0, -10.0)];
    assert!(refusal(&halves).starts_with("the polygon cuts the sky into two equal halves"));
    let needle = [(0.0, 0.0), (10.0, 0.0), (0.0, 5e-13)];
    assert!(refusal(&needle).contains("too thin to have an inside"), "{}", refusal(&needle));
    assert_eq!(
        Polygon::from_deg(&[1.0, 2.0, 3.0]).unwrap_err().to_string(),
        "a polygon is a list of longitudes and latitudes in pairs, and 3 numbers do not pair up"
    );
}

#[test]
fn the_centroid_of_an_octant_is_its_middle() {
    let middle = polygon(AREAS[0].0).unwrap().centroid();
    let third = 1.0 / 3.0_f64.sqrt();
    assert!(middle.vector().angle(UnitVector::from_unit([third; 3])).0 < 1e-15);
}

#[test]
fn the_centroid_keeps_its_place_from_degrees_to_microarcseconds() {
    // A square about a point is symmetric, to the curvature of its parallels.
    for (half, allowed) in [(1.0, 1e-2), (1e-2, 1e-6), (1e-4, 1e-10), (1e-7, 1e-13), (1e-9, 1e-14)] {
        let square = [(-half, 40.0 - half), (half, 40.0 - half), (half, 40.0 + half), (-half, 40.0 + half)];
        let middle = polygon(&square).unwrap().centroid();
        let off = middle.distance(at(0.0, 40.0)).0.to_degrees();
        assert!(off < allowed, "{half}: {off:e}");
    }
}

#[test]
fn a_thousand_vertices_are_a_polygon_too() {
    let vertices: Vec<(f64, f64)> =
        (0..1000).map(|i| (f64::from(i) * 0.36, if i % 2 == 0 { 60.0 } else { 70.0 })).collect();
    let star = polygon(&vertices).unwrap();
    assert!(star.contains_position(at(0.0, 90.0)) && star.contains_position(at(0.36, 70.1)));
    assert!(star.contains_position(at(0.0, 60.1)) && !star.contains_position(at(0.0, 59.9)));
    assert!(!star.contains_position(at(0.36, 69.9)) && !star.contains_position(at(0.36, -69.9)));
}

#[test]
fn more_vertices_than_4096_are_refused_before_anything_else_is_asked_of_them() {
    let ring = |count: u16| -> Vec<(f64, f64)> {
        (0..count).map(|i| (f64::from(i) * 360.0 / f64::from(count), 30.0)).collect()
    };
    assert!(polygon(&ring(4096)).unwrap().contains_position(at(0.0, 30.1)));
    assert_eq!(refusal(&ring(4097)), "a polygon may have at most 4096 vertices, and this one has 4097");
    assert_eq!(refusal(&[(1.0, 1.0); 9000]), "a polygon may have at most 4096 vertices, and this one has 9000");
}

#[test]
fn only_an_outline_that_turns_left_at_every_corner_is_called_convex() {
    let mut ring: Vec<(f64, f64)> = (0..500).map(|i| (f64::from(i) * 0.72, 60.0)).collect();
    for _ in 0..2 {
        assert!(polygon(&ring).unwrap().convex);
        ring.reverse();
    }
    // The parallel is rounder than a great circle by a hundredth of a degree here: this vertex leaves a dent.
    ring[77].1 += 0.01;
    assert!(!polygon(&ring).unwrap().convex);
    for vertices in [AREAS[5].0, AREAS[6].0, &[(0.0, 0.0), (5.0, 0.0), (10.0, 0.0), (5.0, 5.0)]] {
        assert!(!polygon(vertices).unwrap().convex, "{vertices:?}");
    }
    for vertices in &AREAS[..5] {
        assert!(polygon(vertices.0).unwrap().convex, "{vertices:?}");
    }
}

#[test]
fn an_edge_of_two_nanoarcseconds_does_not_lead_the_search_for_the_inside_astray() {
    // The northern edge is just longer than what counts as one point.
    for (lon, south, wide, north, narrow) in [
        (64.0, 11.0, 64.000_000_000_021_25, 75.0, 64.000_000_000_002_16),
        (185.0, 12.0, 185.000_000_000_035_16, 81.0, 185.000_000_000_003_55),
        (186.0, -36.0, 186.000_000_000_006_7, 35.0, 186.000_000_000_000_68),
    ] {
        let needle = polygon(&[(lon, south), (wide, south), (narrow, north), (lon, north)]).unwrap();
        assert!(needle.contains_vector(needle.inner) && needle.contains_position(needle.centroid()), "{lon}");
    }
}
