use super::*;
use crate::quizzes::Percent;
use crate::quizzes::answer::Answer;
use crate::quizzes::grading::grade;

/// The one question in the text.
fn one(text: &str) -> Question {
    let mut found = read(text).unwrap();
    assert_eq!(found.len(), 1, "{text}");
    found.remove(0).question
}

fn faults(text: &str) -> Vec<(u64, String)> {
    let faults = read(text).unwrap_err();
    faults.into_iter().map(|it| (it.line, it.message)).collect()
}

fn earned(question: &Question, text: &str) -> String {
    let answer = Answer::Text(text.into());
    let grade = grade(&question.body, Points::whole(100), Some(&answer));
    grade.points.unwrap().to_string()
}

#[test]
fn reads_every_sort_of_question_of_the_format() {
    let found = read(include_str!("../../../tests/fixtures/gift/every-sort.gift")).unwrap();
    let told: Vec<String> = found
        .iter()
        .map(|it| {
            let (name, kind) = (&it.question.name, it.question.body.kind());
            let pool = it.question.pool.as_deref().unwrap_or("-");
            format!("{:>3} {pool:<9} {kind:<11} {name}", it.line)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    let questions: Vec<_> = found.iter().map(|it| &it.question).collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&questions).unwrap());
}

#[test]
fn reads_every_form_that_moodles_description_shows() {
    let found = read(include_str!(
        "../../../tests/fixtures/gift/moodle-forms.gift"
    ))
    .unwrap();
    let mut kinds = std::collections::BTreeMap::new();
    for Found { question, .. } in &found {
        *kinds.entry(question.body.kind()).or_insert(0) += 1;
    }
    let told: Vec<String> = kinds
        .iter()
        .map(|(kind, n)| format!("{kind} {n}"))
        .collect();
    assert_eq!(
        told,
        [
            "description 1",
            "essay 3",
            "matching 3",
            "multiple 2",
            "numeric 9",
            "short 8",
            "single 13",
            "true_false 5"
        ]
    );
    let last = &found.last().unwrap().question;
    assert_eq!(last.pool.as_deref(), Some("Every day"));
    let named = |name: &str| {
        let mut found = found.iter().map(|it| &it.question);
        found.find(|it| it.name == name).unwrap()
    };
    assert_eq!(named("Q1").text, "1+1=2");
    let Body::Numeric { otherwise, .. } = &named("Q7b").body else {
        panic!()
    };
    assert_eq!(otherwise.as_deref(), Some("Completely wrong"));
    let Body::Single { choices } = &named("Control Characters").body else {
        panic!()
    };
    assert_eq!(choices[5].text, "\\");
    assert_eq!(choices[5].credit, Percent::whole(100));
    assert_eq!(earned(named("Shortanswer"), "MySQL"), "0");
    assert_eq!(earned(named("Q6"), "5"), "100");
}

#[test]
fn a_slash_that_belongs_to_the_name_of_a_category_is_written_twice() {
    let pool = |path: &str| {
        read(&format!("$CATEGORY: {path}\n\nA {{T}}"))
            .unwrap()
            .remove(0)
            .question
            .pool
    };
    assert_eq!(pool("top/Sound//Vision").as_deref(), Some("Sound/Vision"));
    assert_eq!(pool("$course$/top"), None);
}

#[test]
fn a_blank_stands_where_the_answers_stood() {
    for (text, shown) in [
        (
            "Two plus {=two =2} equals four.",
            "Two plus _____ equals four.",
        ),
        ("Grant was born in {=1822}.", "Grant was born in _____."),
        ("{=Asia} is large", "_____ is large"),
        ("1 + 2 \\= {3}", "1 + 2 ="),
    ] {
        assert_eq!(one(text).text, shown, "{text}");
    }
}

#[test]
fn what_is_escaped_has_no_meaning() {
    let question = one("::a\\:\\:b:: Is \\{1 \\= 1\\} \\~ \\#1? {=\\=1 \\#2\\n3 ~\\~ \\\\frac}");
    assert_eq!(question.name, "a::b");
    assert_eq!(question.text, "Is {1 = 1} ~ #1?");
    let Body::Single { choices } = question.body else {
        panic!("{:?}", question.body)
    };
    let texts: Vec<&str> = choices.iter().map(|choice| choice.text.as_str()).collect();
    assert_eq!(texts, ["=1 #2\n3", "~ \\frac"]);
}

#[test]
fn numbers_have_ranges_tolerances_and_several_answers() {
    let question = one("?{#5:2}");
    assert_eq!(earned(&question, "3"), "100");
    assert_eq!(earned(&question, "7.01"), "0");
    let question = one("?{#1..5}");
    assert_eq!(earned(&question, "5"), "100");
    assert_eq!(earned(&question, "0.99"), "0");
    let question = one("?{#=1822:0 #right\n=%50%1822:2 #close\n~#no}");
    assert_eq!(earned(&question, "1822"), "100");
    assert_eq!(earned(&question, "1824"), "50");
    let question = one("?{#-3.5..-1}");
    assert_eq!(earned(&question, "-1"), "100");
}

#[test]
fn weights_decide_and_no_right_answer_means_that_several_are_chosen() {
    let Body::Multiple { choices } = one("?{~%50%a ~%50%b ~%-100%c ~d}").body else {
        panic!()
    };
    let credits: Vec<String> = choices.iter().map(|it| it.credit.to_string()).collect();
    assert_eq!(credits, ["50", "50", "-100", "0"]);
    let Body::Single { choices } = one("?{=a ~%25%b ~c#no}").body else {
        panic!()
    };
    assert_eq!(choices[1].credit, "25".parse::<Percent>().unwrap());
    assert_eq!(choices[2].feedback.as_deref(), Some("no"));
}

#[test]
fn everything_that_is_wrong_is_told_with_its_line() {
    let text = "\
// A comment.
::Open:: never closed {=a ~b

::Good:: yes {T}

::No title
anywhere {T}

Which? {
  =a
  ~%fifty%b
}

::Number:: ? {#three}

::Twice:: {=a} or {=b}

Wrong only {~%50%a ~b}

Pairs {=a -> 1 =b}

stray }
";
    assert_eq!(
        faults(text),
        [
            (2, "the answers are not closed: a } is missing before the blank line"),
            (6, "the title is not closed: it must end with ::"),
            (11, "\"fifty\" is no weight"),
            (14, "\"three\" is no number: write 3, 3:0.5 or 2.5..3.5"),
            (
                16,
                "a question has one place for answers: write \\{ and \\} for the characters, or leave a \
                 blank line before the next question"
            ),
            (18, "the right choices together do not give all of the points"),
            (20, "\"b\" has no -> and an answer"),
            (22, "a } closes nothing: write \\} for the character"),
        ]
        .map(|(line, message)| (line, message.to_owned()))
    );
}

#[test]
fn no_text_makes_the_reader_fail_otherwise_than_by_saying_so() {
    let marks = [
        "::",
        "{",
        "}",
        "=",
        "~",
        "#",
        "####",
        "%",
        "->",
        "\\",
        "\n",
        "\n\n",
        "T",
        "a",
        "5",
        ":",
        "..",
        "[html]",
        "*",
        "//",
        "$CATEGORY:",
        "é",
        " ",
    ];
    for seed in 0..20_000 {
        let order = crate::quizzes::shuffle::Shuffle::new(seed, "gift").order(marks.len());
        let text: String = order.iter().take(14).map(|place| marks[*place]).collect();
        let _ = read(&text);
    }
}
