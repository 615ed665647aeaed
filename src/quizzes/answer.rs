//! What somebody answers.
//!
//! Invariants: places are told in the order in which the person sees them, and stored in the
//! author's; an answer that was read belongs to its question.

use serde_json::{Value as Json, json};

use super::decimal::Percent;
use super::pattern::LONGEST_ANSWER;
use super::question::{Body, all, options};
use super::shuffle::Shuffle;
use crate::error::{Error, Result};

/// An essay may have so many bytes.
const LONGEST_ESSAY: usize = 64 * 1024;

/// An answer, with places in the author's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The place of one choice.
    Choice(usize),
    /// The places of choices, each once.
    Choices(Vec<usize>),
    /// True or false.
    Flag(bool),
    /// Words, a number, an essay.
    Text(String),
    /// For each prompt the place of what was chosen for it.
    Matches(Vec<Option<usize>>),
    /// The places of all items in the order in which they were put.
    Order(Vec<usize>),
}

/// For each place that is shown, which of the author's stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout(Vec<usize>);

impl Layout {
    /// As the author wrote it: how answers are stored.
    pub(crate) fn of_author(body: &Body) -> Self {
        Self((0..body.movable()).collect())
    }

    /// As somebody sees it. What would give the answer away in the author's order is never shown
    /// in it on purpose, shuffled or not.
    pub(crate) fn shown(body: &Body, question: &str, seed: i64, shuffled: bool) -> Self {
        let telling = matches!(body, Body::Matching { .. } | Body::Ordering { .. });
        if shuffled || telling {
            Self(Shuffle::new(seed, question).order(body.movable()))
        } else {
            Self::of_author(body)
        }
    }

    /// The places of the author, in the order in which they are shown.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    fn authors(&self, shown: &Json) -> Option<usize> {
        let shown = usize::try_from(shown.as_u64()?).ok()?;
        self.0.get(shown).copied()
    }

    fn shows(&self, authors: usize) -> Option<usize> {
        self.0.iter().position(|place| *place == authors)
    }
}

impl Body {
    /// What can be shown in another order: choices, options, items.
    pub(crate) fn movables(&self) -> Vec<&str> {
        match self {
            Self::Single { choices } | Self::Multiple { choices } => {
                choices.iter().map(|choice| choice.text.as_str()).collect()
            }
            Self::Matching { pairs, extra } => options(pairs, extra),
            Self::Ordering { items } => items.iter().map(String::as_str).collect(),
            Self::TrueFalse { .. }
            | Self::Numeric { .. }
            | Self::Short { .. }
            | Self::Essay {}
            | Self::Description {} => Vec::new(),
        }
    }

    /// An answer that earns all of the points, if there is one to be told.
    pub(crate) fn right(&self) -> Option<Answer> {
        let whole = |credit| credit == all();
        match self {
            Self::Single { choices } => {
                let place = choices.iter().position(|choice| whole(choice.credit));
                place.map(Answer::Choice)
            }
            Self::Multiple { choices } => {
                let right = choices.iter().enumerate();
                let right = right.filter(|(_, choice)| choice.credit > Percent::default());
                Some(Answer::Choices(right.map(|(place, _)| place).collect()))
            }
            Self::TrueFalse { correct, .. } => Some(Answer::Flag(*correct)),
            Self::Numeric { answers, .. } => {
                let right = answers.iter().find(|answer| whole(answer.credit))?;
                Some(Answer::Text(right.value.to_string()))
            }
            Self::Short { answers, .. } => {
                let right = answers.iter().find(|answer| whole(answer.credit))?;
                Some(Answer::Text(right.pattern.as_str().to_owned()))
            }
            Self::Matching { pairs, extra } => {
                let options = options(pairs, extra);
                let place = |answer: &str| options.iter().position(|option| *option == answer);
                let right = pairs.iter().map(|pair| place(&pair.answer));
                Some(Answer::Matches(right.collect()))
            }
            Self::Ordering { items } => Some(Answer::Order((0..items.len()).collect())),
            Self::Essay {} | Self::Description {} => None,
        }
    }

    fn movable(&self) -> usize {
        self.movables().len()
    }
}

fn refused<T>(what: &str) -> Result<T> {
    Err(Error::invalid("answer", format!("must be {what}")))
}

impl Answer {
    /// Reads an answer to a question that is shown so. `null` takes an answer back.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what cannot be one.
    pub(crate) fn read(body: &Body, layout: &Layout, json: &Json) -> Result<Option<Self>> {
        if json.is_null() {
            return Ok(None);
        }
        let places = |json: &Json| -> Option<Vec<usize>> {
            json.as_array()?
                .iter()
                .map(|it| layout.authors(it))
                .collect()
        };
        let answer = match body {
            Body::Single { .. } => layout.authors(json).map(Self::Choice),
            Body::Multiple { .. } => places(json).and_then(|mut chosen| {
                let count = chosen.len();
                chosen.sort_unstable();
                chosen.dedup();
                (chosen.len() == count).then_some(Self::Choices(chosen))
            }),
            Body::TrueFalse { .. } => json.as_bool().map(Self::Flag),
            Body::Numeric { .. } => text(json, LONGEST_ANSWER)
                .or_else(|| json.is_number().then(|| json.to_string()))
                .map(Self::Text),
            Body::Short { .. } => text(json, LONGEST_ANSWER).map(Self::Text),
            Body::Essay {} => text(json, LONGEST_ESSAY).map(Self::Text),
            Body::Matching { pairs, .. } => matches(json, layout)
                .filter(|chosen| chosen.len() == pairs.len())
                .map(Self::Matches),
            Body::Ordering { items } => places(json).and_then(|order| {
                let mut all = order.clone();
                all.sort_unstable();
                all.dedup();
                let whole = order.len() == items.len() && all.len() == items.len();
                whole.then_some(Self::Order(order))
            }),
            Body::Description {} => None,
        };
        match answer {
            Some(answer) => Ok(Some(answer)),
            None => refused(expected(body)),
        }
    }

