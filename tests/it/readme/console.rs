//! Runs what the README shows at a prompt, in the order of the page, in one home.
//!
//! What the page shows of ids and tokens is bound to what this run has in their place, so that a
//! later command on the page can name them.

use crate::support::{Daemon, Ran, Shell};

use super::mask::{Piece, is_name, mask, pieces};

/// The address on the page; the test's daemon has another.
const ADDRESS: &str = "127.0.0.1:8080";
/// The home folder and the data folder of the page.
const HOME: &str = "/home/maria";
const DATA: &str = "/home/maria/.local/share/provost";

/// Who does the work of `curl` lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curl {
    /// The program of that name.
    Real,
    /// This test's own client, given the words that the shell would have given to `curl`.
    StandIn,
}

/// A command with what the page shows below it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The line after the prompt.
    pub(super) command: String,
    /// The lines below it.
    pub(super) output: Vec<String>,
}

/// A shell that goes down the page.
pub(super) struct Console {
    shell: Shell,
    daemon: Option<Daemon>,
    curl: Curl,
    /// What the page says, and what it is in this run.
    bound: Vec<(String, String)>,
    status: i32,
}

impl Console {
    pub(super) fn new(curl: Curl) -> Self {
        Self {
            shell: Shell::bare(),
            daemon: None,
            curl,
            bound: Vec::new(),
            status: 0,
        }
    }

    /// Runs a command; says how its output differs in more than what differs from run to run.
    ///
    /// # Errors
    /// What the page should show.
    pub(super) fn check(&mut self, shown: &Shown) -> Result<(), Vec<String>> {
        assert!(
            self.status == 0 || shown.command.contains("$?"),
            "the command before {:?} ends with {}: show it with echo $?",
            shown.command,
            self.status
        );
        let output = self.run(&shown.command);
        let actual: Vec<String> = output.lines().map(|line| self.for_the_page(line)).collect();
        self.bind(&shown.output, &actual);
        if masked(&shown.output) == masked(&actual) {
            Ok(())
        } else {
            let mut page = actual;
            // A token contains its id.
            self.bound
                .sort_by_key(|(page, _)| std::cmp::Reverse(page.len()));
            for (on_page, here) in &self.bound {
                for line in &mut page {
                    *line = line.replace(here, on_page);
                }
            }
            Err(page)
        }
    }

    fn run(&mut self, command: &str) -> String {
        let mut command = command.to_owned();
        for (on_page, here) in &self.bound {
            command = command.replace(on_page, here);
        }
        let curl = command.starts_with("curl ");
        if curl || command.starts_with("provost health") {
            command = command.replace(ADDRESS, &self.daemon().address);
        }
        if curl && self.curl == Curl::StandIn {
            self.status = 0;
            return self.stand_in(&command);
        }
        // The status before is that of another process: hand it on for `echo $?`.
        let line = format!("exec 2>&1; (exit {}); {command}", self.status);
        let mut line = self.shell.line(&line);
        if let Some(daemon) = &self.daemon {
            line.env("PROVOST_SERVER_LISTEN", &daemon.address);
        }
        let ran = Ran::of(&mut line);
        self.status = ran.status;
        ran.stdout
    }

    fn daemon(&mut self) -> &Daemon {
        let shell = &self.shell;
        self.daemon.get_or_insert_with(|| shell.serve())
    }

    /// What `curl` would do with these words.
    fn stand_in(&mut self, command: &str) -> String {
        let told = format!(r#"curl() {{ printf '%s\0' "$@"; }}; {command}"#);
        let words = Ran::of(&mut self.shell.line(&told)).stdout;
        let mut words = words.split_terminator('\0');
        let (mut method, mut headers, mut body, mut url) = (None, String::new(), None, "");
        while let Some(word) = words.next() {
            match word {
                "-s" => {}
                "-X" => method = words.next(),
                "-d" => body = words.next(),
                "-H" => {
                    headers.push_str(words.next().unwrap());
                    headers.push_str("\r\n");
                }
                _ if word.starts_with('-') => panic!("the stand-in for curl has no {word}"),
                _ => url = word,
            }
        }
        if body.is_some() && !headers.contains("Content-Type") {
            headers.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
        }
        let method = method.unwrap_or(if body.is_some() { "POST" } else { "GET" });
        let daemon = self.daemon();
        let path = url.strip_prefix(&daemon.url()).unwrap();
        daemon.request(method, path, &headers, body.unwrap_or("")).1
    }

    /// A line as it would be on the machine of the page.
    fn for_the_page(&self, line: &str) -> String {
        let data = self.shell.path("data").display().to_string();
        let home = self.shell.path("").display().to_string();
        let mut line = line
            .replace(&data, DATA)
            .replace(home.trim_end_matches('/'), HOME);
        if let Some(daemon) = &self.daemon {
            line = line.replace(&daemon.address, ADDRESS);
        }
        let mut page = String::new();
        for piece in pieces(line.trim_end()) {
            page.push_str(match piece {
                Piece::Masked("actor", _) => "os:1000/maria@vps",
                Piece::Text(text) | Piece::Masked(_, text) => text,
            });
        }
        page
    }

    fn bind(&mut self, page: &[String], here: &[String]) {
        for (page, here) in names(page).into_iter().zip(names(here)) {
            let known = self.bound.iter().any(|(known, _)| *known == page.1);
            if page.0 == here.0 && !known {
                self.bound.push((page.1.to_owned(), here.1.to_owned()));
            }
        }
        // A token contains its id, and is to be replaced as a whole.
        self.bound
            .sort_by_key(|(page, _)| std::cmp::Reverse(page.len()));
    }
}

fn names(lines: &[String]) -> Vec<(&'static str, &str)> {
    let pieces = lines.iter().flat_map(|line| pieces(line));
    let names = pieces.filter_map(|piece| match piece {
        Piece::Masked(kind, text) if is_name(kind) => Some((kind, text)),
        Piece::Masked(..) | Piece::Text(_) => None,
    });
    names.collect()
}

fn masked(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| mask(line)).collect()
}
