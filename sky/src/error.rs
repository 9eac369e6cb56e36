//! What can be wrong with what somebody wrote: one sentence each.
//!
//! Every variant is a mistake of the input, never a fault of ours, so its text may be shown as it stands. A variant that
//! concerns a vertex names it by its place in the list, counted from 1.

/// A coordinate, shape or text that describes nothing on the sky.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SkyError {
    /// NaN or infinite.
    #[error("a longitude must be a finite number of degrees, not {0}")]
    LonNotFinite(f64),
    /// NaN or infinite.
    #[error("a latitude must be a finite number of degrees, not {0}")]
    LatNotFinite(f64),
    /// Beyond a pole.
    #[error("a latitude must lie between -90 and 90 degrees, not at {0}")]
    LatOutOfRange(f64),
    /// Negative, beyond 180° or not a number.
    #[error("the radius of a circle must lie between 0 and 180 degrees, not be {0}")]
    Radius(f64),
    /// Negative, beyond 180° or not a number.
    #[error(
        "the {side} of a box must lie between 0 and 180 degrees, not be {value}: its sides are great circles, which meet 90 degrees from the centre"
    )]
    BoxSide {
        /// `width` or `height`.
        side: &'static str,
        /// As given, in degrees.
        value: f64,
    },
    /// Longitudes and latitudes do not pair up.
    #[error("a polygon is a list of longitudes and latitudes in pairs, and {0} numbers do not pair up")]
    OddCoordinates(usize),
    /// Nothing to enclose.
    #[error("a polygon needs at least 3 different vertices, and this one has {0}")]
    TooFewVertices(usize),
    /// More than can be compared with each other in good time.
    #[error("a polygon may have at most {most} vertices, and this one has {got}")]
    TooManyVertices {
        /// The limit.
        most: usize,
        /// As given, repetitions included.
        got: usize,
    },
    /// No single great circle joins them.
    #[error(
        "vertices {from} and {to} of the polygon are opposite points of the sky, so no single great circle joins them: add a vertex between them"
    )]
    AntipodalVertices {
        /// Counted from 1.
        from: usize,
        /// Counted from 1.
        to: usize,
    },
    /// No area, or two equal halves.
    #[error("all vertices of the polygon lie on one great circle, so it encloses no area")]
    FlatPolygon,
    /// A figure of eight, a spike, or an outline that touches itself.
    #[error(
        "the polygon's edge from vertex {first} crosses or touches its edge from vertex {second}: the outline must not meet itself"
    )]
    SelfCrossing {
        /// The vertex where the first of the two edges begins, counted from 1.
        first: usize,
        /// The vertex where the second of the two edges begins, counted from 1.
        second: usize,
    },
    /// The smaller side cannot be told from the larger.
    #[error("the polygon cuts the sky into two equal halves, so the smaller side, which is its inside, cannot be told")]
    Hemisphere,
    /// Narrower than what doubles can hold.
    #[error("the polygon is narrower than a few nanoarcseconds, too thin to have an inside")]
    TooThin,
    /// A text that does not follow its format.
    #[error("{format}: {problem}")]
    Text {
        /// `STC-S`, `DALI point`, `MOC text` and so on.
        format: &'static str,
        /// What is wrong, with the word concerned.
        problem: String,
    },
    /// The shape cannot be said in the format asked for.
    #[error("a {shape} cannot be written as {format}")]
    NotExpressible {
        /// What was to be written.
        shape: &'static str,
        /// Where it has no place.
        format: &'static str,
    },
    /// A HEALPix order beyond 29.
    #[error("a HEALPix order must lie between 0 and 29, not be {0}")]
    Order(u8),
    /// A cell index beyond the last of its order.
    #[error("HEALPix cell {index} does not exist at order {order}, whose last cell is {last}")]
    Pixel {
        /// HEALPix order.
        order: u8,
        /// As given.
        index: u64,
        /// 12 · 4^order − 1.
        last: u64,
    },
    /// Bytes that are no MOC.
    #[error("not a MOC in FITS: {0}")]
    MocFits(String),
}
