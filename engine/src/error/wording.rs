//! What the planner says, in the words of ADQL.
//!
//! It appends lists of candidates, knows geometry by other names, and calls types as Arrow does.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::{functions::FUNCTIONS, values::ShapeType};

/// Types of ADQL by their names in Arrow. One that is a part of another stands behind it.
const TYPES: [(&str, &str); 15] = [
    ("Float64", "DOUBLE PRECISION"),
    ("Float32", "REAL"),
    ("Int64", "BIGINT"),
    ("Int32", "INTEGER"),
    ("Int16", "SMALLINT"),
    ("Int8", "SMALLINT"),
    ("UInt64", "BIGINT"),
    ("UInt32", "BIGINT"),
    ("UInt16", "INTEGER"),
    ("UInt8", "SMALLINT"),
    ("Utf8View", "VARCHAR"),
    ("LargeUtf8", "VARCHAR"),
    ("Utf8", "VARCHAR"),
    ("Boolean", "BOOLEAN"),
    ("Null", "NULL"),
];

/// The beginnings of sentences about two operands, what stands behind those, and what is said of them instead.
const OPERANDS: [(&str, &str, &str); 7] = [
    ("Cannot coerce arithmetic expression ", " to valid types", "cannot be computed"),
    ("Cannot infer common argument type for comparison operation ", "", "cannot be compared"),
    ("Cannot infer common argument type for logical boolean operation ", "", "joins what is no condition"),
    ("Cannot infer common string type for string concat operation ", "", "cannot be joined to a text"),
    ("There isn't a common type to coerce ", " in LIKE expression", "cannot be compared by LIKE"),
    ("There isn't a common type to coerce ", " in ILIKE expression", "cannot be compared by ILIKE"),
    ("Failed to coerce types ", " in BETWEEN expression", "cannot be compared by BETWEEN"),
];

/// One line in the words of the query.
pub(super) fn plain(message: &str) -> String {
    // A function of ours says itself what it takes.
    if let Some((_, said)) = message.split_once("user-defined coercion failed with: Error during planning: ") {
        return typed(said.split_once(". No function matches").map_or(said, |(said, _)| said));
    }
    let mut sentence = match message.split_once("No function matches the given name and argument types '") {
        Some((_, call)) => {
            let call = call.split_once("'. You might").map_or(call, |(call, _)| call);
            format!("no function takes these arguments: {call}")
        }
        None => message.lines().next().unwrap_or_default().trim_end_matches(':').to_owned(),
    };
    for function in FUNCTIONS.iter() {
        let declared = &function.declaration;
        if declared.planned.starts_with("adql_") {
            sentence = replace_word(&sentence, declared.planned, declared.name);
        }
    }
    if sentence.starts_with("Unnest should be rewritten") {
        return "UNNEST stands in the list after SELECT: give it a name there".to_owned();
    }
    if sentence.starts_with("unnest() can only be applied") {
        return "UNNEST takes an array".to_owned();
    }
    if sentence.starts_with("Correlated scalar subquery must be aggregated") {
        return "a query for one value that uses columns of the one around it begins with SELECT TOP 1, or answers an aggregate \
                such as MAX"
            .to_owned();
    }
    let sentence = of_groups(&sentence).or_else(|| of_text(&sentence)).unwrap_or_else(|| of_operands(sentence));
    typed(&sentence).replace("found: EOF", "found: the end of the query")
}

/// What is said of a column that has many values in a group.
fn of_groups(sentence: &str) -> Option<String> {
    if sentence.starts_with("HAVING clause references") {
        return Some("HAVING takes what is in GROUP BY, and aggregates such as MAX".to_owned());
    }
    if sentence.starts_with("For SELECT DISTINCT, ORDER BY") {
        return Some("the rows of SELECT DISTINCT are ordered by columns of the answer".to_owned());
    }
    let (_, column) = sentence.split_once("column \"")?;
    let (column, _) = column.split_once("\" must appear in the GROUP BY clause")?;
    Some(format!("{column} is neither in GROUP BY nor in an aggregate such as MAX, and has many values in a group"))
}

/// What is said of a text that is no number.
fn of_text(sentence: &str) -> Option<String> {
    if let Some(number) = sentence.strip_prefix("Cast error: Can't cast value ") {
        let (number, kind) = number.split_once(" to type ")?;
        return Some(format!("{number} is no {kind}"));
    }
    let (text, kind) = sentence.strip_prefix("Cast error: Cannot cast string ")?.split_once(" to value of ")?;
    Some(format!("{text} is no {}", kind.trim_end_matches(" type")))
}

