//! Grades as a workbook of a spreadsheet.
//!
//! Invariant: what people chose, such as their names, is text and never a formula.

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::Grade;
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Makes the workbook, as of `now`.
///
/// # Errors
/// [`Error::Internal`] for more rows than a sheet may have.
pub(super) fn of(grades: &[Grade], now: Timestamp) -> Result<Vec<u8>> {
    made(grades, now).map_err(Error::internal)
}

fn made(grades: &[Grade], now: Timestamp) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    // The same grades at the same time are the same file.
    let now = ExcelDateTime::from_timestamp(now.0.div_euclid(1000))?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&now));
    let sheet = workbook.add_worksheet();
    sheet.set_name("grades")?;
    sheet.set_freeze_panes(1, 0)?;
    let bold = Format::new().set_bold();
    for (name, column) in Grade::MEMBERS.into_iter().zip(0..) {
        sheet.write_string_with_format(0, column, name, &bold)?;
    }
    for (grade, row) in grades.iter().zip(1..) {
        line(sheet, row, grade)?;
    }
    workbook.save_to_buffer()
}

fn line(sheet: &mut Worksheet, row: u32, grade: &Grade) -> Result<(), XlsxError> {
    sheet.write_string(row, 0, &grade.user)?;
    sheet.write_string(row, 1, &grade.quiz)?;
    let numbers = [
        Some(grade.attempts.to_string()),
        Some(grade.ungraded.to_string()),
        grade.points.map(|it| it.to_string()),
        Some(grade.most.to_string()),
        grade.percent.map(|it| it.to_string()),
    ];
    for (number, column) in numbers.into_iter().zip(2..) {
        if let Some(number) = number.and_then(|it| it.parse::<f64>().ok()) {
            sheet.write_number(row, column, number)?;
        }
    }
    if let Some(passed) = grade.passed {
        sheet.write_boolean(row, 7, passed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::*;
    use crate::quizzes::{Percent, Points};

    #[test]
    fn names_are_text_and_numbers_are_numbers() {
        let grade = Grade {
            user: "=cmd|' /C calc'!A0".into(),
            quiz: "week-1".into(),
            attempts: 2,
            ungraded: 0,
            points: Some(Points::of(250)),
            most: Points::whole(3),
            percent: Some(Percent::whole(75)),
            passed: Some(true),
        };
        let waiting = Grade {
            user: "ivan".into(),
            points: None,
            percent: None,
            passed: None,
            ..grade.clone()
        };
        let bytes = of(&[grade.clone(), waiting], Timestamp(1_795_000_000_000)).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut part = |name: &str| {
            let mut text = String::new();
            let mut file = archive.by_name(name).unwrap();
            file.read_to_string(&mut text).unwrap();
            text
        };
        let texts = part("xl/sharedStrings.xml");
        assert!(texts.contains("<t>=cmd|' /C calc'!A0</t>"), "{texts}");
        let sheet = part("xl/worksheets/sheet1.xml");
        assert!(!sheet.contains("<f>"), "{sheet}");
        for cell in [
            r#"<c r="A2" t="s">"#,
            r#"<c r="E2"><v>2.5</v></c>"#,
            r#"<c r="G2"><v>75</v></c>"#,
            r#"<c r="H2" t="b"><v>1</v></c>"#,
        ] {
            assert!(sheet.contains(cell), "{cell}: {sheet}");
        }
        assert!(!sheet.contains("r=\"E3\""), "{sheet}");
    }
}
