//! How bright the stars are and of which colour: the magnitude law, the sequences of the colour–magnitude diagram and
//! the five bands. Colours are Gaia's BP − RP, magnitudes Gaia's G; the numbers are read off its diagrams by eye.

use std::f64::consts::{LN_2, LN_10};

/// The faintest magnitude of the law, and the one where its slope changes.
const FAINTEST: f64 = 20.6;
const KNEE: f64 = 13.0;
/// Growth of the counts per magnitude, in dex, on either side of the knee.
const FAINT_SLOPE: f64 = 0.24;
const BRIGHT_SLOPE: f64 = 0.5;
/// The share of stars brighter than the knee: `10^(FAINT_SLOPE * (KNEE - FAINTEST))`.
const BRIGHT_SHARE: f64 = 0.014_996_848_355_023_726;

/// Absolute magnitude of the brightest stars of old and of young clusters.
pub(crate) const BRIGHTEST_OLD: f64 = -3.0;
pub(crate) const BRIGHTEST_YOUNG: f64 = -2.5;

pub(crate) fn ten_to(exponent: f64) -> f64 {
    libm::exp(exponent * LN_10)
}

/// The magnitude than which the given share of stars is brighter: ever more stars the fainter they are.
pub(crate) fn apparent_magnitude(share: f64) -> f64 {
    if share > BRIGHT_SHARE {
        FAINTEST + libm::log10(share) * (1.0 / FAINT_SLOPE)
    } else {
        KNEE + libm::log10(share * (1.0 / BRIGHT_SHARE)) * (1.0 / BRIGHT_SLOPE)
    }
}

/// The inverse of [`apparent_magnitude`].
pub(crate) fn share_brighter(magnitude: f64) -> f64 {
    if magnitude > KNEE {
        ten_to(FAINT_SLOPE * (magnitude - FAINTEST)).min(0.999)
    } else {
        BRIGHT_SHARE * ten_to(BRIGHT_SLOPE * (magnitude - KNEE))
    }
}

/// A colour as a function of absolute magnitude, known at whole magnitudes from `first` on.
struct Curve<const N: usize> {
    first: f64,
    colours: [f64; N],
}

impl<const N: usize> Curve<N> {
    fn at(&self, magnitude: f64) -> f64 {
        let place = (magnitude - self.first).clamp(0.0, (N - 1) as f64);
        let index = (place as usize).min(N - 2);
        self.colours[index] + (self.colours[index + 1] - self.colours[index]) * (place - index as f64)
    }
}

static MAIN_SEQUENCE: Curve<19> = Curve {
    first: -3.0,
    colours: [
        -0.35, -0.30, -0.22, -0.08, 0.10, 0.28, 0.50, 0.68, 0.88, 1.16, 1.45, 1.74, 2.03, 2.33, 2.64, 2.98, 3.35, 3.75,
        4.2,
    ],
};
static GIANT_BRANCH: Curve<9> = Curve { first: -4.0, colours: [2.9, 2.3, 1.85, 1.52, 1.30, 1.16, 1.07, 0.98, 0.80] };
static WHITE_DWARFS: Curve<7> = Curve { first: 9.0, colours: [-0.45, -0.38, -0.20, 0.05, 0.40, 0.80, 1.20] };

pub(crate) fn main_sequence_colour(magnitude: f64) -> f64 {
    MAIN_SEQUENCE.at(magnitude)
}

pub(crate) fn giant_colour(magnitude: f64) -> f64 {
    GIANT_BRANCH.at(magnitude)
}

pub(crate) fn white_dwarf_colour(magnitude: f64) -> f64 {
    WHITE_DWARFS.at(magnitude)
}

/// Flux in microjanskys in the bands u, g, r, i, z of a star of this magnitude and colour.
pub(crate) fn fluxes(g: f64, colour: f64) -> [f64; 5] {
    let red = (colour - 1.8).max(0.0);
    let r = g + 0.05 * colour + 0.75 * red;
    let g_r = (0.75 * colour - 0.25).min(1.55);
    let r_i = 0.33 * (colour - 0.5) + 0.72 * red;
    let u_g = (0.9 + 0.65 * colour).clamp(-0.4, 2.6);
    [r + g_r + u_g, r + g_r, r, r - r_i, r - 1.5 * r_i].map(microjanskys)
}

/// From AB magnitude to flux.
fn microjanskys(magnitude: f64) -> f64 {
    ten_to(0.4 * (23.9 - magnitude))
}

/// Uncertainty of a parallax in milliarcseconds for a star of this magnitude: a floor, then twice as much a magnitude.
pub(crate) fn parallax_uncertainty(g: f64) -> f64 {
    let photons = 0.5 * libm::exp(LN_2 * (g - 20.0));
    (0.02 * 0.02 + photons * photons).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_magnitude_law_and_its_inverse_agree() {
        assert!((BRIGHT_SHARE - ten_to(FAINT_SLOPE * (KNEE - FAINTEST))).abs() < 1e-15);
        for magnitude in [2.0, 8.0, 12.999, 13.001, 18.0, 20.5] {
            assert!((apparent_magnitude(share_brighter(magnitude)) - magnitude).abs() < 1e-9, "{magnitude}");
        }
    }

    #[test]
    fn a_curve_passes_through_its_points_and_ends_with_its_ends() {
        assert_eq!(main_sequence_colour(4.0), 0.68);
        assert!((main_sequence_colour(4.5) - 0.78).abs() < 1e-12);
        assert_eq!(main_sequence_colour(99.0), 4.2);
        assert_eq!(main_sequence_colour(-99.0), -0.35);
    }

    #[test]
    fn a_red_star_shines_in_the_red() {
        let [u, g, r, i, z] = fluxes(15.0, 2.5);
        assert!(u < g && g < r && r < i && i < z);
        let [u, g, _, _, z] = fluxes(15.0, -0.3);
        assert!(g > z && u > 0.3 * g);
    }
}
