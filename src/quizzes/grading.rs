//! What an answer is worth.
//!
//! The rules, all in hundredths of a point and rounded to the nearest, a half up:
//! - nothing answered gives nothing, and no question gives less than nothing or more than its points;
//! - *single*: the credit of the choice;
//! - *multiple*: the credits of all that were chosen, added up;
//! - *true or false*: all or nothing;
//! - *numeric*, *short*: the highest credit among the answers that fit;
//! - *matching*: an equal part for each prompt with the right answer;
//! - *ordering*: an equal part for each item that stands where it belongs;
//! - *essay*: what a person says.

use super::answer::Answer;
use super::decimal::{Number, Percent, Points};
use super::question::{Body, all, options};

/// What an answer earns, and what is said to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grade {
    /// `None`: a person has to say.
    pub(crate) points: Option<Points>,
    /// What the author says to such an answer.
    pub(crate) feedback: Vec<String>,
}

impl Grade {
    fn credit(points: Points, credit: Percent, feedback: Vec<String>) -> Self {
        let credit = credit.clamp(Percent::default(), all());
        Self {
            points: Some(points.share(credit)),
            feedback,
        }
    }
}

/// Grades an answer to a question that is worth `points`.
pub(crate) fn grade(body: &Body, points: Points, answer: Option<&Answer>) -> Grade {
    let said = |text: Option<&String>| text.cloned().into_iter().collect::<Vec<_>>();
    match (body, answer) {
        (Body::Single { choices }, Some(Answer::Choice(place))) => match choices.get(*place) {
            Some(choice) => Grade::credit(points, choice.credit, said(choice.feedback.as_ref())),
            None => nothing(),
        },
        (Body::Multiple { choices }, Some(Answer::Choices(places))) => {
            let chosen = || places.iter().filter_map(|place| choices.get(*place));
            let sum = chosen().map(|choice| choice.credit.0).sum();
            let feedback = chosen().filter_map(|choice| choice.feedback.clone());
            Grade::credit(points, super::decimal::Fixed(sum), feedback.collect())
        }
        (
            Body::TrueFalse {
                correct,
                if_true,
                if_false,
            },
            Some(Answer::Flag(flag)),
        ) => {
            let credit = if flag == correct {
                all()
            } else {
                Percent::default()
            };
            let text = if *flag { if_true } else { if_false };
            Grade::credit(points, credit, said(text.as_ref()))
        }
        (Body::Numeric { answers, otherwise }, Some(Answer::Text(text))) => {
            let number = text.parse::<Number>().ok();
            let fitting = answers.iter().filter(|answer| {
                number.is_some_and(|number| (number.0 - answer.value.0).abs() <= answer.tolerance.0)
            });
            match first_of_the_highest(fitting, |answer| answer.credit) {
                Some(answer) => {
                    Grade::credit(points, answer.credit, said(answer.feedback.as_ref()))
                }
                None => Grade {
                    feedback: said(otherwise.as_ref()),
                    ..nothing()
                },
            }
        }
        (Body::Short { answers, case }, Some(Answer::Text(text))) => {
            let fitting = answers.iter().filter(|it| it.pattern.fits(text, *case));
            match first_of_the_highest(fitting, |answer| answer.credit) {
                Some(answer) => {
                    Grade::credit(points, answer.credit, said(answer.feedback.as_ref()))
                }
                None => nothing(),
            }
        }
        (Body::Matching { pairs, extra }, Some(Answer::Matches(chosen))) => {
            let options = options(pairs, extra);
            let right = pairs.iter().zip(chosen).filter(|(pair, chosen)| {
                chosen.and_then(|place| options.get(place)) == Some(&pair.answer.as_str())
            });
            equal(points, right.count(), pairs.len())
        }
        (Body::Ordering { items }, Some(Answer::Order(order))) => {
            let right = order
                .iter()
                .enumerate()
                .filter(|(place, item)| place == *item);
            equal(points, right.count(), items.len())
        }
        (Body::Essay {}, Some(Answer::Text(_))) => Grade::default(),
        // Nothing was answered, or by a question that was of another sort.
        (_, None | Some(_)) => nothing(),
    }
}

fn first_of_the_highest<T>(
    things: impl Iterator<Item = T>,
    credit: impl Fn(&T) -> Percent,
) -> Option<T> {
    things.fold(None, |best: Option<T>, thing| match best {
        Some(best) if credit(&best) >= credit(&thing) => Some(best),
        Some(_) | None => Some(thing),
    })
}

fn nothing() -> Grade {
    Grade {
        points: Some(Points::default()),
        feedback: Vec::new(),
    }
}

