//! The least and the greatest value of an array, and bounds that are short enough to be kept.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, ArrowNativeTypeOp, ArrowNumericType, ArrowPrimitiveType, AsArray, BinaryArray,
        BinaryViewArray, BooleanArray, FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray, PrimitiveArray,
        StringArray, StringViewArray, downcast_primitive_array,
    },
    compute::{
        kernels::cmp::{gt, lt},
        max, max_binary, max_binary_view, max_boolean, max_fixed_size_binary, max_string, max_string_view, min,
        min_binary, min_binary_view, min_boolean, min_fixed_size_binary, min_string, min_string_view,
    },
    datatypes::{DataType, Float32Type, Float64Type},
};

use crate::CatalogError;

/// Bounds of text and bytes are at most so long; what is longer becomes a bound that is no value.
pub(super) const LONGEST: usize = 64;

/// A lower or upper bound of values that come one after the other.
#[derive(Clone, Debug, Default)]
pub(super) enum Bound {
    /// No value has come.
    #[default]
    Empty,
    /// One value, and whether it is among those that came.
    At(ArrayRef, bool),
    /// No bound can be told.
    Unknown,
}

/// Which of the two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Lower,
    Upper,
}

impl Bound {
    /// The bound of these values and those.
    pub(super) fn and(self, other: Self, side: Side) -> Result<Self, CatalogError> {
        Ok(match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Empty, bound) | (bound, Self::Empty) => bound,
            (Self::At(one, one_is_value), Self::At(other, other_is_value)) => {
                let beyond = |a: &ArrayRef, b: &ArrayRef| match side {
                    Side::Lower => lt(a, b),
                    Side::Upper => gt(a, b),
                };
                if beyond(&one, &other)?.value(0) {
                    Self::At(one, one_is_value)
                } else if beyond(&other, &one)?.value(0) {
                    Self::At(other, other_is_value)
                } else {
                    Self::At(one, one_is_value || other_is_value)
                }
            }
        })
    }

    /// The bound as an array, and whether it is the true one.
    pub(super) fn told(self) -> (Option<ArrayRef>, bool) {
        match self {
            Self::Empty => (None, true),
            Self::At(value, is_value) => (Some(value), is_value),
            Self::Unknown => (None, false),
        }
    }
}

/// The least and the greatest value of an array of a type that has an order; both `None` if it has only NULL and NaN.
pub(super) fn extremes(array: &ArrayRef) -> Option<(ArrayRef, ArrayRef)> {
    macro_rules! of {
        ($array:expr, $min:ident, $max:ident, $kind:ty) => {{
            let array = $array;
            pair($min(array).zip($max(array)), |value| Arc::new(<$kind>::from_iter([Some(value)])))
        }};
    }
    match array.data_type() {
        DataType::Boolean => of!(array.as_boolean(), min_boolean, max_boolean, BooleanArray),
        DataType::Float32 => floats(array.as_primitive::<Float32Type>()),
        DataType::Float64 => floats(array.as_primitive::<Float64Type>()),
        DataType::Utf8 => of!(array.as_string::<i32>(), min_string, max_string, StringArray),
        DataType::LargeUtf8 => of!(array.as_string::<i64>(), min_string, max_string, LargeStringArray),
        DataType::Utf8View => of!(array.as_string_view(), min_string_view, max_string_view, StringViewArray),
        DataType::Binary => of!(array.as_binary::<i32>(), min_binary, max_binary, BinaryArray),
        DataType::LargeBinary => of!(array.as_binary::<i64>(), min_binary, max_binary, LargeBinaryArray),
        DataType::BinaryView => of!(array.as_binary_view(), min_binary_view, max_binary_view, BinaryViewArray),
        DataType::FixedSizeBinary(size) => {
            let array = array.as_fixed_size_binary();
            let one = |value: &[u8]| {
                let value = FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(value)].into_iter(), *size);
                value.ok().map(|value| Arc::new(value) as ArrayRef)
            };
            let (least, greatest) = min_fixed_size_binary(array).zip(max_fixed_size_binary(array))?;
            Some((one(least)?, one(greatest)?))
        }
        _ => {
            let array = array.as_ref();
            downcast_primitive_array!(array => numbers(array), _ => None)
        }
    }
}

fn pair<T>(values: Option<(T, T)>, one: impl Fn(T) -> ArrayRef) -> Option<(ArrayRef, ArrayRef)> {
    values.map(|(least, greatest)| (one(least), one(greatest)))
}

fn numbers<T: ArrowNumericType>(array: &PrimitiveArray<T>) -> Option<(ArrayRef, ArrayRef)>
where
    T::Native: ArrowNativeTypeOp,
{
    let one = |value| {
        let value = PrimitiveArray::<T>::new(vec![value].into(), None);
        Arc::new(value.with_data_type(array.data_type().clone())) as ArrayRef
    };
    pair(min(array).zip(max(array)), one)
}

