//! The manual: one page for the program and one for each noun, with all its verbs.

use clap::builder::PossibleValue;
use clap::{Arg, Command};
use clap_mangen::Man;

use crate::cli::flags::EVERYWHERE;
use crate::cli::{EXIT_STATUS, command};
use crate::error::{Error, Result};

/// The name of each page and its text.
pub(super) fn pages() -> Result<Vec<(String, String)>> {
    let mut program = command();
    program.build();
    let nouns: Vec<&Command> = program
        .get_subcommands()
        .filter(|noun| noun.get_name() != "help")
        .collect();
    let mut pages = vec![("provost".to_owned(), front(&program, &nouns)?)];
    for noun in nouns {
        let name = format!("provost-{}", noun.get_name());
        pages.push((name.clone(), page(noun, &name)?));
    }
    Ok(pages)
}

fn front(program: &Command, nouns: &[&Command]) -> Result<String> {
    let man = man(program.clone().mut_args(values_in_words), "provost");
    let mut text = head(&man, program)?;
    text += ".SH COMMANDS\n";
    for noun in nouns {
        let about = noun
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let (name, about) = (escape(noun.get_name()), escape(&about));
        text.extend([".TP\n\\fBprovost\\-", &name, "\\fR(1)\n", &about, "\n"]);
    }
    text += &part(|to| man.render_options_section(to))?;
    text += &examples(program);
    text += &exit_status();
    text += "\
.SH FILES
.TP
\\fI/etc/provost/provost.toml\\fR, \\fI~/.config/provost/provost.toml\\fR
Settings of root and of other users; \\fBprovost config init\\fR writes one in which each is explained.
.TP
\\fI/var/lib/provost\\fR, \\fI~/.local/share/provost\\fR
The data folder: \\fIprovost.db\\fR, the database, and \\fIprovost.key\\fR, without which no token of it
can be checked. Keep a copy of the key file apart from the backups of the database.
.SH ENVIRONMENT
\\fBPROVOST_CONFIG\\fR names the settings file. Each setting has a variable of its own:
\\fIserver.listen\\fR is \\fBPROVOST_SERVER_LISTEN\\fR, and \\fBPROVOST_SERVER_LISTEN_FILE\\fR names a file
that holds the value. A flag wins over a variable, a variable over the file.
\\fBprovost config show \\-\\-origin\\fR tells where each value comes from.
";
    Ok(text)
}

fn page(noun: &Command, name: &str) -> Result<String> {
    let man = man(noun.clone().mut_args(values_in_words), name);
    let mut text = head(&man, noun)?;
    if noun.has_subcommands() {
        text += ".SH COMMANDS\n";
        for verb in noun.get_subcommands() {
            text += &verb_section(verb)?;
        }
        // What every command has is told once, at the end.
        text += &part(|to| man.render_options_section(to))?;
    } else {
        text += &part(|to| man.render_options_section(to))?;
    }
    text += &examples(noun);
    text += &exit_status();
    text += ".SH SEE ALSO\n\\fBprovost\\fR(1)\n";
    Ok(text)
}

/// A verb below its noun: what it does, how it is written, its own flags. A verb may have verbs
/// of its own (`user role add`).
fn verb_section(verb: &Command) -> Result<String> {
    let bin = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
    let mut text = format!(".SS {}\n", escape(bin));
    if let Some(about) = verb.get_long_about().or_else(|| verb.get_about()) {
        text.extend([&escape(about.to_string().trim_end_matches('.')), ".\n"]);
    }
    if verb.has_subcommands() {
        for below in verb.get_subcommands() {
            text += &verb_section(below)?;
        }
        return Ok(text);
    }
    let own = verb.clone().mut_args(|arg| match arg.get_help_heading() {
        Some(EVERYWHERE) => arg.hide(true),
        _ if arg.get_id() == "help" => arg.hide(true),
        _ => values_in_words(arg),
    });
    let usage = verb.clone().render_usage().to_string();
    text.extend([".PP\n", &escape(usage.trim_start_matches("Usage: ")), "\n"]);
    let options = part(|to| man(own, "").render_options_section(to))?;
    let lines = options.lines().filter(|line| !line.starts_with(".SH "));
    text.extend(lines.flat_map(|line| [line, "\n"]));
    text += &examples_text(verb, ".PP\n");
    Ok(text)
}

/// The words that a flag takes, in its help: as a list they would fill the page.
fn values_in_words(arg: Arg) -> Arg {
    let values = arg.get_possible_values();
    if values.is_empty() || arg.is_hide_possible_values_set() {
        return arg;
    }
    let words: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.help(format!("{help} [one of: {}]", words.join(", ")))
        .hide_possible_values(true)
}

fn man(command: Command, title: &str) -> Man {
    Man::new(command)
        .title(title.to_uppercase())
        // A date would make each build another page.
        .date(" ")
        .source(concat!("provost ", env!("CARGO_PKG_VERSION")))
        .manual("provost manual")
}

fn head(man: &Man, command: &Command) -> Result<String> {
    let title = part(|to| man.render_title(to))?;
    let name = part(|to| man.render_name_section(to))?;
    let usage = command.clone().render_usage().to_string();
    let synopsis = format!(
        ".SH SYNOPSIS\n{}\n",
        escape(usage.trim_start_matches("Usage: "))
    );
    let description = part(|to| man.render_description_section(to))?;
    Ok(format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n{title}{name}{synopsis}{description}"
    ))
}

/// One section, without the preamble that the page has already.
fn part(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Result<String> {
    let mut text = Vec::new();
    render(&mut text).map_err(Error::io("make the manual"))?;
    let text = String::from_utf8(text).map_err(Error::internal)?;
    let lines = text.lines().filter(|line| !line.contains(".ds Aq "));
    Ok(lines.fold(String::new(), |text, line| text + line + "\n"))
}

fn examples(command: &Command) -> String {
    examples_text(command, ".SH NOTES\n")
}

/// What help shows at its end, as it stands there.
fn examples_text(command: &Command, heading: &str) -> String {
    let Some(text) = command.get_after_help() else {
        return String::new();
    };
    let text = text.to_string();
    let lines = text.lines().map(|line| escape(line) + "\n");
    format!("{heading}.nf\n{}.fi\n", lines.collect::<String>())
}

fn exit_status() -> String {
    let rows = EXIT_STATUS.iter().map(|(status, name, meaning)| {
        format!(
            ".TP\n\\fB{status}\\fR {}\n{}\n",
            escape(name),
            escape(meaning)
        )
    });
    format!(".SH EXIT STATUS\n{}", rows.collect::<String>())
}

/// Text that means only itself to `roff`.
fn escape(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('^', "\\(ha");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}
