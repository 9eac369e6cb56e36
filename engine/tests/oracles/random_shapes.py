"""Draws the points, circles and polygons of ../slt/tables/demo.points.xml, demo.circles.xml and demo.polygons.xml.

    python random_shapes.py

Many are around the poles and across longitude 0. The polygons are stars around a middle, so that no edges cross; none is larger
than a hemisphere, because pgsphere knows no such polygon. The seed is fixed: the same files come out each time.
"""

import os

import numpy as np

from sky import direction, unit

TABLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "slt", "tables")
MIDDLES = [(0, 0), (359.9, 60), (123, 89.5), (10, -90), (180, -45), (266.4, -29)]
random = np.random.default_rng(20161)


def near(lon, lat, far, angle=None):
    """A position at this distance from another, in degrees."""
    x = unit(lon, lat).astype(float)
    y = unit(lon + 90, 0).astype(float)
    z = np.cross(x, y)
    angle = random.uniform(0, 2 * np.pi) if angle is None else angle
    far = np.radians(far)
    lon, lat = direction(x * np.cos(far) + (y * np.cos(angle) + z * np.sin(angle)) * np.sin(far))
    return round(lon, 6) % 360, round(lat, 6)


def size():
    return 10 ** random.uniform(-0.3, 1.6)


def points():
    return [near(lon, lat, size()) for lon, lat in MIDDLES for _ in range(6)]


def circles():
    return [(*near(lon, lat, random.uniform(0, 8)), round(size(), 3)) for lon, lat in MIDDLES for _ in range(4)]


def polygons():
    found = []
    for lon, lat in MIDDLES:
        for corners in (3, 4, 5, 8):
            middle, scale = near(lon, lat, random.uniform(0, 8)), size()
            # No gap of half a turn or more, so that the middle is inside.
            angles = (np.arange(corners) + random.uniform(0, 0.4, corners)) * 2 * np.pi / corners
            far = scale * random.uniform(0.4, 1, corners)
            found.append([number for f, a in zip(far, angles) for number in near(*middle, f, a)])
    return found


def write(name, xtype, size, description, values):
    rows = "\n".join(f"<TR><TD>{k}</TD><TD>{' '.join(map(str, row))}</TD></TR>" for k, row in enumerate(values, 1))
    with open(os.path.join(TABLES, f"demo.{name}.xml"), "w") as file:
        file.write(f"""<?xml version='1.0'?>
<VOTABLE version='1.4' xmlns='http://www.ivoa.net/xml/VOTable/v1.3'>
<RESOURCE type='results'>
<TABLE>
<DESCRIPTION>{description} Drawn by oracles/random_shapes.py.</DESCRIPTION>
<FIELD name='k' datatype='int'/>
<FIELD name='shape' datatype='double' arraysize='{size}' xtype='{xtype}'/>
<DATA><TABLEDATA>
{rows}
</TABLEDATA></DATA>
</TABLE>
</RESOURCE>
</VOTABLE>
""")


write("points", "point", "2", "Points.", points())
write("circles", "circle", "3", "Circles.", circles())
write("polygons", "polygon", "*", "Polygons.", polygons())
