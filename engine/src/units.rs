//! Units of measurement as the IVOA writes them (VOUnits 1.1): what a text means, and the factor from one unit to another.
//!
//! ```text
//! unit    := [number] terms          terms := term { ("." | "*" | " ") term } { "/" term }
//! term    := symbol [power] | "(" terms ")" [power] | "sqrt(" terms ")"
//! power   := [ "**" | "^" ] ( whole | "(" whole [ "/" whole ] ")" )
//! ```
//! A symbol may carry a decimal prefix where the table below allows one. Units that the standard deprecates (`Angstrom`, `erg`,
//! `G` …) are read. Logarithmic units (`mag`, `dex`) convert to themselves only: nothing here guesses a zero point.

use std::fmt;

/// Exponents are kept in twelfths, so that roots of units are exact.
const TWELFTHS: i32 = 12;

const DIMENSIONS: usize = 21;

/// What a unit measures, as powers of metre, kilogram, second, ampere, kelvin, mole, candela, degree, and of things counted.
type Dimensions = [i32; DIMENSIONS];

/// A unit: how many base units it is, and of what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Unit {
    factor: f64,
    dimensions: Dimensions,
}

/// Why a text is no unit, or one unit not another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnitError(String);

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const M: usize = 0;
const KG: usize = 1;
const S: usize = 2;
const A: usize = 3;
const K: usize = 4;
const MOL: usize = 5;
const CD: usize = 6;
const DEG: usize = 7;
const MAG: usize = 8;
const DEX: usize = 9;
const PHOTON: usize = 10;
/// Things that are only counted, each its own dimension, from here on.
const COUNTED: usize = 11;

const COUNTS: [&[&str]; DIMENSIONS - COUNTED] = [
    &["count", "ct"],
    &["adu"],
    &["electron"],
    &["pixel", "pix"],
    &["chan"],
    &["bin"],
    &["beam"],
    &["voxel"],
    &["Sun"],
    &["bit"],
];

struct Symbol {
    name: &'static str,
    factor: f64,
    powers: &'static [(usize, i32)],
    prefixed: bool,
}

const fn plain(name: &'static str, factor: f64, powers: &'static [(usize, i32)]) -> Symbol {
    Symbol { name, factor, powers, prefixed: false }
}

const fn metric(name: &'static str, factor: f64, powers: &'static [(usize, i32)]) -> Symbol {
    Symbol { name, factor, powers, prefixed: true }
}

const YEAR: f64 = 31_557_600.0; // a Julian year
const DEGREES_PER_RADIAN: f64 = 57.295_779_513_082_32;
const ENERGY: &[(usize, i32)] = &[(KG, 1), (M, 2), (S, -2)];
const MASS: &[(usize, i32)] = &[(KG, 1)];

