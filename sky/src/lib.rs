//! The sky as a sphere: positions, shapes and HEALPix coverage.
//!
//! Everything that decides whether a point lies in a shape, how far two points are apart, or which HEALPix cells a shape
//! may touch is decided here, once, and checked here by brute force. The house above asks; it does no trigonometry.
//!
//! Positions carry no frame and no epoch: the caller brings both to common ground first. Nothing here knows Arrow,
//! waits, or touches a file or a socket: bytes and text come in as slices.

pub mod angle;
mod arc;
pub mod cone;
pub mod coverage;
pub mod error;
pub mod healpix;
pub mod moc;
pub mod polygon;
pub mod position;
mod relate;
pub mod shape;
pub mod sky_box;
pub mod text;
pub mod vector;

pub use angle::{Arcsec, Deg, Rad, SquareDeg, Steradian};
pub use cone::{Cone, ConeTest};
pub use coverage::Coverage;
pub use error::SkyError;
pub use healpix::{Order, Pixel};
pub use moc::Moc;
pub use polygon::Polygon;
pub use position::{Lat, Lon, Position};
pub use shape::Shape;
pub use sky_box::SkyBox;
pub use vector::UnitVector;
