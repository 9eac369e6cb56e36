//! What is inside, by half-spaces alone.
//!
//! A convex figure on the sphere is the meeting of half-spaces through the centre; a star is the union of the triangles
//! of its centre with each edge. The oracles answer `None` where a point is so near a boundary that doubles can't tell.

use sky::{Position, UnitVector};

/// Whether a point lies within the convex polygon with these corners, given with the inside on the left.
pub(super) fn in_convex(corners: &[UnitVector], point: UnitVector) -> Option<bool> {
    let mut inside = true;
    let mut doubt = false;
    for (i, from) in corners.iter().enumerate() {
        let to = corners[(i + 1) % corners.len()];
        let (sine, error) = side(*from, to, point);
        if sine.abs() < error {
            doubt = true;
        } else if sine < 0.0 {
            inside = false;
        }
    }
    if !inside {
        Some(false)
    } else if doubt {
        None
    } else {
        Some(true)
    }
}

/// Whether a point lies in a star: in one of the triangles of its centre and an edge. Seen from outside the sphere,
/// bearings run clockwise.
pub(super) fn in_star(center: Position, vertices: &[Position], point: Position) -> Option<bool> {
    let (center, point) = (center.vector(), point.vector());
    let corners: Vec<UnitVector> = vertices.iter().map(|vertex| vertex.vector()).collect();
    let mut doubt = false;
    for (i, from) in corners.iter().enumerate() {
        let to = corners[(i + 1) % corners.len()];
        match in_convex(&[center, to, *from], point) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => doubt = true,
        }
    }
    if doubt { None } else { Some(false) }
}

/// The sine of the distance of a point left of the line from one point to another, and how wrong it may be.
pub(super) fn side(from: UnitVector, to: UnitVector, point: UnitVector) -> (f64, f64) {
    let [x, y, z] = from.cross(to);
    let length = (x * x + y * y + z * z).sqrt();
    let sine = (x * point.x() + y * point.y() + z * point.z()) / length;
    (sine, 2e-14 + 4e-15 / length)
}

/// Whether two convex polygons (inside on the left) meet, by the separating axis: two convex cones in space are apart
/// exactly if a plane along a face of one, or along a corner of each, parts them.
pub(super) fn convex_meet(one: &[UnitVector], other: &[UnitVector]) -> Option<bool> {
    let mut doubt = false;
    for (corners, others) in [(one, other), (other, one)] {
        for (i, from) in corners.iter().enumerate() {
            let to = corners[(i + 1) % corners.len()];
            let sides: Vec<(f64, f64)> = others.iter().map(|corner| side(*from, to, *corner)).collect();
            match all_on(&sides, -1.0) {
                Some(true) => return Some(false),
                Some(false) => {}
                None => doubt = true,
            }
        }
    }
    for (i, a) in one.iter().enumerate() {
        for (j, b) in other.iter().enumerate() {
            let of_one = sides_but(one, i, *a, *b);
            let of_other = sides_but(other, j, *a, *b);
            for sign in [1.0, -1.0] {
                match (all_on(&of_one, sign), all_on(&of_other, -sign)) {
                    (Some(true), Some(true)) => return Some(false),
                    (Some(false), _) | (_, Some(false)) => {}
                    _ => doubt = true,
                }
            }
        }
    }
    if doubt { None } else { Some(true) }
}

fn sides_but(corners: &[UnitVector], but: usize, from: UnitVector, to: UnitVector) -> Vec<(f64, f64)> {
    corners.iter().enumerate().filter(|(i, _)| *i != but).map(|(_, corner)| side(from, to, *corner)).collect()
}

/// Whether all sines have this sign; `None` if rounding decides.
fn all_on(sides: &[(f64, f64)], sign: f64) -> Option<bool> {
    if sides.iter().any(|&(sine, error)| sine * sign < -error) {
        Some(false)
    } else if sides.iter().all(|&(sine, error)| sine * sign > error) {
        Some(true)
    } else {
        None
    }
}
