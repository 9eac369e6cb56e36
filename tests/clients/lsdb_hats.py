"""Opens two collections that Almagest wrote with LSDB, and compares its answers with a loop over the files they were made of.

    lsdb_hats.py STARS_COLLECTION STARS.parquet GALAXIES_COLLECTION GALAXIES.parquet
"""

import sys

import lsdb
import numpy
import pyarrow.parquet
from hats.io.validation import is_valid_catalog
from scipy.spatial import cKDTree


def vectors(ra, dec):
    ra, dec = numpy.radians(ra), numpy.radians(dec)
    return numpy.stack([numpy.cos(dec) * numpy.cos(ra), numpy.cos(dec) * numpy.sin(ra), numpy.sin(dec)], axis=1)


def agree(what, found, expected):
    found, expected = sorted(found), sorted(expected)
    if found != expected:
        missing, surplus = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        sys.exit(f"{what}: {len(found)} rows, not {len(expected)}; missing {missing[:3]}, surplus {surplus[:3]}")
    if not expected:
        sys.exit(f"{what}: nothing is asked of this sky")
    print(f"{what}: {len(found)} rows agree")


def ids(catalog, column="source_id"):
    return [int(value) for value in catalog.compute()[column]]


stars_tree, stars_file, galaxies_tree, galaxies_file = sys.argv[1:5]
table = pyarrow.parquet.read_table(stars_file, columns=["source_id", "ra", "dec"]).to_pydict()
source_id, ra, dec = (numpy.asarray(table[name]) for name in ("source_id", "ra", "dec"))
other = pyarrow.parquet.read_table(galaxies_file, columns=["object_id", "ra", "dec"]).to_pydict()
galaxy_id, other_ra, other_dec = (numpy.asarray(other[name]) for name in ("object_id", "ra", "dec"))
here, there = vectors(ra, dec), vectors(other_ra, other_dec)

stars, galaxies = lsdb.open_catalog(stars_tree), lsdb.open_catalog(galaxies_tree)
for tree, catalog in ((stars_tree, stars), (galaxies_tree, galaxies)):
    primary = catalog.hc_structure.catalog_path
    if not is_valid_catalog(primary, strict=True):
        sys.exit(f"{tree}: {primary} is not valid")
agree("all", ids(stars), source_id.tolist())

for lon, lat, degrees in [(266.4, -29.0, 5.0), (0.0, 90.0, 20.0), (0.0, -90.0, 20.0), (0.0, 0.0, 15.0), (120.0, 30.0, 10.0)]:
    inside = here @ vectors([lon], [lat])[0] >= numpy.cos(numpy.radians(degrees))
    agree(f"cone {lon} {lat} {degrees}", ids(stars.cone_search(lon, lat, degrees * 3600)), source_id[inside].tolist())

for lons, lats in [((350, 10), (-20, 20)), ((100, 200), (60, 90)), ((0, 360), (-5, 5))]:
    across = (ra >= lons[0]) | (ra <= lons[1]) if lons[0] > lons[1] else (ra >= lons[0]) & (ra <= lons[1])
    inside = across & (dec >= lats[0]) & (dec <= lats[1])
    agree(f"box {lons} {lats}", ids(stars.box_search(lons, lats)), source_id[inside].tolist())

corners = [(250.0, -40.0), (280.0, -40.0), (285.0, -10.0), (255.0, -5.0)]
edges = vectors(*zip(*corners))
normals = [numpy.cross(edges[i], edges[(i + 1) % len(edges)]) for i in range(len(edges))]
inside = numpy.all([here @ normal >= 0 for normal in normals], axis=0)
agree("polygon", ids(stars.polygon_search(corners)), source_id[inside].tolist())

wanted = [int(value) for value in source_id[:: max(1, len(source_id) // 7)]]
agree("ids", ids(stars.id_search({"source_id": wanted})), wanted)

for arcseconds in (1.0, 10.0):
    distance, nearest = cKDTree(there).query(here, distance_upper_bound=2 * numpy.sin(numpy.radians(arcseconds / 3600) / 2))
    matched = numpy.isfinite(distance)
    expected = [(int(a), int(b)) for a, b in zip(source_id[matched], galaxy_id[nearest[matched]])]
    pairs = stars.crossmatch(galaxies, radius_arcsec=arcseconds, n_neighbors=1, suffixes=("_s", "_g")).compute()
    left = "source_id_s" if "source_id_s" in pairs else "source_id"
    right = "object_id_g" if "object_id_g" in pairs else "object_id"
    agree(f"crossmatch {arcseconds}", [(int(a), int(b)) for a, b in zip(pairs[left], pairs[right])], expected)
