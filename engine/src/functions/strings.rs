//! Functions of texts: case, patterns, words, lists in a text.
//!
//! `LOWER` and `UPPER` are DataFusion's, by Unicode's default case conversion. The predicates answer 1 or 0, as ADQL has no
//! boolean values.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Int32Array, StringArray, StringBuilder},
        compute::{cast, kernels::comparison::ilike, regexp_is_match_scalar},
        datatypes::DataType::{Int32, Utf8},
    },
    common::{ScalarValue, exec_err, plan_err},
    error::Result,
    logical_expr::ColumnarValue,
};

use super::{
    Body, Function, Origin,
    declaration::declare,
    scalar::{Constants, Scalar, integer, text},
};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let mut functions = standard();
    functions.extend(predicates());
    functions.extend(parts());
    functions
}

fn standard() -> Vec<Function> {
    let lower = declare!(
        Origin::Feature("features-adql-string", "LOWER"), "LOWER" as "lower", ("s": "VARCHAR") -> "VARCHAR",
        "The text in small letters, by Unicode's default conversion.", "LOWER('Andromeda')",
    );
    let upper = declare!(
        Origin::Feature("features-adql-string", "UPPER"), "UPPER" as "upper", ("s": "VARCHAR") -> "VARCHAR",
        "The text in capital letters, by Unicode's default conversion.", "UPPER('Andromeda')",
    );
    [lower, upper].map(|declaration| Function { declaration, body: Body::Planner }).to_vec()
}

fn predicates() -> Vec<Function> {
    let nocasematch = declare!(
        Origin::Ivoa, "ivo_nocasematch" as "ivo_nocasematch", ("value": "VARCHAR", "pattern": "VARCHAR") -> "INTEGER",
        "1 if the value is like the pattern whatever the case, else 0: `%` stands for any text and `_` for any character.",
        "ivo_nocasematch('ABcabc', 'ab__bc')",
    );
    let hasword = declare!(
        Origin::Ivoa, "ivo_hasword" as "ivo_hasword", ("haystack": "VARCHAR", "needle": "VARCHAR") -> "INTEGER",
        "1 if every word of the needle is a word of the haystack, whatever the case of A to Z and in any order, else 0. Words \
         are runs of letters and digits; they are not stemmed. A needle without words is found nowhere.",
        "ivo_hasword('it is shown that a primordial soup', 'primordial shown')",
    );
    let hashlist = declare!(
        Origin::Ivoa, "ivo_hashlist_has" as "ivo_hashlist_has", ("hashlist": "VARCHAR", "item": "VARCHAR") -> "INTEGER",
        "1 if the item is one of the words between the `#` of the list, whatever the case, else 0. An item with a `#` in it \
         is in no list.",
        "ivo_hashlist_has('Red#green#blue', 'red')",
    );
    let matches = declare!(
        Origin::Gavo, "gavo_match" as "gavo_match", ("pattern": "VARCHAR", "string": "VARCHAR") -> "INTEGER",
        "1 if the regular expression, a text in quotes, matches any part of the string, else 0.",
        "gavo_match('^NGC *[0-9]+', 'NGC 224')",
    );
    let forms = || [vec![Utf8; 2]];
    vec![
        Scalar::new(nocasematch, forms(), integer, nocase_match).declared(),
        Scalar::new(hasword, forms(), integer, has_word).declared(),
        Scalar::new(hashlist, forms(), integer, hashlist_has).declared(),
        Scalar::new(matches, forms(), integer, regular_match).checked(check_pattern).declared(),
    ]
}

fn parts() -> Vec<Function> {
    let authority = declare!(
        Origin::Gavo, "gavo_getauthority" as "gavo_getauthority", ("ivoid": "VARCHAR") -> "VARCHAR",
        "The authority of an IVOA identifier: what stands between `ivo://` and the next slash. NULL for other texts.",
        "gavo_getauthority('ivo://org.gavo.dc/tap')",
    );
    let escape = declare!(
        Origin::Gavo, "gavo_urlescape" as "gavo_urlescape", ("s": "VARCHAR") -> "VARCHAR",
        "The text with all but letters, digits and `-_.~` of ASCII percent-encoded, fit for a query parameter of a URL.",
        "gavo_urlescape('M 31 & M 32')",
    );
    vec![
        Scalar::new(authority, [vec![Utf8]], text, |a, n| of_text(&a[0], n, authority_of)).declared(),
        Scalar::new(escape, [vec![Utf8]], text, escaped).declared(),
    ]
}