/// Constants are those of CODATA 2018 and of the IAU's resolutions of 2012 and 2015; masses are GM over CODATA's G.
const SYMBOLS: &[Symbol] = &[
    metric("m", 1.0, &[(M, 1)]),
    metric("g", 1e-3, MASS),
    metric("s", 1.0, &[(S, 1)]),
    metric("A", 1.0, &[(A, 1)]),
    metric("K", 1.0, &[(K, 1)]),
    metric("mol", 1.0, &[(MOL, 1)]),
    metric("cd", 1.0, &[(CD, 1)]),
    metric("rad", DEGREES_PER_RADIAN, &[(DEG, 1)]),
    metric("sr", DEGREES_PER_RADIAN * DEGREES_PER_RADIAN, &[(DEG, 2)]),
    metric("Hz", 1.0, &[(S, -1)]),
    metric("N", 1.0, &[(KG, 1), (M, 1), (S, -2)]),
    metric("Pa", 1.0, &[(KG, 1), (M, -1), (S, -2)]),
    metric("J", 1.0, ENERGY),
    metric("W", 1.0, &[(KG, 1), (M, 2), (S, -3)]),
    metric("C", 1.0, &[(A, 1), (S, 1)]),
    metric("V", 1.0, &[(KG, 1), (M, 2), (S, -3), (A, -1)]),
    metric("S", 1.0, &[(KG, -1), (M, -2), (S, 3), (A, 2)]),
    metric("F", 1.0, &[(KG, -1), (M, -2), (S, 4), (A, 2)]),
    metric("Wb", 1.0, &[(KG, 1), (M, 2), (S, -2), (A, -1)]),
    metric("T", 1.0, &[(KG, 1), (S, -2), (A, -1)]),
    metric("H", 1.0, &[(KG, 1), (M, 2), (S, -2), (A, -2)]),
    metric("Ohm", 1.0, &[(KG, 1), (M, 2), (S, -3), (A, -2)]),
    metric("lm", 1.0, &[(CD, 1)]),
    metric("lx", 1.0, &[(CD, 1), (M, -2)]),
    plain("%", 0.01, &[]),
    plain("min", 60.0, &[(S, 1)]),
    plain("h", 3600.0, &[(S, 1)]),
    plain("d", 86_400.0, &[(S, 1)]),
    metric("a", YEAR, &[(S, 1)]),
    metric("yr", YEAR, &[(S, 1)]),
    plain("cy", YEAR * 100.0, &[(S, 1)]),
    plain("deg", 1.0, &[(DEG, 1)]),
    plain("arcmin", 1.0 / 60.0, &[(DEG, 1)]),
    metric("arcsec", 1.0 / 3600.0, &[(DEG, 1)]),
    plain("mas", 1.0 / 3.6e6, &[(DEG, 1)]),
    plain("uas", 1.0 / 3.6e9, &[(DEG, 1)]),
    metric("pc", 3.085_677_581_491_367e16, &[(M, 1)]),
    plain("AU", 149_597_870_700.0, &[(M, 1)]),
    plain("au", 149_597_870_700.0, &[(M, 1)]),
    metric("lyr", 9.460_730_472_580_8e15, &[(M, 1)]),
    plain("Angstrom", 1e-10, &[(M, 1)]),
    plain("angstrom", 1e-10, &[(M, 1)]),
    plain("solMass", 1.988_409_870_698_051e30, MASS),
    plain("jupiterMass", 1.898_124_597_336_050_5e27, MASS),
    plain("geoMass", 5.972_167_867_791_379e24, MASS),
    metric("u", 1.660_539_066_60e-27, MASS),
    metric("Da", 1.660_539_066_60e-27, MASS),
    plain("solRad", 6.957e8, &[(M, 1)]),
    plain("jupiterRad", 7.1492e7, &[(M, 1)]),
    plain("geoRad", 6.3781e6, &[(M, 1)]),
    plain("solLum", 3.828e26, &[(KG, 1), (M, 2), (S, -3)]),
    metric("eV", 1.602_176_634e-19, ENERGY),
    plain("Ry", 2.179_872_361_103_5e-18, ENERGY),
    metric("erg", 1e-7, ENERGY),
    metric("Jy", 1e-26, &[(KG, 1), (S, -2)]),
    metric("G", 1e-4, &[(KG, 1), (S, -2), (A, -1)]),
    metric("barn", 1e-28, &[(M, 2)]),
    plain("D", 1e-29 / 2.997_924_58, &[(A, 1), (S, 1), (M, 1)]),
    metric(
        "R",
        1e10 / (4.0 * std::f64::consts::PI) / (DEGREES_PER_RADIAN * DEGREES_PER_RADIAN),
        &[(PHOTON, 1), (M, -2), (S, -1), (DEG, -2)],
    ),
    metric("mag", 1.0, &[(MAG, 1)]),
    plain("dex", 1.0, &[(DEX, 1)]),
    plain("photon", 1.0, &[(PHOTON, 1)]),
    plain("ph", 1.0, &[(PHOTON, 1)]),
    metric("byte", 8.0, &[(DIMENSIONS - 1, 1)]),
    metric("B", 8.0, &[(DIMENSIONS - 1, 1)]),
];

