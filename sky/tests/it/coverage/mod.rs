//! Coverages and MOCs against brute force.

mod algebra;
mod mocs;
mod samples;
mod shapes;
mod widening;
