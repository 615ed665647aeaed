use std::fmt::Write as _;

use super::*;
use crate::quizzes::answer::Answer;
use crate::quizzes::grading::grade;
use crate::quizzes::{Form, Pattern};

const EVERY_SORT: &str = include_str!("../../../tests/fixtures/moodle/every-sort.xml");

fn found(name: &str) -> Question {
    let read = read(EVERY_SORT).unwrap();
    assert_eq!(read.faults, []);
    let mut questions = read.questions.into_iter().map(|it| it.question);
    questions.find(|it| it.name == name).unwrap()
}

fn faults(questions: &str) -> Vec<(u64, String)> {
    let read = read(&format!("<quiz>\n{questions}\n</quiz>")).unwrap();
    let faults = read.faults.into_iter();
    faults.map(|it| (it.line, it.message)).collect()
}

#[test]
fn reads_every_sort_of_question_with_its_pool_and_its_line() {
    let read = read(EVERY_SORT).unwrap();
    let mut told = String::new();
    for Found { line, question } in &read.questions {
        let pool = question.pool.as_deref().unwrap_or("-");
        let (kind, points, name) = (question.body.kind(), question.points, &question.name);
        writeln!(told, "{line} {pool}: {kind} {points} {name}").unwrap();
    }
    assert_eq!(
        told,
        "\
8 Every day/Basics: single 2 One
34 Every day/Basics: multiple 1 Some
43 Every day/Basics: true_false 1 Flag
59 Numbers: short 1 Words
73 Numbers: numeric 0.33 Number
93 Numbers: matching 1 Pairs
100 Numbers: ordering 1 Order
111 Numbers: essay 5 Why are secrets not given on the command line?
119 Numbers: description 0 Break
"
    );
    let notes: Vec<String> = read
        .notes
        .iter()
        .map(|it| format!("{} {}", it.line, it.message))
        .collect();
    assert_eq!(
        notes,
        [
            "76 0.3333333 points become 0.33",
            "90 units are left out: what is answered is a number alone",
            "106 each item at its place gives an equal part of the points",
            "116 what is told to who grades it is left out",
            "124 is hidden in Moodle, and left out",
        ]
    );
}

#[test]
fn texts_of_several_forms_are_brought_into_one() {
    let one = found("One");
    assert_eq!(one.format, Form::Html);
    assert_eq!(one.text, "<p>What does a session begin with?</p>");
    assert_eq!(
        one.explanation.as_deref(),
        Some("<p>Then it has an id.</p>")
    );
    let Body::Single { choices } = one.body else {
        panic!("{:?}", one.body)
    };
    assert_eq!(choices[0].feedback.as_deref(), Some("<p>Yes.</p>"));
    assert_eq!(choices[1].credit.to_string(), "33.33333");
    assert_eq!(choices[2].text, "a &lt;backup&gt;");
    assert_eq!(
        choices[2].feedback.as_deref(),
        Some("No:<br>\nthat is a copy.")
    );
    assert_eq!(found("Some").format, Form::Markdown);
    assert_eq!(found("Words").format, Form::Plain);
    let mixed = "<question type='multichoice'><name><text>a</text></name>
        <questiontext format='markdown'><text>*a*</text></questiontext>
        <answer fraction='100' format='plain_text'><text>2 * 3_4</text></answer>
        <answer fraction='0' format='html'><text>&lt;i>b&lt;/i></text></answer></question>";
    let mixed = read(&format!("<quiz>{mixed}</quiz>"))
        .unwrap()
        .questions
        .remove(0);
    let Body::Single { choices } = mixed.question.body else {
        panic!()
    };
    assert_eq!(choices[0].text, r"2 \* 3\_4");
    assert_eq!(choices[1].text, "<i>b</i>");
}

