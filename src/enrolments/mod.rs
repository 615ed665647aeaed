//! Enrolments: who takes which course.