/// The texts of an argument.
pub(super) fn texts(argument: &ColumnarValue, rows: usize) -> Result<StringArray> {
    let array = argument.to_array(rows)?;
    let array = if *array.data_type() == Utf8 { array } else { cast(&array, &Utf8)? };
    Ok(array.as_string::<i32>().clone())
}

fn constant_text(argument: &ColumnarValue) -> Option<&str> {
    match argument {
        ColumnarValue::Scalar(value) => value.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    }
}

fn one_or_zero(rows: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(rows.map(|found| found.map(i32::from)).collect::<Int32Array>())
}

fn of_text(argument: &ColumnarValue, rows: usize, part: fn(&str) -> Option<&str>) -> Result<ArrayRef> {
    let texts = texts(argument, rows)?;
    Ok(Arc::new(texts.iter().map(|text| text.and_then(part)).collect::<StringArray>()))
}

fn nocase_match(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let values = texts(&arguments[0], rows)?;
    // A pattern of ADQL has no escape character; that of the kernel has.
    let found = match &arguments[1] {
        ColumnarValue::Scalar(ScalarValue::Utf8(Some(pattern))) => {
            ilike(&values, &StringArray::new_scalar(pattern.replace('\\', r"\\")))?
        }
        patterns => {
            let patterns = texts(patterns, rows)?;
            let patterns: StringArray =
                patterns.iter().map(|pattern| pattern.map(|text| text.replace('\\', r"\\"))).collect();
            ilike(&values, &patterns)?
        }
    };
    Ok(cast(&found, &Int32)?)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn has_word(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    fn found<'a>(haystack: &str, mut needles: impl Iterator<Item = &'a str>) -> bool {
        needles.all(|needle| words(haystack).any(|word| word.eq_ignore_ascii_case(needle)))
    }
    let haystacks = texts(&arguments[0], rows)?;
    if let Some(needle) = constant_text(&arguments[1]) {
        let needles: Vec<&str> = words(needle).collect();
        let all = |hay: &str| !needles.is_empty() && found(hay, needles.iter().copied());
        return Ok(one_or_zero(haystacks.iter().map(|hay| hay.map(all))));
    }
    let needles = texts(&arguments[1], rows)?;
    Ok(one_or_zero(haystacks.iter().zip(&needles).map(|(haystack, needle)| {
        let (haystack, needle) = (haystack?, needle?);
        Some(words(needle).next().is_some() && found(haystack, words(needle)))
    })))
}

fn hashlist_has(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    fn same(one: &str, other: &str) -> bool {
        one.eq_ignore_ascii_case(other)
            || (!(one.is_ascii() && other.is_ascii())
                && one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase)))
    }
    let (lists, items) = (texts(&arguments[0], rows)?, texts(&arguments[1], rows)?);
    Ok(one_or_zero(lists.iter().zip(&items).map(|(list, item)| {
        let (list, item) = (list?, item?);
        Some(!item.is_empty() && list.split('#').any(|word| same(word, item)))
    })))
}

fn check_pattern(constants: &Constants<'_>) -> Result<()> {
    let Some(pattern) = constants[0].and_then(|value| value.try_as_str().flatten()) else {
        return plan_err!("the pattern of gavo_match is a regular expression in quotes");
    };
    match regexp_is_match_scalar(&StringArray::from(vec![""]), pattern, None) {
        Ok(_) => Ok(()),
        Err(_) => plan_err!("'{pattern}' is no regular expression"),
    }
}

