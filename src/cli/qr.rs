//! A text as a QR code in the terminal, for a phone that stands in front of it.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::output::Output;
use crate::error::{Error, Result};
use crate::secret::Secret;

impl Output {
    /// Draws `text` as a QR code, where somebody looks: only if standard output is a terminal, and
    /// never under `--quiet` or `--json`.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn qr(&mut self, text: &Secret<String>) -> Result<()> {
        if !self.terminal.stdout || self.format.quiet || self.format.json {
            return Ok(());
        }
        self.secret = true;
        self.put(draw(text)?.expose().as_bytes())?;
        self.end_line()?;
        self.flush()
    }
}

/// Two modules in one character. A terminal is dark as a rule, so light modules are drawn; scanners
/// take the other sort, too, as the quiet zone around it is drawn with it.
fn draw(text: &Secret<String>) -> Result<Secret<String>> {
    let code = QrCode::with_error_correction_level(text.expose(), EcLevel::L);
    let image = code.map_err(Error::internal)?;
    let mut renderer = image.render::<Dense1x2>();
    renderer
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark);
    Ok(Secret::new(renderer.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a scanner sees: true for a light module.
    fn modules(drawn: &str) -> Vec<Vec<bool>> {
        let halves = |line: &str, upper: bool| {
            line.chars()
                .map(|c| c == '\u{2588}' || c == if upper { '\u{2580}' } else { '\u{2584}' })
                .collect::<Vec<_>>()
        };
        drawn
            .lines()
            .flat_map(|line| [halves(line, true), halves(line, false)])
            .collect()
    }

    #[test]
    fn every_module_is_where_the_code_has_it_within_a_light_border() {
        let text = "https://auth.example.org/login#pvl_".to_owned() + &"a".repeat(47);
        let drawn = draw(&Secret::new(text.clone())).unwrap();
        let seen = modules(drawn.expose());
        let code = QrCode::with_error_correction_level(&text, EcLevel::L).unwrap();
        let width = code.width();
        assert_eq!(seen[0].len(), width + 8);
        for y in 0..width {
            for x in 0..width {
                let light = code[(x, y)] == qrcode::Color::Light;
                assert_eq!(seen[y + 4][x + 4], light, "{x} {y}");
            }
        }
        assert!(seen[..4].iter().flatten().all(|light| *light));
        let widest = drawn
            .expose()
            .lines()
            .map(|line| line.chars().count())
            .max();
        assert!(widest.unwrap() <= 80, "{widest:?}");
    }
}
