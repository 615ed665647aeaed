//! Whole processes, measured from outside: how long from start to end, and how much memory.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

use crate::Outcome;
use crate::server::this_program;

/// Runs `command` to its end with its output thrown away; the time that took.
pub(crate) fn timed(command: &mut Command) -> Outcome<Duration> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let status = command.status()?;
    let took = begin.elapsed();
    if status.success() {
        Ok(took)
    } else {
        Err(format!("{command:?}: {status}").into())
    }
}

/// The most memory that `command` had resident, in MiB.
///
/// Linux counts the memory of the parent before `exec` as the child's, so a small process of this
/// program stands between: see [`peak_of`].
pub(crate) fn peak_rss(command: &Command) -> Outcome<f64> {
    let mut between = Command::new(this_program()?);
    between.arg("--peak-of").arg(command.get_program());
    between.args(command.get_args());
    between.env_clear();
    between.envs(
        command
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    let output = between.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {said}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse::<f64>()? / 1024.0 / 1024.0)
}

/// The process in between: runs the program, prints the most bytes that it had resident.
pub(crate) fn peak_of(arguments: &[String]) -> Outcome<()> {
    let (program, rest) = arguments.split_first().ok_or("no program to run")?;
    let child = Command::new(program)
        .args(rest)
        .stdout(Stdio::null())
        .spawn()?;
    let used = child.wait4()?;
    if !used.status.success() {
        return Err(used.status.to_string().into());
    }
    println!("{}", used.rusage.maxrss);
    Ok(())
}
