//! The arrows on the map are those of the manifests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

type Arrows = BTreeMap<String, BTreeSet<String>>;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_map_draws_the_arrows_of_the_manifests() {
    let rooms =
        ["catalogs", "demo-sky", "engine", "flight-server", "formats", "jobs", "metadata", "sky", "tap-adapter"];
    let manifests = rooms.iter().map(|room| (*room, format!("{room}/Cargo.toml")));
    let real: Arrows = manifests
        .chain([("src", "Cargo.toml".to_owned())])
        .map(|(room, path)| {
            let manifest: toml::Table = read(&path).parse().unwrap();
            let used =
                manifest["dependencies"].as_table().unwrap().keys().filter(|name| rooms.contains(&name.as_str()));
            (room.to_owned(), used.cloned().collect())
        })
        .collect();

    let map = read("docs/ARCHITECTURE.md");
    let drawn: Arrows = map
        .lines()
        .filter_map(|line| line.split_once("──▶"))
        .map(|(room, used)| (room.trim(), used))
        .filter(|(room, _)| *room == "src" || rooms.contains(room))
        .map(|(room, used)| {
            let used = used.split(',').map(|name| name.trim().to_owned()).filter(|name| name != "nobody");
            (room.to_owned(), used.collect())
        })
        .collect();
    assert_eq!(drawn, real);
}