/// The extremes of what is no NaN. A zero becomes the one that bounds both zeros.
fn floats<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<(ArrayRef, ArrayRef)>
where
    T::Native: Float,
{
    let mut range = Range::new();
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => range.look(array.values()),
        Some(nulls) => {
            // NULL is passed over as NaN is.
            let mut values = [T::Native::NO_NUMBER; 64];
            let bits = nulls.inner().bit_chunks();
            for (chunk, valid) in array.values().chunks(64).zip(bits.iter_padded()) {
                for (place, value) in chunk.iter().enumerate() {
                    values[place] = if valid >> place & 1 == 1 { *value } else { T::Native::NO_NUMBER };
                }
                range.look(&values[..chunk.len()]);
            }
        }
    }
    let (mut least, mut greatest) = range.ends()?;
    let zero = <T::Native as Float>::ZERO;
    if least == zero {
        least = zero.negative();
    }
    if greatest == zero {
        greatest = zero;
    }
    let one = |value| Arc::new(PrimitiveArray::<T>::new(vec![value].into(), None)) as ArrayRef;
    Some((one(least), one(greatest)))
}

/// How many values are compared side by side, so that no comparison waits for the one before it.
const LANES: usize = 16;

/// The least and the greatest of the values that were looked at.
struct Range<F> {
    low: [F; LANES],
    high: [F; LANES],
}

impl<F: Float> Range<F> {
    fn new() -> Self {
        Self { low: [F::INFINITE; LANES], high: [F::INFINITE.negative(); LANES] }
    }

    /// Looks at some values. NaN is neither less nor more than anything.
    fn look(&mut self, values: &[F]) {
        let (mut low, mut high) = (self.low, self.high);
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                low[lane] = if chunk[lane] < low[lane] { chunk[lane] } else { low[lane] };
                high[lane] = if chunk[lane] > high[lane] { chunk[lane] } else { high[lane] };
            }
        }
        for value in rest {
            low[0] = if *value < low[0] { *value } else { low[0] };
            high[0] = if *value > high[0] { *value } else { high[0] };
        }
        (self.low, self.high) = (low, high);
    }

    /// The least and the greatest; none if all were NaN.
    fn ends(&self) -> Option<(F, F)> {
        let least = self.low.into_iter().fold(F::INFINITE, |least, low| if low < least { low } else { least });
        let high = self.high.into_iter();
        let greatest =
            high.fold(F::INFINITE.negative(), |greatest, high| if high > greatest { high } else { greatest });
        (least <= greatest).then_some((least, greatest))
    }
}

/// What `f32` and `f64` share and the standard library has no word for.
trait Float: Copy + PartialOrd {
    const ZERO: Self;
    const INFINITE: Self;
    const NO_NUMBER: Self;
    fn negative(self) -> Self;
}

impl Float for f32 {
    const ZERO: Self = 0.0;
    const INFINITE: Self = Self::INFINITY;
    const NO_NUMBER: Self = Self::NAN;
    fn negative(self) -> Self {
        -self
    }
}

impl Float for f64 {
    const ZERO: Self = 0.0;
    const INFINITE: Self = Self::INFINITY;
    const NO_NUMBER: Self = Self::NAN;
    fn negative(self) -> Self {
        -self
    }
}

/// A value as a bound that is short: text and bytes are cut, and on the upper side raised.
pub(super) fn short(value: ArrayRef, side: Side) -> Bound {
    macro_rules! text {
        ($array:expr, $kind:ty) => {{
            let text = $array.value(0);
            match (text.len() > LONGEST, side) {
                (false, _) => Bound::At(value, true),
                (true, Side::Lower) => Bound::At(Arc::new(<$kind>::from(vec![cut(text)])), false),
                (true, Side::Upper) => match raised(cut(text)) {
                    Some(text) => Bound::At(Arc::new(<$kind>::from(vec![text.as_str()])), false),
                    None => Bound::Unknown,
                },
            }
        }};
    }
    macro_rules! bytes {
        ($array:expr, $kind:ty) => {{
            let bytes = $array.value(0);
            match (bytes.len() > LONGEST, side) {
                (false, _) => Bound::At(value, true),
                (true, Side::Lower) => Bound::At(Arc::new(<$kind>::from(vec![&bytes[..LONGEST]])), false),
                (true, Side::Upper) => match raised_bytes(&bytes[..LONGEST]) {
                    Some(bytes) => Bound::At(Arc::new(<$kind>::from(vec![bytes.as_slice()])), false),
                    None => Bound::Unknown,
                },
            }
        }};
    }
    match value.data_type() {
        DataType::Utf8 => text!(value.as_string::<i32>(), StringArray),
        DataType::LargeUtf8 => text!(value.as_string::<i64>(), LargeStringArray),
        DataType::Utf8View => text!(value.as_string_view(), StringViewArray),
        DataType::Binary => bytes!(value.as_binary::<i32>(), BinaryArray),
        DataType::LargeBinary => bytes!(value.as_binary::<i64>(), LargeBinaryArray),
        DataType::BinaryView => bytes!(value.as_binary_view(), BinaryViewArray),
        DataType::FixedSizeBinary(size) if *size as usize > LONGEST => Bound::Unknown,
        _ => Bound::At(value, true),
    }
}

