//! Grades: which of somebody's attempts count, and what that comes to.

use super::model::{Grade, Row};
use super::store::{self, Series};
use crate::app::Cx;
use crate::courses;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::quizzes::{Percent, Points, Settings, Which};

/// What everybody has got for each quiz of a course; for who manages it, and for programs that may
/// read courses.
///
/// # Errors
/// As [`courses::gate`]; [`Error::Forbidden`] for who does not oversee the course;
/// [`Error::Invalid`] for a cursor that is none.
pub fn grades(
    cx: &mut Cx<'_, '_>,
    course: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Grade>> {
    let gate = courses::gate(cx, course)?;
    if !gate.oversees(cx.actor) {
        gate.require_manager(cx.actor)?;
    }
    let after = match cursor {
        Some(cursor) => cursor
            .split_once('.')
            .ok_or_else(|| Error::invalid("cursor", "is not one of this list"))?,
        None => ("", ""),
    };
    let series = store::series(cx.tx, &gate.id, after, limit.saturating_add(1))?;
    let mut last = Vec::new();
    let mut grades = Vec::new();
    for one in series {
        last.push(format!("{}.{}", one.user_id, one.quiz_id));
        grades.push(of(one)?);
    }
    let place = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    Ok(Page::cut(grades, limit, |_| {
        last.get(place).cloned().unwrap_or_default()
    }))
}

fn of(series: Series) -> Result<Grade> {
    let settings: Settings = serde_json::from_str(&series.settings).map_err(Error::internal)?;
    let over = || series.attempts.iter().filter(|row| row.state.is_over());
    let counted = counted(settings.grade, over());
    let most = series
        .attempts
        .last()
        .map_or(Points::default(), |row| row.most);
    let percent = counted.map(|(points, most)| Percent::part_of(points, most));
    let passed = percent
        .zip(settings.passing)
        .map(|(percent, passing)| percent >= passing);
    Ok(Grade {
        user: series.username,
        quiz: series.slug,
        attempts: u64::try_from(series.attempts.len()).map_err(Error::internal)?,
        ungraded: u64::try_from(over().filter(|row| row.points.is_none()).count())
            .map_err(Error::internal)?,
        points: counted.map(|(points, _)| points),
        most: counted.map_or(most, |(_, most)| most),
        percent,
        passed,
    })
}

/// What counts of attempts that are over: points, and of how many. While one that could decide waits
/// to be graded, nothing counts, but for the best of those that are.
fn counted<'r>(
    rule: Which,
    mut over: impl DoubleEndedIterator<Item = &'r Row>,
) -> Option<(Points, Points)> {
    let scored = |row: &Row| row.points.map(|points| (points, row.most));
    match rule {
        Which::First => over.next().and_then(scored),
        Which::Last => over.next_back().and_then(scored),
        Which::Highest => over.filter_map(scored).max_by_key(|(points, most)| {
            // Where a regrading or a pool made the sums differ, the part counts.
            Percent::part_of(*points, *most)
        }),
        Which::Average => {
            let all: Option<Vec<_>> = over.map(scored).collect();
            let all = all.filter(|all| !all.is_empty())?;
            let sum = |it: fn(&(Points, Points)) -> Points| {
                all.iter().map(it).fold(Points::default(), Points::plus)
            };
            let count = all.len();
            Some((sum(|it| it.0).part(1, count), sum(|it| it.1).part(1, count)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempts::State;
    use crate::time::Timestamp;

    fn row(points: Option<i64>) -> Row {
        Row {
            id: String::new(),
            quiz_id: String::new(),
            user_id: String::new(),
            username: String::new(),
            number: 1,
            seed: 0,
            shuffled: false,
            state: State::Submitted,
            started_at: Timestamp(0),
            deadline: None,
            closes_at: None,
            abandons: false,
            ended_at: Some(Timestamp(1)),
            timed_out: false,
            points: points.map(Points::of),
            most: Points::whole(10),
        }
    }

    #[test]
    fn the_passing_mark_itself_passes_and_what_is_under_way_counts_for_nothing() {
        let told = |points: Option<i64>, settings: &str| {
            let mut under_way = row(None);
            (under_way.state, under_way.ended_at) = (State::InProgress, None);
            let series = Series {
                user_id: String::new(),
                username: String::new(),
                quiz_id: String::new(),
                slug: String::new(),
                settings: settings.to_owned(),
                attempts: vec![row(points), under_way],
            };
            let grade = of(series).unwrap();
            assert_eq!(grade.attempts, 2);
            (grade.passed, grade.ungraded)
        };
        let passing = r#"{"title":"T","passing":60,"grade":"average"}"#;
        assert_eq!(told(Some(600), passing), (Some(true), 0));
        assert_eq!(told(Some(599), passing), (Some(false), 0));
        assert_eq!(told(None, passing), (None, 1));
        assert_eq!(told(Some(600), r#"{"title":"T"}"#), (None, 0));
    }

    #[test]
    fn the_rule_of_the_quiz_says_which_attempt_counts() {
        let points = |rule, all: &[Option<i64>]| {
            let rows: Vec<Row> = all.iter().map(|points| row(*points)).collect();
            counted(rule, rows.iter()).map(|(points, _)| points.stored().unwrap())
        };
        let all = [Some(500), Some(900), Some(601)];
        assert_eq!(points(Which::Highest, &all), Some(900));
        assert_eq!(points(Which::First, &all), Some(500));
        assert_eq!(points(Which::Last, &all), Some(601));
        assert_eq!(points(Which::Average, &all), Some(667));
        let waiting = [Some(500), None];
        assert_eq!(points(Which::Highest, &waiting), Some(500));
        assert_eq!(points(Which::First, &waiting), Some(500));
        assert_eq!(points(Which::Last, &waiting), None);
        assert_eq!(points(Which::Average, &waiting), None);
        for rule in [Which::Highest, Which::First, Which::Last, Which::Average] {
            assert_eq!(points(rule, &[]), None);
        }
    }
}
