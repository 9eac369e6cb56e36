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
        text in "(Circle|Box|Polygon|Position|Union|é|)?( (ICRS|fk5|GEOCENTER|SPHERICAL2|unit|deg|-?[0-9]{1,3}(\\.[0-9])?|nan|1e400|\\PC{0,3})){0,9}",
    ) {
        if let Err(refusal) = stcs::parse(&text) {
            prop_assert!(!refusal.to_string().is_empty());
        }
        for xtype in [dali::Xtype::Point, dali::Xtype::Circle, dali::Xtype::Polygon] {
            if let Err(refusal) = dali::parse(xtype, &text) {
                prop_assert!(!refusal.to_string().is_empty());
            }
        }
    }
}
