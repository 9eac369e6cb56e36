//! What may be typed after `almagest match`.

use catalogs::TableName;
use clap::Args;

/// `almagest match`
#[derive(Debug, Args)]
pub(crate) struct MatchArgs {
    /// The table in whose order of the sky the pairs are kept
    #[arg(value_name = "LEFT")]
    pub(crate) left: TableName,
    /// The table whose rows are looked for around each row of LEFT
    #[arg(value_name = "RIGHT")]
    pub(crate) right: TableName,
    /// How far apart the two rows of a pair may be, such as 1.5arcsec or 0.1arcmin
    #[arg(long, value_name = "WIDTH", value_parser = super::import::width)]
    pub(crate) radius: sky::Arcsec,
    /// The table to make
    #[arg(long, value_name = "SCHEMA.NAME")]
    pub(crate) table: TableName,
    /// Only the nearest row of RIGHT for each row of LEFT; without this, all within the radius
    #[arg(long)]
    pub(crate) nearest: bool,
    /// The column that names each row of LEFT once; without it, the one that its import was told by --id
    #[arg(long, value_name = "COLUMN")]
    pub(crate) left_id: Option<String>,
    /// The column that names each row of RIGHT once; without it, the one that its import was told by --id
    #[arg(long, value_name = "COLUMN")]
    pub(crate) right_id: Option<String>,
    /// Publish over a table of this name; without it, an existing table is refused
    #[arg(long)]
    pub(crate) replace: bool,
    /// What to remember of this version
    #[arg(long, value_name = "TEXT")]
    pub(crate) version_note: Option<String>,
    /// Print the report as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  almagest match gaia.source ps1.objects --radius 1.5arcsec --table xmatch.gaia_x_ps1
  almagest match survey.stars survey.galaxies --radius 0.1arcmin --nearest --table xmatch.stars_x_galaxies

The table has id1, ra1, dec1 of LEFT, id2, ra2, dec2 of RIGHT, and their \"distance\" in degrees (a reserved word of
ADQL, so in double quotes). `almagest catalog show` tells when LEFT or RIGHT has a newer version than the one that it
was made of.";