    /// The answer as it is told to who sees the question so.
    pub(crate) fn written(&self, layout: &Layout) -> Json {
        let places = |places: &[usize]| -> Vec<Option<usize>> {
            places.iter().map(|place| layout.shows(*place)).collect()
        };
        match self {
            Self::Choice(place) => json!(layout.shows(*place)),
            Self::Choices(chosen) => {
                let mut shown = places(chosen);
                shown.sort_unstable();
                json!(shown)
            }
            Self::Flag(flag) => json!(flag),
            Self::Text(text) => json!(text),
            Self::Matches(chosen) => {
                let shown = chosen
                    .iter()
                    .map(|it| it.and_then(|place| layout.shows(place)));
                json!(shown.collect::<Vec<_>>())
            }
            Self::Order(order) => json!(places(order)),
        }
    }
}

fn text(json: &Json, longest: usize) -> Option<String> {
    let text = json.as_str()?;
    (text.len() <= longest && !text.contains('\0')).then(|| text.to_owned())
}

fn matches(json: &Json, layout: &Layout) -> Option<Vec<Option<usize>>> {
    let chosen = json.as_array()?.iter().map(|it| {
        if it.is_null() {
            Some(None)
        } else {
            layout.authors(it).map(Some)
        }
    });
    chosen.collect()
}

const fn expected(body: &Body) -> &'static str {
    match body {
        Body::Single { .. } => "the number of a choice, from 0",
        Body::Multiple { .. } => "a list of the numbers of choices, from 0, each once",
        Body::TrueFalse { .. } => "true or false",
        Body::Numeric { .. } => "a number, or text of at most 4096 bytes",
        Body::Short { .. } => "text of at most 4096 bytes",
        Body::Essay {} => "text of at most 65536 bytes",
        Body::Matching { .. } => "a list with the number of an option, or null, for each prompt",
        Body::Ordering { .. } => "a list of the numbers of all items, from 0, each once",
        Body::Description {} => "null: nothing is asked here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quizzes::question::{Choice, Pair};

    fn choices(count: usize) -> Vec<Choice> {
        let choice = |n: usize| Choice {
            text: n.to_string(),
            credit: crate::quizzes::Percent::default(),
            feedback: None,
        };
        (0..count).map(choice).collect()
    }

    fn pair(prompt: &str, answer: &str) -> Pair {
        let (prompt, answer) = (prompt.into(), answer.into());
        Pair { prompt, answer }
    }

    #[test]
    fn an_answer_is_echoed_as_it_was_given_however_it_is_shown() {
        let bodies = [
            (
                Body::Single {
                    choices: choices(5),
                },
                json!(3),
            ),
            (
                Body::Multiple {
                    choices: choices(5),
                },
                json!([0, 2, 4]),
            ),
            (
                Body::Multiple {
                    choices: choices(5),
                },
                json!([]),
            ),
            (
                Body::Matching {
                    pairs: vec![pair("a", "x"), pair("b", "y"), pair("c", "x")],
                    extra: vec!["z".into()],
                },
                json!([2, null, 0]),
            ),
            (
                Body::Ordering {
                    items: ["a", "b", "c"].map(Into::into).into(),
                },
                json!([2, 0, 1]),
            ),
            (Body::Essay {}, json!("words")),
        ];
        for (body, told) in bodies {
            for seed in 0..20 {
                let layout = Layout::shown(&body, "q", seed, true);
                let answer = Answer::read(&body, &layout, &told).unwrap().unwrap();
                assert_eq!(answer.written(&layout), told);
                let author = Layout::of_author(&body);
                let stored = answer.written(&author);
                assert_eq!(Answer::read(&body, &author, &stored).unwrap(), Some(answer));
            }
        }
    }

    #[test]
    fn what_cannot_be_an_answer_is_refused_and_null_takes_one_back() {
        let single = Body::Single {
            choices: choices(2),
        };
        let multiple = Body::Multiple {
            choices: choices(2),
        };
        let ordering = Body::Ordering {
            items: vec!["a".into(), "b".into()],
        };
        for (body, bad) in [
            (&single, json!(2)),
            (&single, json!(-1)),
            (&single, json!(0.5)),
            (&single, json!("0")),
            (&multiple, json!([0, 0])),
            (&multiple, json!(0)),
            (&ordering, json!([0])),
            (&ordering, json!([0, 0])),
            (&Body::Essay {}, json!("a\0b")),
            (&Body::Essay {}, json!("x".repeat(LONGEST_ESSAY + 1))),
            (&Body::Description {}, json!("x")),
        ] {
            let layout = Layout::of_author(body);
            assert!(Answer::read(body, &layout, &bad).is_err(), "{bad}");
            assert_eq!(Answer::read(body, &layout, &json!(null)).unwrap(), None);
        }
    }

    #[test]
    fn what_would_tell_the_answer_by_its_place_is_shuffled_even_where_nothing_else_is() {
        let items: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let ordering = Body::Ordering { items };
        let author = Layout::of_author(&ordering);
        assert_ne!(Layout::shown(&ordering, "q", 1, false), author);
        let single = Body::Single {
            choices: choices(20),
        };
        assert_eq!(
            Layout::shown(&single, "q", 1, false),
            Layout::of_author(&single)
        );
        assert_ne!(
            Layout::shown(&single, "q", 1, true),
            Layout::of_author(&single)
        );
    }
}
