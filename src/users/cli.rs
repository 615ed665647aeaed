//! `provost user …`