fn of_operands(sentence: String) -> String {
    if let Some((_, types)) = sentence.split_once("Incompatible inputs for Union: Previous inputs were of type ")
        && let Some((one, other)) = types.split_once(", but got incompatible type ")
    {
        let other = other.split(" on column ").next().unwrap_or_default();
        return format!("the columns of {one} and {other} cannot be in one of UNION, INTERSECT or EXCEPT");
    }
    let said = OPERANDS.iter().find_map(|(start, end, said)| {
        let operands = sentence.strip_prefix(start)?.strip_suffix(end)?;
        Some(format!("{operands} {said}"))
    });
    said.unwrap_or(sentence)
}

/// The sentence with types as ADQL calls them.
fn typed(sentence: &str) -> String {
    let mut typed = sentence.to_owned();
    for shape in [ShapeType::Point, ShapeType::Circle, ShapeType::Polygon, ShapeType::Moc, ShapeType::Region] {
        typed = typed.replace(&shape.data_type().to_string(), shape.name());
    }
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        typed = typed.replace(&DataType::Timestamp(unit, None).to_string(), "TIMESTAMP");
    }
    for (arrow, adql) in TYPES {
        typed = replace_word(&typed, arrow, adql);
    }
    arrays(typed)
}

/// `FixedSizeList(3 x REAL, field: 'element')` as `REAL[]`.
fn arrays(mut sentence: String) -> String {
    while let Some(start) = sentence.find("List(") {
        let begin = sentence[..start].rfind(|letter: char| !letter.is_ascii_alphabetic()).map_or(0, |at| at + 1);
        let inside = &sentence[start + "List(".len()..];
        let Some(end) = inside.find(')') else { break };
        let item = inside[..end].split(", field").next().unwrap_or_default();
        let item = item.rsplit_once(" x ").map_or(item, |(_, item)| item);
        let array = format!("{item}[]");
        sentence.replace_range(begin..start + "List(".len() + end + 1, &array);
    }
    sentence
}

/// Replaces a name where it stands alone, and not where it begins another.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    if !text.contains(word) {
        return text.to_owned();
    }
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, behind) = (&rest[..at], &rest[at + word.len()..]);
        let alone = !before.ends_with(part) && !behind.starts_with(part);
        replaced.push_str(before);
        replaced.push_str(if alone { by } else { word });
        rest = behind;
    }
    replaced + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planners_talk_is_reduced_to_one_line_in_the_words_of_adql() {
        let talk = "Failed to coerce arguments. No function matches the given name and argument types \
                    'adql_distance(Float64)'. You might need to add explicit type casts.\n\tCandidate functions:\n\tx";
        assert_eq!(plain(talk), "no function takes these arguments: DISTANCE(DOUBLE PRECISION)");
        assert_eq!(plain("first line:\nsecond"), "first line");
        for (talk, sentence) in [
            (
                "Cannot coerce arithmetic expression Utf8View + Int64 to valid types",
                "VARCHAR + BIGINT cannot be computed",
            ),
            (
                "Failed to coerce types Float64 and Utf8 in BETWEEN expression",
                "DOUBLE PRECISION and VARCHAR cannot be compared by BETWEEN",
            ),
        ] {
            assert_eq!(plain(talk), sentence);
        }
        let grouped = "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \
                       \"demo.stars.ra\" must appear in the GROUP BY clause or must be part of an aggregate function";
        assert!(plain(grouped).starts_with("demo.stars.ra is neither in GROUP BY nor"), "{}", plain(grouped));
        assert_eq!(plain("Cast error: Cannot cast string 'abc' to value of Int32 type"), "'abc' is no INTEGER");
        let point = format!("only an array has elements, not {}", ShapeType::Point.data_type());
        assert_eq!(plain(&point), "only an array has elements, not POINT");
        let array = "FixedSizeList(3 x Float32, field: 'element') + List(Int64) cannot be computed";
        assert_eq!(plain(array), "REAL[] + BIGINT[] cannot be computed");
        assert_eq!(plain("Cast error: Can't cast value 1e30 to type Int64"), "1e30 is no BIGINT");
    }
}