#[test]
fn what_is_right_in_moodle_is_right_here() {
    let earned = |question: &Question, answer: &Answer| {
        let grade = grade(&question.body, Points::whole(100), Some(answer));
        grade.points.unwrap().to_string()
    };
    let said = |text: &str| Answer::Text(text.into());
    let words = found("Words");
    for (text, points) in [
        ("its owner", "100"),
        ("Its owner", "80"),
        ("5 * 2 is ten", "50"),
        ("*", "20"),
        ("ivan", "0"),
    ] {
        assert_eq!(earned(&words, &said(text)), points, "{text}");
    }
    let Body::Short {
        answers,
        case: true,
    } = &words.body
    else {
        panic!()
    };
    assert_eq!(answers[3].pattern, Pattern::Text("*".into()));
    assert_eq!(
        grade(&words.body, Points::whole(1), Some(&said("x"))).feedback,
        ["Nobody else."]
    );
    let number = found("Number");
    for (text, points) in [("3600", "100"), ("3660.5", "50"), ("3661", "0")] {
        assert_eq!(earned(&number, &said(text)), points, "{text}");
    }
    let wrong = grade(&number.body, Points::whole(1), Some(&said("1")));
    assert_eq!(wrong.feedback, ["Sixty minutes."]);
    assert_eq!(earned(&found("Flag"), &Answer::Flag(false)), "100");
    let pairs = found("Pairs");
    let Body::Matching { pairs: all, extra } = &pairs.body else {
        panic!()
    };
    assert_eq!((all[1].answer.as_str(), extra.len()), ("10 &amp; more", 1));
    assert_eq!(
        earned(&pairs, &Answer::Matches(vec![Some(0), Some(1)])),
        "100"
    );
    assert_eq!(
        earned(&found("Order"), &Answer::Order(vec![0, 1, 2])),
        "100"
    );
}

#[test]
fn what_cannot_be_taken_in_is_told_with_its_line() {
    let text = "\
<question type='cloze'><questiontext><text>{1:SHORTANSWER:=a}</text></questiontext></question>
<question type='multichoice'>
  <questiontext format='html'>
    <text><![CDATA[<img src=\"@@PLUGINFILE@@/map.png\">]]></text>
    <file name='map.png' encoding='base64'>AAAA</file>
  </questiontext>
</question>
<question type='numerical'>
  <questiontext><text>?</text></questiontext>
  <answer fraction='100'>
    <text>three</text>
  </answer>
</question>
<question type='numerical'>
  <questiontext><text>?</text></questiontext>
  <answer fraction='100'><text>3</text></answer>
  <units><unit><multiplier>1</multiplier><unit_name>m</unit_name></unit></units>
  <unitgradingtype>1</unitgradingtype>
</question>
<question type='shortanswer'>
  <questiontext><text>?</text></questiontext>
  <answer fraction='half'><text>a</text></answer>
</question>
<question type='multichoice'>
  <questiontext><text>?</text></questiontext>
  <answer fraction='50'><text>a</text></answer>
</question>
<question type='truefalse'>
  <questiontext><text>?</text></questiontext>
  <answer fraction='100'><text>true</text></answer>
</question>
<question type='matching'>
  <questiontext><text>?</text></questiontext>
  <subquestion><text>a</text></subquestion>
</question>
<question type='essay'/>
<question/>
<lesson/>";
    let told = faults(text);
    let told: Vec<(u64, &str)> = told.iter().map(|(line, it)| (*line, it.as_str())).collect();
    assert_eq!(
        told,
        [
            (2, "a question of the sort \"cloze\" cannot be taken in"),
            (4, texts::NO_FILES),
            (11, "\"three\" is no number"),
            (18, "the unit is graded, too, which cannot be taken in"),
            (23, "the fraction \"half\" is no number"),
            (
                25,
                "there must be at least 2 choices; no choice gives all of the points"
            ),
            (29, "there is no answer \"false\""),
            (35, "there is no <answer> to it"),
            (37, "there is no <questiontext>"),
            (38, "a <question> must have a type"),
            (39, "<lesson> stands where <question> must"),
        ]
    );
}

#[test]
fn what_is_no_moodle_xml_is_refused_with_its_line() {
    let line = |text: &str| read(text).unwrap_err().line;
    assert_eq!(line("<quiz>\n<question>\n</quiz>"), 3);
    assert_eq!(line("\n<html/>"), 2);
    assert_eq!(line("::T:: GIFT {T}"), 1);
    assert_eq!(line(""), 1);
    // Ten lines of this would be a gigabyte.
    let bomb = "<!DOCTYPE q [<!ENTITY a 'aaaa'>\n<!ENTITY b '&a;&a;'>]>\n<quiz>&b;</quiz>";
    assert!(
        read(bomb)
            .unwrap_err()
            .message
            .contains("no XML that can be read")
    );
}

#[test]
fn a_file_that_is_nested_without_end_is_refused_and_overflows_nothing() {
    let deep = format!("<quiz>{}", "<a>".repeat(100_000));
    assert!(read(&deep).is_err());
    let deep = format!(
        "<quiz>{}{}</quiz>",
        "<a>".repeat(100_000),
        "</a>".repeat(100_000)
    );
    let _whatever = read(&deep);
}
