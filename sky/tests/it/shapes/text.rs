//! Text goes round, and no text is a panic.

use proptest::prelude::*;
use sky::text::{dali, stcs};
use sky::{Cone, Deg, Polygon, Shape, SkyBox};

use super::random::{exponent, place, star};
use crate::cases::cases;

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        place().prop_map(Shape::Point),
        (place(), exponent(-12.0, 2.2)).prop_map(|(center, r)| Cone::new(center, Deg(r)).unwrap().into()),
        (place(), exponent(-6.0, 2.2), exponent(-6.0, 2.2)).prop_map(|(center, w, h)| SkyBox::new(
            center,
            Deg(w),
            Deg(h)
        )
        .unwrap()
        .into()),
        star(false, -5.0, 1.9).prop_map(|figure| Polygon::new(figure.positions()).unwrap().into()),
    ]
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn a_shape_read_back_from_stc_s_is_the_same(shape in shape()) {
        let text = stcs::write(Some(stcs::Frame::Icrs), &shape).unwrap();
        prop_assert_eq!(&stcs::parse(&text).unwrap().shape, &shape, "{}", text);
    }

    #[test]
    fn a_shape_read_back_from_dali_is_the_same(shape in shape()) {
        let (xtype, text) = dali::write(&shape).unwrap();
        let back = dali::parse(xtype, &text).unwrap();
        match (&shape, &back) {
            // A box comes back as the polygon of its corners, each rounded to a double.
            (Shape::Box(_), Shape::Polygon(_)) => prop_assert_eq!(dali::write(&back).unwrap().1, text),
            _ => prop_assert_eq!(&back, &shape, "{}", text),
        }
    }

    #[test]
    fn any_text_is_a_shape_or_a_sentence(
        text in prop_oneof![
            "(Circle|Box|Polygon|Position|Union|é|)?( (ICRS|fk5|GEOCENTER|SPHERICAL2|unit|deg|-?[0-9]{1,3}(\\.[0-9])?|nan|1e400|\\PC{0,3})){0,9}",
            "(Circle|Box|Polygon|Position)( ICRS| fk5)?( GEOCENTER)?( -?[0-9]{1,2}(\\.[0-9])?){2,8}( unit deg)?",
        ],
    ) {
        let numbers = text.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).count();
        match stcs::parse(&text) {
            // What was read is written so that it is read again, and no number was made up or left out.
            Ok(framed) => {
                let written = stcs::write(framed.frame, &framed.shape).unwrap();
                prop_assert_eq!(&stcs::parse(&written).unwrap(), &framed, "{}", written);
                let kept = written.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).count();
                prop_assert!(kept == numbers || matches!(framed.shape, Shape::Polygon(_)), "{}", written);
            }
            Err(refusal) => assert_is_a_sentence(&refusal.to_string())?,
        }
        for xtype in [dali::Xtype::Point, dali::Xtype::Circle, dali::Xtype::Polygon] {
            match dali::parse(xtype, &text) {
                Ok(shape) => prop_assert_eq!(dali::parse(xtype, &dali::write(&shape).unwrap().1).unwrap(), shape),
                Err(refusal) => assert_is_a_sentence(&refusal.to_string())?,
            }
        }
    }
}

/// One line, not longer than one reads, and no value in the notation of the language.
fn assert_is_a_sentence(refusal: &str) -> Result<(), TestCaseError> {
    prop_assert!((10..300).contains(&refusal.len()) && refusal.contains(' '), "{refusal}");
    prop_assert!(!refusal.contains(char::is_control) && !refusal.contains("Err("), "{refusal}");
    Ok(())
}
