//! Which files of a table a query must read, and why not the others.
//!
//! First by the sky: the filters say where their rows can be, and the snapshot knows the cells of each file. Then by the
//! index of a column that is asked for by a few values, and by the ranges of the columns that the filters name. A decision reads no data, only statistics, and is a superset: a file that
//! it leaves out holds no row that the filters are true of.

use catalogs::CatalogSnapshot;
use datafusion::{catalog::Session, error::Result, logical_expr::Expr};
use sky::{Coverage, Rad};

use super::{
    bounds,
    index::{self, Ways},
};
use crate::region;

/// What a scan reads.
#[derive(Debug)]
pub(crate) struct Decision {
    /// The files by their numbers in the snapshot, ascending.
    pub(crate) files: Vec<usize>,
    /// How many files were left by the sky alone.
    pub(crate) after_sky: usize,
    /// How many were left by indexes, too.
    pub(crate) after_index: usize,
    /// What tells where the values are that columns are asked for.
    pub(crate) ways: Ways,
    /// Where the rows can be filed, if the filters restrict that: widened by how far rows may be from their cells.
    pub(crate) sky: Option<Coverage>,
    /// A sentence for each condition on the sky that left no file out, and why.
    pub(crate) unused: Vec<String>,
    /// The columns by whose ranges files were tried.
    pub(crate) columns: Vec<String>,
}

pub(super) async fn decide(snapshot: &CatalogSnapshot, filters: &[Expr], session: &dyn Session) -> Result<Decision> {
    let all = || (0..snapshot.files().len()).collect();
    let radii = snapshot.position().map(|position| region::radii(filters, position)).unwrap_or_default();
    let greatest = bounds::greatest(snapshot, radii).await?;
    let place = region::Place { greatest: Some(&greatest), ..region::Place::of(snapshot) };
    let verdict = region::verdict_of(filters, &place);
    let sky = Some(verdict.coverage);
    let sky = sky.filter(|sky| sky.sky_fraction() < 1.0);
    let files = sky.as_ref().map_or_else(all, |sky| snapshot.select_numbers(sky));
    let after_sky = files.len();
    let (files, ways) = index::files_with(snapshot, filters, session, files).await?;
    let after_index = files.len();
    let (files, columns) = bounds::files_within(snapshot, filters, session, files).await?;
    let slack = snapshot.position_slack();
    let sky = sky.map(|sky| if slack.0 > 0.0 { sky.dilate(Rad::from(slack)) } else { sky });
    Ok(Decision { files, after_sky, after_index, ways, sky, unused: verdict.unused, columns })
}