const PREFIXES: [(&str, i32); 22] = [
    ("da", 1),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("µ", -6),
    ("μ", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
    ("z", -21),
    ("y", -24),
    ("h", 2),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
    ("Z", 21),
    ("Y", 24),
];

impl Unit {
    /// The unit that a text names.
    pub(crate) fn parse(text: &str) -> Result<Self, UnitError> {
        let mut parser = Parser { text, rest: text.trim() };
        let scale = parser.scale()?;
        let unit = if parser.rest.is_empty() && scale != 1.0 { Unit::NONE } else { parser.terms()? };
        if !parser.rest.is_empty() {
            return Err(parser.wrong(&format!("'{}' is not understood", parser.rest)));
        }
        Ok(Self { factor: unit.factor * scale, ..unit })
    }

    const NONE: Self = Self { factor: 1.0, dimensions: [0; DIMENSIONS] };

    fn of_powers(factor: f64, powers: &[(usize, i32)]) -> Self {
        let mut dimensions = [0; DIMENSIONS];
        for (dimension, power) in powers {
            dimensions[*dimension] = power * TWELFTHS;
        }
        Self { factor, dimensions }
    }

    fn times(self, other: Self, power: f64) -> Self {
        let dimensions =
            std::array::from_fn(|d| self.dimensions[d] + (f64::from(other.dimensions[d]) * power).round() as i32);
        Self { factor: self.factor * other.factor.powf(power), dimensions }
    }

    /// What a number in this unit is multiplied by to be one in `other`. The texts are those of the units, for the mistake.
    pub(crate) fn factor_to(self, other: Self, (from, to): (&str, &str)) -> Result<f64, UnitError> {
        if self.dimensions == other.dimensions {
            return Ok(tidy(self.factor / other.factor));
        }
        let logarithmic = |unit: Self| unit.dimensions[MAG] != 0 || unit.dimensions[DEX] != 0;
        Err(UnitError(match logarithmic(self) != logarithmic(other) {
            true => format!(
                "'{from}' cannot be given in '{to}': one of them is logarithmic, and its zero point is not known"
            ),
            false => format!("'{from}' cannot be given in '{to}': they measure different things"),
        }))
    }

    /// How this unit says where in the spectrum something is, with its size in SI units.
    pub(crate) fn spectral(self) -> Option<(Spectral, f64)> {
        let kinds = [
            (Spectral::Wavelength, &[(M, 1)] as &[(usize, i32)]),
            (Spectral::Frequency, &[(S, -1)]),
            (Spectral::Energy, ENERGY),
            (Spectral::Wavenumber, &[(M, -1)]),
        ];
        let found = kinds.into_iter().find(|(_, powers)| Unit::of_powers(1.0, powers).dimensions == self.dimensions);
        found.map(|(kind, _)| (kind, self.factor))
    }
}

/// The ways to say where in the spectrum something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spectral {
    Wavelength,
    Frequency,
    Energy,
    Wavenumber,
}

