//! Lessons: what a course consists of, and how far people have come.
