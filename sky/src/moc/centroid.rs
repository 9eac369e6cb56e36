//! The mean direction of a set of HEALPix pixels.
//!
//! The centre of a large pixel is not the mean of its points, so large ones are cut to order 6, and each is taken at
//! the four points of a Gauss rule, exact to third degree in HEALPix's equal-area plane. Every pixel weighs its area.

use cdshealpix::nested;

use crate::healpix::{Order, Pixel};
use crate::vector::{UnitVector, Xyz, add, norm, scale};

/// Pixels are cut at least this fine.
const FINEST_NEEDED: u8 = 6;

/// The two points of the Gauss rule on 0..1: one half ∓ 1/(2√3).
const GAUSS: [f64; 2] = [0.211_324_865_405_187_1, 0.788_675_134_594_812_9];

/// A mean vector shorter than this is rounding, not a direction.
const NO_DIRECTION: f64 = 1e-9;

/// The direction of the mean of all points of the pixels, if it has one.
pub(super) fn of_pixels(pixels: impl Iterator<Item = Pixel>) -> Option<UnitVector> {
    let mut sum = [0.0; 3];
    let mut weights = 0.0;
    for pixel in pixels {
        let weight = 1.0 / pixel.order().cells() as f64;
        sum = add(sum, scale(mean(pixel), weight));
        weights += weight;
    }
    // Not more than NO_DIRECTION of the area: covers the empty sum too.
    if norm(sum) > NO_DIRECTION * weights {
        let [x, y, z] = sum;
        UnitVector::new(x, y, z)
    } else {
        None
    }
}

/// The mean vector of the points of one pixel.
fn mean(pixel: Pixel) -> Xyz {
    match pixel.children() {
        Some(children) if pixel.order().get() < FINEST_NEEDED => {
            let sum = children.into_iter().map(mean).fold([0.0; 3], add);
            scale(sum, 0.25)
        }
        _ => {
            let mut sum = [0.0; 3];
            for along in GAUSS {
                for across in GAUSS {
                    sum = add(sum, point(pixel.order(), pixel.index(), along, across));
                }
            }
            scale(sum, 0.25)
        }
    }
}

/// A point of a pixel by its shares of the two sides that meet in the southern corner.
fn point(order: Order, index: u64, along: f64, across: f64) -> Xyz {
    let (lon, lat) = nested::sph_coo(order.get(), index, along, across);
    let ((sin_lon, cos_lon), (sin_lat, cos_lat)) = (lon.sin_cos(), lat.sin_cos());
    [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
}

#[cfg(test)]
mod tests {
    use crate::angle::Arcsec;
    use crate::moc::Moc;
    use crate::position::Position;

    #[track_caller]
    fn assert_centroid(moc: &str, lon: f64, lat: f64) {
        let moc: Moc = moc.parse().unwrap();
        let off = moc.centroid().unwrap().distance(Position::from_deg(lon, lat).unwrap());
        assert!(Arcsec::from(off).0 < 1e-3, "{moc} is off by {}", Arcsec::from(off));
    }

    #[test]
    fn centroids_of_symmetric_mocs_are_on_their_axis() {
        assert_centroid("0/0-3", 0.0, 90.0);
        assert_centroid("0/8-11", 0.0, -90.0);
        assert_centroid("0/4", 0.0, 0.0);
        assert_centroid("0/4-5", 45.0, 0.0);
        assert_centroid("1/16 19", 0.0, 0.0);
    }

    /// Of a small pixel the centre is the mean, to the square of its size.
    #[test]
    fn the_centroid_of_a_small_pixel_is_its_centre() {
        let moc: Moc = "20/123456789012".parse().unwrap();
        let pixel = moc.pixels().next().unwrap();
        assert!(moc.centroid().unwrap().distance(pixel.center()).0 < 1e-12);
    }

    #[test]
    fn the_whole_sky_and_nothing_have_no_centroid() {
        assert_eq!("0/0-11".parse::<Moc>().unwrap().centroid(), None);
        assert_eq!("0/".parse::<Moc>().unwrap().centroid(), None);
        assert_eq!("0/4 6".parse::<Moc>().unwrap().centroid(), None);
    }
}