/// A factor of few decimals, such as 3600, is given exactly though it was divided out of rounded ones.
fn tidy(factor: f64) -> f64 {
    match format!("{factor:.13e}").parse::<f64>() {
        Ok(short) if (short / factor - 1.0).abs() < 1e-15 => short,
        _ => factor,
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn wrong(&self, why: &str) -> UnitError {
        UnitError(format!("'{}' is no unit: {why}", self.text))
    }

    fn eat(&mut self, start: &str) -> bool {
        match self.rest.strip_prefix(start) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn while_(&mut self, matches: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !matches(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// `10**-3`, `10-3`, `1e-3`, `0.001` before the unit.
    fn scale(&mut self) -> Result<f64, UnitError> {
        if !self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(1.0);
        }
        let mantissa = self.while_(|c| c.is_ascii_digit() || c == '.');
        let mut written = mantissa.trim_end_matches('.').to_owned();
        let exponent = |rest: &str| -> Option<usize> {
            let after = rest.strip_prefix(['e', 'E'])?;
            let sign = usize::from(after.starts_with(['+', '-']));
            let digits = after[sign..].bytes().take_while(u8::is_ascii_digit).count();
            (digits > 0).then_some(1 + sign + digits)
        };
        if mantissa == "10" && (self.eat("**") || self.eat("^") || self.rest.starts_with(['+', '-'])) {
            let negative = self.eat("-");
            self.eat("+");
            let digits = self.while_(|c| c.is_ascii_digit());
            written = format!("1e{}{digits}", if negative { "-" } else { "" });
        } else if let Some(length) = exponent(self.rest) {
            written.push_str(&self.rest[..length]);
            self.rest = &self.rest[length..];
        }
        self.rest = self.rest.trim_start().trim_start_matches(['*', '.']).trim_start();
        let scale = written.parse::<f64>().ok().filter(|scale| scale.is_finite() && *scale > 0.0);
        scale.ok_or_else(|| self.wrong("its number is none"))
    }

    fn terms(&mut self) -> Result<Unit, UnitError> {
        // Of 1/cm the number has been read.
        let mut unit = if self.rest.starts_with('/') { Unit::NONE } else { self.term()? };
        let mut divided = false;
        loop {
            self.rest = if self.rest.trim_start().starts_with(['/', '*']) { self.rest.trim_start() } else { self.rest };
            if self.eat("/") {
                self.rest = self.rest.trim_start();
                unit = unit.times(self.term()?, -1.0);
                divided = true;
            } else if !self.rest.is_empty() && (self.eat(".") || self.eat("*") || self.eat(" ")) {
                if divided {
                    return Err(self.wrong("it may be read in two ways; write what is below the line in parentheses"));
                }
                self.rest = self.rest.trim_start();
                unit = unit.times(self.term()?, 1.0);
            } else {
                return Ok(unit);
            }
        }
    }

    fn term(&mut self) -> Result<Unit, UnitError> {
        let root = self.eat("sqrt(");
        let inner = if root || self.eat("(") {
            let inner = self.terms()?;
            if !self.eat(")") {
                return Err(self.wrong("a parenthesis is not closed"));
            }
            if root { Unit::NONE.times(inner, 0.5) } else { inner }
        } else {
            self.symbol()?
        };
        let power = self.power()?;
        let exact = inner.dimensions.iter().all(|d| (f64::from(*d) * power).fract().abs() < 1e-9);
        if !exact {
            return Err(self.wrong("there is no such root of it"));
        }
        Ok(Unit::NONE.times(inner, power))
    }

    fn symbol(&mut self) -> Result<Unit, UnitError> {
        let name = self.while_(|c| c.is_alphabetic() || c == '%' || c == '_');
        if name.is_empty() {
            return Err(self.wrong("a symbol is missing"));
        }
        let plain = |name: &str| -> Option<(Unit, bool)> {
            if let Some(place) = COUNTS.iter().position(|names| names.contains(&name)) {
                return Some((Unit::of_powers(1.0, &[(COUNTED + place, 1)]), name == "bit"));
            }
            let symbol = SYMBOLS.iter().find(|symbol| symbol.name == name)?;
            Some((Unit::of_powers(symbol.factor, symbol.powers), symbol.prefixed))
        };
        if let Some((unit, _)) = plain(name) {
            return Ok(unit);
        }
        for (prefix, power) in PREFIXES {
            if let Some((unit, true)) = name.strip_prefix(prefix).and_then(plain) {
                return Ok(Unit { factor: unit.factor * 10f64.powi(power), ..unit });
            }
        }
        Err(match name {
            "log" | "ln" | "exp" => self.wrong("logarithms and exponentials of units do not convert"),
            _ => self.wrong(&format!("there is no unit {name}")),
        })
    }

    fn power(&mut self) -> Result<f64, UnitError> {
        let marked = self.eat("**") || self.eat("^");
        let parenthesised = self.rest.starts_with('(') && marked;
        if parenthesised {
            self.eat("(");
        }
        let Some(power) = self.number() else {
            return if marked { Err(self.wrong("a power is missing")) } else { Ok(1.0) };
        };
        let mut power = power;
        if parenthesised {
            if self.eat("/") {
                let below = self.number().filter(|below| *below != 0.0);
                power /= below.ok_or_else(|| self.wrong("a power is missing"))?;
            }
            if !self.eat(")") {
                return Err(self.wrong("a parenthesis is not closed"));
            }
        }
        if power.abs() > 100.0 {
            return Err(self.wrong("a power is too large"));
        }
        Ok(power)
    }

    fn number(&mut self) -> Option<f64> {
        let signed = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[signed..].bytes().take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = signed + digits;
        let point = self.rest[length..]
            .strip_prefix('.')
            .map_or(0, |after| after.bytes().take_while(u8::is_ascii_digit).count());
        if digits == 0 {
            return None;
        }
        if point > 0 {
            length += 1 + point;
        }
        let (number, rest) = self.rest.split_at(length);
        self.rest = rest;
        number.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(from: &str, to: &str) -> Result<f64, String> {
        let unit = |text| Unit::parse(text).map_err(|error| error.to_string());
        unit(from)?.factor_to(unit(to)?, (from, to)).map_err(|error| error.to_string())
    }

    /// By definition where a decimal is written; `astropy.units` 8.0.2, `Unit(from).to(to)`, for the others.
    #[test]
    fn units_convert_by_their_definitions() {
        for (from, to, expected) in [
            ("deg", "arcsec", 3600.0),
            ("mas", "deg", 1.0 / 3.6e6),
            ("mas/yr", "arcsec/cy", 0.1),
            ("rad", "deg", 57.295_779_513_082_32),
            ("deg2", "sr", 3.046_174_197_867_085_7e-4),
            ("km.s-1", "m/s", 1000.0),
            ("km/s/Mpc", "s-1", 3.240_779_289_444_365e-20),
            ("Jy", "erg/s/cm**2/Hz", 1e-23),
            ("10-26 W/m2/Hz", "mJy", 1000.0),
            ("pc", "AU", 206_264.806_247_096_36),
            ("lyr", "pc", 0.306_601_393_785_550_6),
            ("Angstrom", "nm", 0.1),
            ("um", "µm", 1.0),
            ("eV", "J", 1.602_176_634e-19),
            ("yr", "d", 365.25),
            ("Ms", "d", 11.574_074_074_074_074),
            ("m**(1/2)", "sqrt(m)", 1.0),
            ("(km/s)2", "m2.s-2", 1e6),
            ("solMass/pc3", "kg/m3", 6.767_905_3e-20),
            ("%", "10-2", 1.0),
            ("mmag", "mag", 1e-3),
            ("1/cm", "m-1", 100.0),
            ("kbyte", "bit", 8000.0),
            ("erg/s/cm^2", "mW/m2", 1.0),
        ] {
            let found = factor(from, to).unwrap();
            let precision = if from.contains("sol") { 1e-6 } else { 1e-14 };
            assert!((found / expected - 1.0).abs() < precision, "{from} → {to}: {found} is not {expected}");
        }
        assert_eq!(
            (factor("deg", "arcsec"), factor("mas/yr", "arcsec/yr")),
            (Ok(3600.0), Ok(1e-3)),
            "to the last digit"
        );
    }

    #[test]
    fn symbols_win_over_prefixes() {
        for (symbol, same) in [
            ("min", "60s"),
            ("cd", "cd"),
            ("Pa", "N/m2"),
            ("h", "3600s"),
            ("mas", "10**-3arcsec"),
            ("d", "24h"),
            ("T", "Wb/m2"),
        ] {
            assert_eq!(factor(symbol, same), Ok(1.0), "{symbol}");
        }
    }

    #[test]
    fn what_is_no_unit_or_another_one_is_refused_with_a_sentence() {
        for (from, to, why) in [
            ("mag", "Jy", "logarithmic"),
            ("deg", "km", "different things"),
            ("ct", "photon", "different things"),
            ("furlong", "m", "no unit furlong"),
            ("m/s.kg", "m", "two ways"),
            ("m**", "m", "power is missing"),
            ("", "m", "a symbol is missing"),
            ("m(", "m", "not understood"),
            ("(m", "m", "not closed"),
            ("log(cm.s-2)", "m", "logarithms"),
            ("m**(1/7)", "m", "no such root"),
            ("kmin", "s", "no unit kmin"),
            ("m s m", "m)", "not understood"),
        ] {
            let error = factor(from, to).unwrap_err();
            assert!(error.contains(why), "{from} → {to}: {error}");
        }
    }
}
