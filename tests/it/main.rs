//! The integration tests, in one binary: what is asserted here is seen from outside of the program.

// `cfg(test)` always holds here; it tells clippy that helper functions are test code, too.
#[cfg(test)]
mod install;
