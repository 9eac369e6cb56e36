//! The first rows of `demo.stars`: stars that people know by name, where they really are, so that a first query can ask
//! for something familiar. From the Hipparcos catalogue, at epoch J2000.0, with magnitudes and colours rounded.

pub(crate) struct NamedStar {
    pub(crate) name: &'static str,
    pub(crate) ra: f64,
    pub(crate) dec: f64,
    /// In milliarcseconds, as are the proper motions a year.
    pub(crate) parallax: f64,
    pub(crate) pmra: f64,
    pub(crate) pmdec: f64,
    pub(crate) magnitude: f64,
    pub(crate) colour: f64,
}

pub(crate) fn named_star(row: u64) -> Option<&'static NamedStar> {
    NAMED_STARS.get(usize::try_from(row).ok()?)
}

#[rustfmt::skip]
pub(crate) static NAMED_STARS: [NamedStar; 20] = [
    star("Sirius (α CMa)",            101.287_16, -16.716_12, 379.21,  -546.01, -1_223.07, -1.44,  0.00),
    star("Canopus (α Car)",            95.987_96, -52.695_66,  10.55,    19.93,     23.24, -0.66,  0.22),
    star("Arcturus (α Boo)",          213.915_30,  19.182_41,  88.83, -1_093.39, -2_000.06, -0.31,  1.42),
    star("Véga (α Lyr)",              279.234_73,  38.783_69, 130.23,   200.94,    286.23,  0.03,  0.00),
    star("Capella (α Aur)",            79.172_33,  45.997_99,  76.20,    75.25,   -426.89, -0.12,  1.01),
    star("Rigel (β Ori)",              78.634_47,  -8.201_64,   3.78,     1.31,      0.50,  0.15,  0.03),
    star("Procyon (α CMi)",           114.825_50,   5.224_99, 284.56,  -714.59, -1_036.80,  0.29,  0.55),
    star("Achernar (α Eri)",           24.428_52, -57.236_75,  23.39,    87.00,    -38.24,  0.44, -0.18),
    star("Bételgeuse (α Ori)",         88.792_94,   7.407_06,   6.55,    27.54,     11.30, -0.40,  2.40),
    star("Altaïr (α Aql)",            297.695_83,   8.868_32, 194.95,   536.23,    385.29,  0.75,  0.30),
    star("Aldébaran (α Tau)",          68.980_16,  16.509_30,  48.94,    63.45,   -188.94,  0.30,  1.95),
    star("Antares (α Sco)",           247.351_92, -26.432_00,   5.89,   -12.11,    -23.30,  0.20,  2.50),
    star("Spica (α Vir)",             201.298_25, -11.161_32,  13.06,   -42.35,    -30.67,  0.96, -0.27),
    star("Pollux (β Gem)",            116.328_96,  28.026_20,  96.54,  -626.55,    -45.80,  0.90,  1.15),
    star("Fomalhaut (α PsA)",         344.412_69, -29.622_24, 129.81,   328.95,   -164.67,  1.16,  0.16),
    star("Deneb (α Cyg)",             310.357_98,  45.280_34,   2.31,     2.01,      1.85,  1.23,  0.17),
    star("Régulus (α Leo)",           152.092_96,  11.967_21,  41.13,  -248.73,      5.59,  1.38, -0.12),
    star("Polaris (α UMi)",            37.954_56,  89.264_11,   7.54,    44.48,    -11.85,  1.86,  0.83),
    star("Próxima Centauri (α Cen C)", 217.428_94, -62.679_49, 772.33, -3_775.64,   768.16,  8.95,  3.80),
    star("Étoile de Barnard (V2500 Oph)", 269.452_08,  4.693_36, 549.01, -797.84, 10_326.93, 8.19,  2.84),
];

#[expect(clippy::too_many_arguments, reason = "a row of the table above")]
const fn star(
    name: &'static str,
    ra: f64,
    dec: f64,
    parallax: f64,
    pmra: f64,
    pmdec: f64,
    magnitude: f64,
    colour: f64,
) -> NamedStar {
    NamedStar { name, ra, dec, parallax, pmra, pmdec, magnitude, colour }
}
