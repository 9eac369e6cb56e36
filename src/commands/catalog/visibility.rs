//! `almagest catalog visibility`: who may see a table.

use metadata::Visibility;
use serde_json::json;

use super::super::{print, users::actor};
use crate::{
    cli::{VisibilityArgs, VisibleTo},
    config::Config,
    failure::Failure,
    wiring,
    words::moment,
};

/// Says who may see a table; of nobody is said, tells who may.
pub(super) async fn run(config: &Config, args: &VisibilityArgs) -> Result<(), Failure> {
    let metadata = wiring::metadata(config).await?;
    if !args.to.is_empty() {
        metadata.set_visibility(&args.table, &wanted(&args.to)?, &actor()).await?;
        if metadata.table(&args.table).await?.is_none() {
            eprintln!("{}: there is no such table yet; it will be so when there is", args.table);
        }
    }
    let visibility = metadata.visibility(&args.table).await?;
    print(&if args.json { json(&args.table.to_string(), &visibility).to_string() } else { words(&visibility) })
}

/// What is said in words of the command line, as one.
fn wanted(to: &[VisibleTo]) -> Result<Visibility, Failure> {
    if to == [VisibleTo::Public] {
        return Ok(Visibility::Public);
    }
    let (mut groups, mut released_at) = (std::collections::BTreeSet::new(), None);
    for who in to {
        match who {
            VisibleTo::Group(group) => {
                groups.insert(group.clone());
            }
            VisibleTo::Release(time) if released_at.is_none() => released_at = Some(*time),
            VisibleTo::Release(_) => return Err(Failure::Refused("a table is released once: give one date".into())),
            VisibleTo::Public => {
                return Err(Failure::Refused("a table is public or restricted, not both: give public alone".into()));
            }
        }
    }
    Ok(Visibility::Restricted { groups, released_at })
}

fn words(visibility: &Visibility) -> String {
    let Visibility::Restricted { groups, released_at } = visibility else { return "everybody".to_owned() };
    let groups = groups.iter().map(|group| group.as_str()).collect::<Vec<_>>();
    let who = if groups.is_empty() { "nobody".to_owned() } else { format!("members of {}", groups.join(", ")) };
    released_at.map_or(who.clone(), |time| format!("{who}; everybody from {} on", moment(time)))
}

fn json(table: &str, visibility: &Visibility) -> serde_json::Value {
    let (groups, released_at) = match visibility {
        Visibility::Public => (Vec::new(), None),
        Visibility::Restricted { groups, released_at } => {
            (groups.iter().map(|group| group.as_str()).collect(), released_at.map(|time| time.to_rfc3339()))
        }
    };
    json!({ "table": table, "public": *visibility == Visibility::Public, "groups": groups, "released": released_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_public_or_for_groups_until_a_date() {
        let told = |to: &[&str]| {
            let to: Vec<VisibleTo> = to.iter().map(|text| text.parse().unwrap()).collect();
            wanted(&to).map(|visibility| words(&visibility)).map_err(|failure| failure.to_string())
        };
        assert_eq!(told(&["public"]), Ok("everybody".into()));
        assert_eq!(told(&["group:b", "group:a"]), Ok("members of a, b".into()));
        assert_eq!(
            told(&["group:a", "release:2027-01-31"]),
            Ok("members of a; everybody from 2027-01-31 00:00 UTC on".into())
        );
        assert_eq!(told(&["release:2027-01-31"]), Ok("nobody; everybody from 2027-01-31 00:00 UTC on".into()));
        for wrong in [&["public", "group:a"][..], &["release:2027-01-31", "release:2028-01-31"]] {
            assert!(told(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "Public", "group:", "group", "release:soon", "user:ada"] {
            assert!(wrong.parse::<VisibleTo>().is_err(), "{wrong}");
        }
    }
}
