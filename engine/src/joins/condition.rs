//! What a join over the sky asks of a pair of rows.

use std::hash::{Hash, Hasher};

/// Which of the two inputs of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

impl Side {
    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// How two positions are held against the radius: by the arithmetic of the function of that name, to the last bit
/// (`functions::geometry::predicates`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) enum Test {
    /// `sky_in_circle`: one position in the circle around the other.
    InCircle,
    /// `sky_within`: not farther than the radius.
    Within,
    /// `sky_closer`: closer than the radius.
    Closer,
}

/// Of the rows within the radius, only the nearest of the right side for each row of the left one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct Nearest {
    /// How many for each row.
    pub(crate) k: usize,
    /// Whether the left row must be as near to the right row as any other left row is.
    pub(crate) mutual: bool,
}

/// A column of the cells of an input's positions: each lies in its cell, or within `slack_deg` of it.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(crate) struct Cells<E> {
    /// The column.
    pub(crate) column: E,
    /// The order of its cells.
    pub(crate) order: u8,
    /// How far from its cell a position may lie, in degrees; never NaN.
    pub(crate) slack_deg: f64,
}

impl<E: Eq> Eq for Cells<E> {}

impl<E: Hash> Hash for Cells<E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.column, self.order, self.slack_deg.to_bits()).hash(state);
    }
}

/// What a join over the sky asks of a pair of rows, with expressions `E` over one input or the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct SkyCondition<E> {
    /// Longitude and latitude of a row of the left input, in degrees.
    pub(crate) left: [E; 2],
    /// Longitude and latitude of a row of the right input, in degrees.
    pub(crate) right: [E; 2],
    /// In degrees: a constant, or an expression over `radius_of`.
    pub(crate) radius: E,
    /// Which input the radius is computed from; none for a constant.
    pub(crate) radius_of: Option<Side>,
    /// How the positions are held against the radius.
    pub(crate) test: Test,
    /// Whose position is the centre, which [`Test::InCircle`] asks.
    pub(crate) center: Side,
    /// Whether only the nearest count.
    pub(crate) nearest: Option<Nearest>,
    /// The stored cells of the very positions above, left and right, if the input has them.
    pub(crate) cells: [Option<Cells<E>>; 2],
}

impl<E> SkyCondition<E> {
    /// The same condition over other expressions, made from those of one side or the other.
    pub(crate) fn try_map<F, Error>(
        &self,
        mut change: impl FnMut(Side, &E) -> Result<F, Error>,
    ) -> Result<SkyCondition<F>, Error> {
        let left = [change(Side::Left, &self.left[0])?, change(Side::Left, &self.left[1])?];
        let right = [change(Side::Right, &self.right[0])?, change(Side::Right, &self.right[1])?];
        // A constant is the same over either input.
        let radius = change(self.radius_of.unwrap_or(Side::Left), &self.radius)?;
        let [left_cells, right_cells] = &self.cells;
        let mut changed = |side, cells: &Option<Cells<E>>| match cells {
            Some(Cells { column, order, slack_deg }) => {
                Ok(Some(Cells { column: change(side, column)?, order: *order, slack_deg: *slack_deg }))
            }
            None => Ok(None),
        };
        let cells = [changed(Side::Left, left_cells)?, changed(Side::Right, right_cells)?];
        let Self { radius_of, test, center, nearest, .. } = *self;
        Ok(SkyCondition { left, right, radius, radius_of, test, center, nearest, cells })
    }

    /// The same condition over the expressions that follow: those of the positions, left and right, of the radius, and of
    /// the cells.
    pub(super) fn in_order<F>(&self, mut next: impl FnMut() -> Option<F>) -> Option<SkyCondition<F>> {
        self.try_map(|_, _| next().ok_or(())).ok()
    }

    /// The position of a side.
    pub(crate) fn position(&self, side: Side) -> &[E; 2] {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}
