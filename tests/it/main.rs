//! The integration tests, in one binary: what is asserted here is seen from outside of the program.

mod install;
