"""What the expressions in the suites may use: the sky by astropy, erfa and mocpy, never by the engine's own code."""

import astropy.units as u
import erfa
import numpy as np
from astropy.coordinates import FK4, FK5, BarycentricMeanEcliptic, Galactic, SkyCoord
from astropy.time import Time
from astropy_healpix import HEALPix
from mocpy import MOC


def distance(lon1, lat1, lon2, lat2):
    """Degrees on the great circle, by the vector product in long double."""
    a, b = (unit(np.longdouble(lon), np.longdouble(lat)) for lon, lat in ((lon1, lat1), (lon2, lat2)))
    cross = np.cross(a, b)
    return float(np.degrees(np.arctan2(np.sqrt(cross @ cross), a @ b)))


def unit(lon, lat):
    """The direction of a position in degrees."""
    lon, lat = np.radians(np.longdouble(lon)), np.radians(np.longdouble(lat))
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def cap(radius):
    """The area of a circle, in square degrees."""
    return float(2 * np.pi * 2 * np.sin(np.radians(np.longdouble(radius)) / 2) ** 2 * (180 / np.pi) ** 2)


def polygon_area(*numbers):
    """The area of a polygon of great circles, in square degrees, as a fan of triangles (l'Huilier by Eriksson)."""
    corners = [unit(lon, lat) for lon, lat in zip(numbers[::2], numbers[1::2])]
    area = 0
    for b, c in zip(corners[1:], corners[2:]):
        a = corners[0]
        area += 2 * np.arctan2(a @ np.cross(b, c), 1 + a @ b + b @ c + c @ a)
    return float(abs(area) * (180 / np.pi) ** 2)


def healpix(order, lon, lat):
    """The nested cell of a position."""
    return int(HEALPix(2**order, "nested").lonlat_to_healpix(lon * u.deg, lat * u.deg))


def center(order, cell):
    """The middle of a nested cell."""
    lon, lat = HEALPix(2**order, "nested").healpix_to_lonlat(cell)
    return [lon.deg, lat.deg]


FRAMES = {
    "ICRS": "icrs", "GALACTIC": Galactic(), "FK5": FK5(equinox="J2000"), "FK4": FK4(equinox="B1950", obstime="B1950"),
    "ECLIPTIC": BarycentricMeanEcliptic(equinox="J2000"),
}


def transform(source, target, lon, lat):
    """A position in another frame, by astropy."""
    found = SkyCoord(lon * u.deg, lat * u.deg, frame=FRAMES[source]).transform_to(FRAMES[target])
    lon, lat = found.spherical.lon.deg, found.spherical.lat.deg
    return [float(lon), float(lat)]


def moved(ra, dec, parallax, pmra, pmdec, rv, start, end):
    """Position, parallax, proper motion and radial velocity at another epoch, in straight uniform motion, in long double.

    Lindegren's treatment (Hipparcos and Tycho catalogues, volume 1, section 1.5.5), without the light time.
    """
    ra, dec, years = np.radians(np.longdouble(ra)), np.radians(np.longdouble(dec)), np.longdouble(end) - start
    mas = np.radians(np.longdouble(1)) / 3600000
    km_s = np.longdouble(31557600) / 149597870.7  # au a Julian year
    p = np.array([-np.sin(ra), np.cos(ra), 0])
    q = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    r = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    away = (rv or 0) * km_s * (parallax or 0) * mas  # radial motion over distance, a year
    motion = p * (pmra or 0) * mas + q * (pmdec or 0) * mas
    there = r * (1 + away * years) + motion * years
    far = np.sqrt(there @ there)
    there = there / far
    lon, lat = np.arctan2(there[1], there[0]) % (2 * np.pi), np.arctan2(there[2], np.hypot(there[0], there[1]))
    return [float(np.degrees(lon)), float(np.degrees(lat))]


def jd(text):
    """The Julian date of a time in DALI's form."""
    return Time(text, scale="tai").jd


def factor(value, old, new):
    """A value in another unit, both in the words of VOUnits."""
    return float((value * u.Unit(old, format="vounit")).to_value(u.Unit(new, format="vounit")))


def moc(text):
    """A MOC in ASCII."""
    return MOC.from_string(text)


def polygon_centroid(*numbers):
    """The centroid of a polygon of great circles: the integral of the direction over it, which is half the sum over the edges of
    their length times their normal."""
    corners = [unit(lon, lat) for lon, lat in zip(numbers[::2], numbers[1::2])]
    total = np.zeros(3, np.longdouble)
    for a, b in zip(corners, corners[1:] + corners[:1]):
        normal = np.cross(a, b)
        size = np.sqrt(normal @ normal)
        total += normal / size * np.arctan2(size, a @ b)
    if total @ sum(corners) < 0:
        total = -total
    return direction(total)


def direction(vector):
    """Longitude and latitude of a vector, in degrees."""
    lon = np.degrees(np.arctan2(vector[1], vector[0])) % 360
    return [float(lon), float(np.degrees(np.arctan2(vector[2], np.hypot(vector[0], vector[1]))))]


def box(lon, lat, width, height):
    """The corners of ADQL's BOX, counter-clockwise: its sides are great circles, square to the arms of a cross at their ends."""
    x = unit(lon, lat)
    y = unit(lon + 90, 0)
    z = np.cross(x, y)
    half_w, half_h = np.radians(np.longdouble(width)) / 2, np.radians(np.longdouble(height)) / 2
    corners = []
    for east, north in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        l, b = east * half_w, north * np.arctan(np.tan(half_h) * np.cos(half_w))
        corners += direction(x * np.cos(b) * np.cos(l) + y * np.cos(b) * np.sin(l) + z * np.sin(b))
    return corners


def apply_motion(ra, dec, parallax, pmra, pmdec, rv, start, end):
    """A position at another epoch, by astropy."""
    star = SkyCoord(
        ra * u.deg, dec * u.deg, (parallax * u.mas).to(u.pc, u.parallax()), pm_ra_cosdec=pmra * u.mas / u.yr,
        pm_dec=pmdec * u.mas / u.yr, radial_velocity=rv * u.km / u.s, obstime=Time(start, format="jyear", scale="tdb"),
    )
    there = star.apply_space_motion(Time(end, format="jyear", scale="tdb"))
    return [there.ra.deg, there.dec.deg]


def six(ra, dec, parallax, pmra, pmdec, rv, start, end):
    """All of it at another epoch, in straight uniform motion, by vectors in au and Julian years, in long double."""
    mas, km_s = np.radians(np.longdouble(1)) / 3600000, np.longdouble(31557600) / 149597870.7
    a, d, far = np.radians(np.longdouble(ra)), np.radians(np.longdouble(dec)), 1 / (parallax * mas)
    p, q = np.array([-np.sin(a), np.cos(a), 0]), np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    r = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    velocity = far * (p * pmra + q * pmdec) * mas + r * rv * km_s
    place = r * far + velocity * (np.longdouble(end) - start)
    lon, lat = direction(place)
    a, d, far = np.radians(np.longdouble(lon)), np.radians(np.longdouble(lat)), np.sqrt(place @ place)
    p, q = np.array([-np.sin(a), np.cos(a), 0]), np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    values = [lon, lat, 1 / far / mas, velocity @ p / far / mas, velocity @ q / far / mas, velocity @ place / far / km_s]
    return ([float(value) for value in values],)
