//! `ivo_string_agg`: DataFusion's `string_agg`, which leaves out NULLs and knows groups, under the name of the IVOA.

use std::sync::Arc;

use datafusion::functions_aggregate::string_agg::string_agg_udaf;

use super::{Body, Function, Origin, declaration::declare};

/// The functions of this file.
pub(super) fn declared() -> Vec<Function> {
    let joined = declare!(
        Origin::Ivoa, "ivo_string_agg" as "ivo_string_agg", ("expression": "VARCHAR", "delimiter": "VARCHAR") -> "VARCHAR",
        "The texts of all rows, with the delimiter, a text in quotes, between them, in no particular order. NULLs leave no \
         trace; without any text, NULL.",
        "ivo_string_agg(name, ', ')",
    );
    let function = string_agg_udaf().as_ref().clone().with_aliases(["ivo_string_agg"]);
    vec![Function { declaration: joined, body: Body::Aggregate(Arc::new(function)) }]
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::query;

    #[tokio::test]
    async fn texts_are_joined_and_nulls_leave_no_trace() {
        let rows = "(VALUES ('b', 1), (NULL, 1), ('a', 2), (NULL, 3)) AS t(s, g)";
        let groups = format!("SELECT g, ivo_string_agg(s, ', ') FROM {rows} GROUP BY g ORDER BY g");
        assert_eq!(query(&groups).await.unwrap(), "1 b\n2 a\n3 NULL");
        let all = format!("SELECT ivo_string_agg(s, '-' ORDER BY s) FROM {rows}");
        assert_eq!(query(&all).await.unwrap(), "a-b");
    }
}
