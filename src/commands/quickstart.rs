//! `almagest quickstart`: from nothing to a served sky.
//!
//! The sky is generated straight into the importer, with no file between them. A table that is published already is kept,
//! so a second start is up at once, and one that was interrupted goes on with the table it had not finished.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use catalogs::{TableName, import::PositionPlan};
use demo_sky::{DemoSky, ROWS_PER_BATCH, Table};
use formats::{FormatError, Piece, Pieces, Places, Rows, TableSource};
use metadata::PublishedTable;
use tokio_util::sync::CancellationToken;

use super::{
    import::{self, OnSignal},
    making::{Begin, Maker},
    serve::{self, Addresses, Ports, reachable},
};
use crate::{cli::QuickstartArgs, config::Config, failure::Failure, output, shutdown, wiring, words::counted};

const USUAL_STARS: u64 = 200_000;
const USUAL_SEED: u64 = 1;

/// Makes, imports and serves a demo sky.
pub(crate) async fn run(config: Config, args: QuickstartArgs) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    if args.no_serve {
        return make_sky(&config, &args, &stop).await;
    }
    // Before the sky is made: a port that is taken is better known now than in an hour.
    let ports = Ports::open(&config).await?;
    make_sky(&config, &args, &stop).await?;
    serve::serve(&config, ports, stop, |addresses| greet(&config, addresses)).await
}

async fn make_sky(config: &Config, args: &QuickstartArgs, stop: &CancellationToken) -> Result<(), Failure> {
    let (store, metadata) = (wiring::store(config)?, wiring::metadata(config).await?);
    let published = metadata.tables().await?;
    let sky = chosen_sky(&published, args)?;
    for table in Table::ALL {
        let name: TableName = table.name().parse()?;
        if published.iter().any(|existing| existing.name == name) {
            continue;
        }
        let mut plan = import::basic_plan(config, name.clone());
        // The log has frames without a position, so it is a table like any other.
        if table == Table::Observations {
            plan.position = PositionPlan::None;
        }
        plan.description = Some(description(sky, table));
        let maker = Maker::begin(&store, &metadata, &name, Begin::Restart).await?;
        wiring::mark_store(&store, &metadata).await?;
        let source: Box<dyn TableSource> = Box::new(Generated::new(sky, table));
        import::publish(&store, maker, vec![source], plan, None, OnSignal::Remove, stop).await?;
    }
    Ok(())
}

/// The sky that the flags ask for, or the one that is there. Another one than that is not put over it.
fn chosen_sky(published: &[PublishedTable], args: &QuickstartArgs) -> Result<DemoSky, Failure> {
    let rows =
        |table: Table| published.iter().find(|known| known.name.to_string() == table.name()).map(|known| known.rows);
    let wanted = DemoSky { seed: args.seed.unwrap_or(USUAL_SEED), rows: args.rows.unwrap_or(USUAL_STARS) };
    let Some(stars) = rows(Table::Stars) else { return Ok(wanted) };
    let told = published.iter().find(|known| known.name.to_string() == Table::Stars.name());
    let found = told.and_then(|known| known.description.as_deref()).and_then(seed_in).unwrap_or(USUAL_SEED);
    let there = DemoSky { seed: found, rows: stars };
    let same = args.rows.is_none_or(|rows| rows == stars) && args.seed.is_none_or(|seed| seed == found);
    if same {
        return Ok(there);
    }
    let stars = counted(stars, "star");
    Err(Failure::Refused(format!(
        "{} holds a sky of {stars} with seed {found}; choose another --dir for another sky",
        args.dir.display()
    )))
}

const SEED: &str = "Demo sky with seed ";

fn description(sky: DemoSky, table: Table) -> String {
    let schema = DemoSky::schema(table);
    let about = schema.metadata().get("vo:description").map_or("", String::as_str);
    format!("{about} {SEED}{}.", sky.seed).trim_start().to_owned()
}

fn seed_in(description: &str) -> Option<u64> {
    description.rsplit_once(SEED)?.1.trim_end_matches('.').parse().ok()
}

/// A generated table as the importer's input.
struct Generated {
    sky: DemoSky,
    table: Table,
    name: String,
    schema: SchemaRef,
}

impl Generated {
    fn new(sky: DemoSky, table: Table) -> Self {
        Self { sky, table, name: format!("the demo sky's {table}"), schema: DemoSky::schema(table) }
    }
}

impl TableSource for Generated {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fingerprint(&self) -> String {
        format!("{:?}", self.sky)
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.sky.rows(self.table))
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let columns = columns.map(<[usize]>::to_vec);
        let pieces = (0..self.sky.batch_count(self.table)).map(move |index| {
            let columns = columns.clone();
            Ok(Piece::new(move |take| {
                let Some(batch) = self.sky.batch(self.table, index) else { return Ok(()) };
                let batch = match columns {
                    Some(columns) => batch.project(&columns).map_err(|error| FormatError::bad(&self.name, error))?,
                    None => batch,
                };
                let places = Places::Rows(index * ROWS_PER_BATCH as u64 + 1);
                take(Rows { batch, places, bad: Vec::new() })
            }))
        });
        Ok(Box::new(pieces))
    }
}

/// What to paste where, once the doors are open.
fn greet(config: &Config, addresses: Addresses) -> Result<(), Failure> {
    let tap = match &config.http.public_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("http://{}", reachable(addresses.http)),
    };
    let flight = match &config.flight.public_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("grpc://{}", reachable(addresses.flight)),
    };
    let text = format!(
        r#"
Almagest serves the demo sky: demo.stars, demo.galaxies, demo.observations. Ctrl-C ends it.

A page for eyes      {tap}/

curl                 curl -s {tap}/tap/sync -d LANG=ADQL -d FORMAT=csv --data-urlencode QUERY="SELECT TOP 5 source_id, ra, dec, phot_g_mean_mag FROM demo.stars WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(266.4, -29.0, 2))"

pyvo                 import pyvo
                     tap = pyvo.dal.TAPService("{tap}/tap")
                     print(tap.run_sync("SELECT TOP 5 * FROM demo.galaxies WHERE z > 1").to_table())

TOPCAT               VO > Table Access Protocol > TAP URL: {tap}/tap
STILTS               stilts tapquery tapurl={tap}/tap sync=true adql="SELECT COUNT(*) AS n FROM demo.stars" omode=out ofmt=text

ADBC                 import adbc_driver_flightsql.dbapi as flight
                     with flight.connect("{flight}", autocommit=True) as archive, archive.cursor() as cursor:
                         cursor.execute("SELECT source_id, ra, dec, parallax FROM demo.stars WHERE parallax > 10")
                         print(cursor.fetch_arrow_table())

"#
    );
    let mut out = output::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_of_a_sky_is_read_back_from_its_description() {
        let sky = DemoSky { seed: 4711, rows: 10 };
        for table in Table::ALL {
            assert_eq!(seed_in(&description(sky, table)), Some(4711), "{table}");
        }
        assert_eq!(seed_in("a table of mine"), None);
    }
}
