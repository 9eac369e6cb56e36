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
