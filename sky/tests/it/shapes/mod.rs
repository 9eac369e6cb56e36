//! Shapes against oracles that share no code with them: containment, relations, invariance, text.

mod containment;
mod invariance;
mod oracle;
mod random;
mod relations;
mod scattered;
mod text;
