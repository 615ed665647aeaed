//! The second limit for issuing: the same rows through the library's group-commit writer, without
//! HTTP, from as many threads as there are connections.
//!
//! It runs as a process of its own, as the daemon does, and prints what came of it as JSON.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use provost::app::{Actor, Cx, Who};
use provost::db::Role;
use provost::tokens;

use crate::Outcome;
use crate::client::Leg;
use crate::library;
use crate::pairs::{Measured, Plan};
use crate::server::{self, this_program};

/// One leg on the files in `folder`.
pub(crate) fn leg(folder: &Path, plan: Plan) -> Outcome<Measured> {
    let output = Command::new(this_program()?)
        .arg("--writer")
        .arg(folder)
        .arg(format!("--connections={}", plan.shape.connections))
        .arg(format!("--seconds={}", plan.leg.as_secs_f64()))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the writer stopped: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The process: issues until the leg is over.
pub(crate) fn run(folder: &Path, plan: Plan) -> Outcome<()> {
    let issue = issuer(folder)?;
    let before = server::cpu("self")?;
    let deadline = Instant::now() + plan.leg;
    let leg = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.shape.connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut leg = Leg::new(plan.leg);
                    loop {
                        let begin = Instant::now();
                        if begin >= deadline {
                            return leg;
                        }
                        match issue() {
                            Ok(()) if Instant::now() < deadline => leg.right(begin.elapsed()),
                            Ok(()) => {}
                            Err(error) => leg.wrong(|| error.to_string()),
                        }
                    }
                })
            })
            .collect();
        let mut whole = Leg::new(plan.leg);
        for thread in threads {
            whole.add(thread.join().map_err(|_| "a thread panicked")?);
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(whole)
    })?;
    let measured = Measured::of(&leg, server::cpu("self")? - before);
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// Opens the folder as the daemon does; what it returns issues one token and waits for the commit.
fn issuer(folder: &Path) -> Outcome<impl Fn() -> provost::error::Result<()> + Sync> {
    let app = library::open(folder, Role::Daemon)?;
    let anybody = Actor {
        who: Who::Anonymous,
        ip: None,
        request: None,
    };
    Ok(move || {
        let issue = |cx: &mut Cx<'_, '_>| tokens::create_anonymous(cx, None).map(drop);
        app.write(&anybody, issue)
    })
}