fn equal(points: Points, right: usize, all: usize) -> Grade {
    Grade {
        points: Some(points.part(right, all)),
        feedback: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body as its author writes it.
    fn body(toml: &str) -> Body {
        toml::from_str(toml).unwrap()
    }

    /// The hundredths of 10 points that the answer earns.
    fn earned(body: &Body, answer: &Answer) -> Option<i64> {
        let grade = grade(body, Points::whole(10), Some(answer));
        grade.points.map(|points| points.stored().unwrap())
    }

    fn said(text: &str) -> Answer {
        Answer::Text(text.into())
    }

    #[test]
    fn a_choice_gives_its_credit_and_never_less_than_nothing() {
        let body = body(
            "kind = 'single'\nchoices = [{ text = 'a', credit = 100 }, { text = 'b', credit = 33.33333 },
             { text = 'c', credit = -50 }, { text = 'd' }]",
        );
        for (place, points) in [(0, 1000), (1, 333), (2, 0), (3, 0), (9, 0)] {
            assert_eq!(earned(&body, &Answer::Choice(place)), Some(points));
        }
        let none = grade(&body, Points::whole(10), None);
        assert_eq!(none.points, Some(Points::default()));
    }

    #[test]
    fn of_many_choices_the_credits_add_up_within_nothing_and_all() {
        let body = body(
            "kind = 'multiple'\nchoices = [{ text = 'a', credit = 33.33333 }, { text = 'b', credit = 33.33333 },
             { text = 'c', credit = 33.33333 }, { text = 'd', credit = -50 }]",
        );
        for (places, points) in [
            (vec![], 0),
            (vec![0], 333),
            (vec![0, 1], 667),
            (vec![0, 1, 2], 1000),
            (vec![0, 1, 2, 3], 500),
            (vec![0, 3], 0),
        ] {
            assert_eq!(earned(&body, &Answer::Choices(places)), Some(points));
        }
    }

    #[test]
    fn a_number_counts_up_to_the_very_end_of_its_tolerance() {
        let body = body(
            "kind = 'numeric'\notherwise = 'no'\nanswers = [{ value = 0.3, credit = 100 },
             { value = 0.3, tolerance = 0.1, credit = 50, feedback = 'close' }]",
        );
        for (text, points) in [
            ("0.3", 1000),
            ("0,30", 1000),
            ("3e-1", 1000),
            ("0.4", 500),
            ("0.2", 500),
            ("0.4000000001", 0),
            ("a third", 0),
        ] {
            assert_eq!(earned(&body, &said(text)), Some(points), "{text}");
        }
        let feedback = |text| grade(&body, Points::whole(1), Some(&said(text))).feedback;
        assert_eq!(feedback("0.35"), ["close"]);
        assert_eq!(feedback("7"), ["no"]);
    }

    #[test]
    fn a_short_answer_gets_the_best_that_fits() {
        let body = body(
            "kind = 'short'\nanswers = [{ wildcard = '*grant*', credit = 20 }, { text = 'Ulysses Grant' },
             { regex = 'u\\.? *grant', credit = 80 }]",
        );
        for (text, points) in [
            ("ulysses grant", 1000),
            ("U. Grant", 800),
            ("somebody Grant", 200),
            ("Lincoln", 0),
        ] {
            assert_eq!(earned(&body, &said(text)), Some(points), "{text}");
        }
    }

    #[test]
    fn what_belongs_together_and_what_stands_right_earn_equal_parts() {
        let matching = body(
            "kind = 'matching'\nextra = ['z']\npairs = [{ prompt = 'a', answer = 'x' },
             { prompt = 'b', answer = 'y' }, { prompt = 'c', answer = 'x' }]",
        );
        for (chosen, points) in [
            (vec![Some(0), Some(1), Some(0)], 1000),
            (vec![Some(0), None, Some(2)], 333),
            (vec![Some(1), Some(0), Some(2)], 0),
        ] {
            assert_eq!(earned(&matching, &Answer::Matches(chosen)), Some(points));
        }
        let ordering = body("kind = 'ordering'\nitems = ['a', 'b', 'c']");
        assert_eq!(earned(&ordering, &Answer::Order(vec![0, 1, 2])), Some(1000));
        assert_eq!(earned(&ordering, &Answer::Order(vec![0, 2, 1])), Some(333));
    }

    #[test]
    fn true_is_true_and_an_essay_waits_for_a_person() {
        let flag = body("kind = 'true_false'\ncorrect = false\nif_true = 'no'");
        assert_eq!(earned(&flag, &Answer::Flag(false)), Some(1000));
        assert_eq!(earned(&flag, &Answer::Flag(true)), Some(0));
        let essay = body("kind = 'essay'");
        assert_eq!(earned(&essay, &said("words")), None);
        assert_eq!(
            earned(&essay, &Answer::Flag(true)),
            Some(0),
            "of another sort"
        );
    }
}