fn regular_match(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let Some(pattern) = constant_text(&arguments[0]) else {
        return exec_err!("the pattern of gavo_match is a regular expression in quotes");
    };
    let found = regexp_is_match_scalar(&texts(&arguments[1], rows)?, pattern, None)?;
    Ok(cast(&found, &Int32)?)
}

fn authority_of(ivoid: &str) -> Option<&str> {
    let scheme = ivoid.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("ivo://"))?;
    let authority = ivoid[scheme.len()..].split(['/', '?', '#']).next()?;
    (!authority.is_empty()).then_some(authority)
}

fn escaped(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let texts = texts(&arguments[0], rows)?;
    let mut answer = StringBuilder::with_capacity(rows, texts.value_data().len());
    let mut one = String::new();
    for text in &texts {
        let Some(text) = text else {
            answer.append_null();
            continue;
        };
        one.clear();
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => one.push(char::from(byte)),
                _ => one.extend(['%', hexadecimal(byte >> 4), hexadecimal(byte & 15)]),
            }
        }
        answer.append_value(&one);
    }
    Ok(Arc::new(answer.finish()))
}

fn hexadecimal(digit: u8) -> char {
    char::from(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 })
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::{call, constant, integers, text, texts};

    fn verdict(name: &str, one: Option<&str>, other: Option<&str>) -> Option<i64> {
        let by_columns = integers(name, &[text(&[one]), text(&[other])]);
        if let Some(other) = other {
            assert_eq!(by_columns, integers(name, &[text(&[one]), constant(other)]), "{name}: a constant is no other");
        }
        by_columns[0]
    }

    /// The pairs with values are those of the IVOA's catalogue of functions.
    #[test]
    fn words_lists_and_patterns_are_found_as_the_catalogue_says() {
        let nocase = |value, pattern| verdict("ivo_nocasematch", Some(value), Some(pattern)).unwrap();
        assert_eq!((nocase("ABcabc", "ab__bc"), nocase("abcabc", "abcab")), (1, 0));
        assert_eq!((nocase(r"a\%", r"A\%"), nocase(r"a%", r"A\%"), nocase("Ärger", "ä%")), (1, 0, 1));

        let hasword = |hay, needle| verdict("ivo_hasword", Some(hay), Some(needle)).unwrap();
        assert_eq!(hasword("shown that a primordial", "shown primordial"), 1);
        assert_eq!(hasword("shown that a primordial", "shown soup"), 0);
        assert_eq!((hasword("the Sun-like star", "SUN"), hasword("sunlike", "sun"), hasword("sun", "--")), (1, 0, 0));

        let listed = |list, item| verdict("ivo_hashlist_has", Some(list), Some(item)).unwrap();
        assert_eq!((listed("Red#green#blue", "red"), listed("Red#green#blue", "re")), (1, 0));
        assert_eq!((listed("a#b", "a#b"), listed("", ""), listed("ÉTOILE#x", "étoile")), (0, 0, 1));
        assert_eq!(verdict("ivo_hasword", None, Some("a")), None);
        assert_eq!(verdict("ivo_hashlist_has", Some("a"), None), None);
    }

    #[test]
    fn a_regular_expression_is_looked_at_before_anything_is_read() {
        let names = text(&[Some("NGC 224"), Some("M 31"), None]);
        assert_eq!(integers("gavo_match", &[constant("^NGC *[0-9]+$"), names.clone()]), [Some(1), Some(0), None]);
        let refusal = call("gavo_match", &[constant("("), constant("x")]).unwrap_err().to_string();
        assert!(refusal.contains("'(' is no regular expression"), "{refusal}");
    }

    #[test]
    fn parts_of_texts_are_cut_out_whole() {
        let found =
            texts("gavo_getauthority", &[text(&[Some("IVO://org.gavo.dc/tap"), Some("http://x"), Some("é"), None])]);
        assert_eq!(found, [Some("org.gavo.dc".to_owned()), None, None, None]);
        assert_eq!(texts("gavo_urlescape", &[text(&[Some("M 31&é")])]), [Some("M%2031%26%C3%A9".to_owned())]);
    }
}