/// The beginning of a text, whole characters only.
fn cut(text: &str) -> &str {
    let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// A text above every text that begins with this one.
fn raised(text: &str) -> Option<String> {
    let mut letters: Vec<char> = text.chars().collect();
    while let Some(last) = letters.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'), // no characters between them
            other => char::from_u32(other as u32 + 1),
        };
        if let Some(next) = next {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

/// Bytes above all that begin with these.
fn raised_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut raised = bytes[..=last].to_vec();
    raised[last] += 1;
    Some(raised)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    fn float(array: &ArrayRef) -> f64 {
        array.as_primitive::<Float64Type>().value(0)
    }

    proptest! {
        #[test]
        fn the_extremes_of_numbers_pass_null_and_nan_over(
            values in prop::collection::vec(prop::option::of(prop_oneof![
                4 => -1e9..1e9_f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(0.0), 1 => Just(-0.0),
            ]), 0..100),
            start in 0_usize..10,
        ) {
            let array: ArrayRef = Arc::new(values.iter().copied().collect::<Float64Array>());
            let start = start.min(values.len());
            let array = array.slice(start, values.len() - start);
            let mut numbers: Vec<f64> = values[start..].iter().copied().flatten().filter(|value| !value.is_nan()).collect();
            numbers.sort_by(f64::total_cmp);
            match extremes(&array) {
                None => prop_assert!(numbers.is_empty()),
                Some((least, greatest)) => {
                    prop_assert_eq!(float(&least), numbers[0]);
                    prop_assert_eq!(float(&greatest), numbers[numbers.len() - 1]);
                    prop_assert!(float(&least).total_cmp(&numbers[0]).is_le());
                    prop_assert!(float(&greatest).total_cmp(&numbers[numbers.len() - 1]).is_ge());
                }
            }
        }

        #[test]
        fn a_cut_text_is_a_bound(text in "\\PC{0,90}", tail in "\\PC{0,9}") {
            let whole = format!("{text}{tail}");
            let array = || -> ArrayRef { Arc::new(StringArray::from(vec![whole.as_str()])) };
            let at = |side| match short(array(), side) {
                Bound::At(value, exact) => Some((value.as_string::<i32>().value(0).to_owned(), exact)),
                _ => None,
            };
            let (low, low_is_value) = at(Side::Lower).unwrap();
            prop_assert!(low <= whole && low.len() <= LONGEST && low_is_value == (low == whole));
            if let Some((high, high_is_value)) = at(Side::Upper) {
                prop_assert!(high >= whole && high.len() <= LONGEST + 3 && high_is_value == (high == whole));
            }
        }
    }

    #[test]
    fn what_cannot_be_raised_has_no_upper_bound() {
        let last = char::MAX.to_string().repeat(20);
        assert!(matches!(short(Arc::new(StringArray::from(vec![last.as_str()])), Side::Upper), Bound::Unknown));
        assert!(matches!(short(Arc::new(BinaryArray::from(vec![&[255_u8; 65][..]])), Side::Upper), Bound::Unknown));
        assert_eq!(raised("a\u{d7ff}"), Some("a\u{e000}".to_owned()));
        assert_eq!(raised(&format!("a{}", char::MAX)), Some("b".to_owned()));
        assert_eq!(raised_bytes(&[7, 255, 255]), Some(vec![8]));
    }

    #[test]
    fn bounds_that_meet_are_exact_if_one_is() {
        let at = |value: i64, exact| Bound::At(Arc::new(Int64Array::from(vec![value])) as ArrayRef, exact);
        let told = |one: Bound, other, side| {
            let (value, exact) = one.and(other, side).unwrap().told();
            (value.unwrap().as_primitive::<arrow::datatypes::Int64Type>().value(0), exact)
        };
        assert_eq!(told(at(3, false), at(5, true), Side::Lower), (3, false));
        assert_eq!(told(at(3, false), at(5, true), Side::Upper), (5, true));
        assert_eq!(told(at(3, false), at(3, true), Side::Upper), (3, true));
        assert!(matches!(at(3, true).and(Bound::Unknown, Side::Lower).unwrap(), Bound::Unknown));
        assert_eq!(told(Bound::Empty, at(1, true), Side::Lower), (1, true));
    }
}
