//! Whether a backup is what it should be (security.md, rule 80): the file that its manifest speaks
//! of, made of what the migrations of its schema make and of nothing of others that could undo a
//! restore, undamaged, complete.
//!
//! Invariant: the file is only read, and nothing appears beside it.

use std::path::Path;

use serde::Serialize;

use crate::audit;
use crate::databases::{self, Check, Finding};
use crate::db::{APPLICATION, Db};
use crate::error::{Error, Result};
use crate::file::folder_of;
use crate::keys::Keys;
use crate::migrations;
use crate::snapshots::{self, Draft, Manifest};
use crate::time::Timestamp;

/// Findings about a new copy that are told one by one.
const TOLD: usize = 20;

/// What a backup is held against, besides its manifest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against<'a> {
    /// The SHA-256 of the file, as somebody kept it elsewhere.
    pub sha256: Option<&'a str>,
    /// The key file to which it should belong.
    pub keys: Option<&'a Keys>,
}

/// What was found out about a backup.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The size of the file.
    pub bytes: u64,
    /// Its SHA-256, as hexadecimal digits.
    pub sha256: String,
    /// The schema of the database in it, if it got as far as that.
    pub schema: Option<u32>,
    /// When it was begun, as the manifest says.
    pub created_at: Option<Timestamp>,
    /// What was looked at, up to what makes all further looking pointless.
    pub checks: Vec<Check>,
}

impl Verified {
    /// The first thing that is wrong.
    #[must_use]
    pub fn fault(&self) -> Option<&Finding> {
        self.checks.iter().find_map(|check| check.findings.first())
    }

    /// Whether all that is wrong follows from another key file than the one to which it belongs:
    /// with that its seal and the log's signatures are not good, either.
    #[must_use]
    pub fn is_of_other_keys(&self) -> bool {
        let faults = self.checks.iter().filter(|it| !it.findings.is_empty());
        let mut faults = faults.map(|it| it.name);
        faults.clone().any(|it| it == "keys")
            && faults.all(|it| matches!(it, "manifest" | "keys" | "audit"))
    }
}

/// What is wrong with the key file at `path` where a backup is of another one.
pub(super) fn other_keys(path: &Path) -> Error {
    Error::KeyFile {
        path: path.to_owned(),
        reason:
            "is not the one to which the backup belongs; put a copy of the right one in its place"
                .into(),
    }
}

/// Verifies the backup in the file at `path`.
///
/// # Errors
/// [`Error::NotFound`] if there is none; [`Error::Usage`] if there is neither a manifest nor a check sum to hold it against;
/// [`Error::SchemaNewer`]; [`Error::Io`]. What is wrong with it is a finding.
pub fn verify(path: &Path, against: Against<'_>) -> Result<Verified> {
    if !path.exists() {
        return Err(Error::no_such("backup", &path.display().to_string()));
    }
    let manifest = match Manifest::of(path) {
        Err(Error::Corrupt(reason)) => Err(reason),
        read => Ok(read?),
    };
    let (bytes, sha256) = snapshots::digest(path)?;
    examine(path, manifest, (bytes, sha256), against)
}

/// Verifies what is in the file at `path`, whose size and SHA-256 are known.
pub(super) fn examine(
    path: &Path,
    manifest: Result<Option<Manifest>, String>,
    (bytes, sha256): (u64, String),
    against: Against<'_>,
) -> Result<Verified> {
    let mut verified = Verified {
        bytes,
        sha256,
        schema: None,
        created_at: None,
        checks: Vec::new(),
    };
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(reason) => {
            verified.checks.push(check("manifest", "", vec![reason]));
            return Ok(verified);
        }
    };
    if manifest.is_none() && against.sha256.is_none() {
        return Err(Error::Usage(
            "there is no manifest beside it; say with --sha256 which file it should be".into(),
        ));
    }
    verified.created_at = manifest.as_ref().map(|it| it.created_at);
    let first = [
        of_manifest(manifest.as_ref(), against.keys)?,
        of_file(&verified, manifest.as_ref(), against.sha256),
    ];
    for check in first {
        let bad = !check.findings.is_empty();
        verified.checks.push(check);
        // Of a file that is another one nobody knows what opening it would do.
        if bad {
            return Ok(verified);
        }
    }
    match inside(path, manifest.as_ref(), against, &mut verified) {
        Err(Error::Corrupt(reason)) => {
            verified.checks.push(check("readable", "", vec![reason]));
        }
        other => other?,
    }
    Ok(verified)
}

/// What is wrong with the audit log of a copy that has no name yet.
pub(super) fn audit(draft: &Draft, keys: &Keys) -> Result<Vec<String>> {
    let db = Db::open_still(draft.path())?;
    let audit = of_audit(&db, draft.path(), Some(&draft.manifest), Some(keys))?;
    let findings = audit.findings.into_iter().map(|it| it.detail);
    Ok(findings.take(TOLD).collect())
}

/// The manifest itself.
fn of_manifest(manifest: Option<&Manifest>, keys: Option<&Keys>) -> Result<Check> {
    const NAME: &str = "manifest";
    let Some(manifest) = manifest else {
        return Ok(skipped(NAME, "there is none"));
    };
    let Some(keys) = keys else {
        return Ok(skipped(NAME, "without the key file its seal says nothing"));
    };
    if manifest.is_genuine(keys)? {
        return Ok(check(NAME, "sealed with this key file", Vec::new()));
    }
    let others = manifest.keys.as_ref();
    if others.is_some_and(|fingerprint| *fingerprint != keys.fingerprint) {
        // Nothing is wrong with it, as far as this key file can tell.
        let reason = "it was written with another key file".to_owned();
        return Ok(check("keys", "", vec![reason]));
    }
    let reason = "it is not as it was written".to_owned();
    Ok(check(NAME, "", vec![reason]))
}

/// Whether it is the file that is spoken of.
fn of_file(verified: &Verified, manifest: Option<&Manifest>, given: Option<&str>) -> Check {
    let mut findings = Vec::new();
    if let Some(manifest) = manifest {
        if manifest.bytes != verified.bytes {
            findings.push(format!(
                "it has {} bytes, and had {} when it was made",
                verified.bytes, manifest.bytes
            ));
        } else if manifest.sha256 != verified.sha256 {
            findings.push("its SHA-256 is not the one of the manifest".to_owned());
        }
    }
    if given.is_some_and(|given| !given.eq_ignore_ascii_case(&verified.sha256)) {
        findings.push("its SHA-256 is not the one that was given".to_owned());
    }
    check("sha256", "every byte of the file", findings)
}

/// The database in it.
fn inside(
    path: &Path,
    manifest: Option<&Manifest>,
    against: Against<'_>,
    verified: &mut Verified,
) -> Result<()> {
    let db = Db::open_still(path)?;
    let identity = db.identity()?;
    if identity.application != APPLICATION {
        let findings = vec!["it is another program's database".to_owned()];
        verified.checks.push(check("schema", "", findings));
        return Ok(());
    }
    let binary = migrations::needed();
    if identity.schema > binary {
        return Err(Error::SchemaNewer {
            database: identity.schema,
            binary,
        });
    }
    verified.schema = Some(identity.schema);
    let schema = of_schema(&db, identity.schema, manifest, against.keys.is_some())?;
    let foreign = !schema.findings.is_empty();
    verified.checks.push(schema);
    if foreign {
        return Ok(());
    }
    verified.checks.extend(databases::check(&db)?);
    if let Some(manifest) = manifest {
        verified.checks.push(of_counts(&db, manifest)?);
    }
    verified.checks.push(of_keys(&db, manifest, against.keys)?);
    let audit = of_audit(&db, path, manifest, against.keys)?;
    verified.checks.push(audit);
    Ok(())
}

/// What the database is made of, word for word but for comments.
fn of_schema(db: &Db, schema: u32, manifest: Option<&Manifest>, sealed: bool) -> Result<Check> {
    let mut findings = Vec::new();
    if manifest.is_some_and(|it| it.schema != schema) {
        findings.push(format!(
            "it has schema {schema}, and its manifest says another"
        ));
    }
    // Without the key file nobody knows whether the manifest was sealed with it.
    let manifest = manifest.filter(|_| sealed);
    findings.extend(migrations::misfits(db, schema, manifest)?);
    let about = "every table, index, trigger and view, word for word";
    Ok(check("schema", about, findings))
}

fn of_counts(db: &Db, manifest: &Manifest) -> Result<Check> {
    let real = snapshots::counts(db)?;
    let mut findings = Vec::new();
    for (table, rows) in &manifest.tables {
        match real.get(table) {
            Some(found) if found == rows => {}
            Some(found) => findings.push(format!("{table} has {found} rows, and had {rows}")),
            None => findings.push(format!("the table {table} is missing")),
        }
    }
    let new = real
        .keys()
        .filter(|name| !manifest.tables.contains_key(*name));
    findings.extend(new.map(|name| format!("the table {name} is foreign")));
    Ok(check("counts", "the rows of every table", findings))
}

fn of_keys(db: &Db, manifest: Option<&Manifest>, keys: Option<&Keys>) -> Result<Check> {
    const NAME: &str = "keys";
    let fingerprint = snapshots::keys(db)?;
    let mut findings = Vec::new();
    if manifest.is_some_and(|it| it.keys != fingerprint) {
        findings.push("the manifest names another key file than the database".to_owned());
    }
    let Some(keys) = keys else {
        return Ok(if findings.is_empty() {
            skipped(NAME, "the key file is not here")
        } else {
            check(NAME, "", findings)
        });
    };
    if fingerprint.is_some_and(|it| it != keys.fingerprint) {
        findings.push("it belongs to another key file".to_owned());
    }
    Ok(check(NAME, "the key file to which it belongs", findings))
}

/// The log is held against the newest head that this manifest, or one of an earlier backup in the
/// same folder, has noted: all seals may have been taken off before this one was made.
fn of_audit(
    db: &Db,
    path: &Path,
    manifest: Option<&Manifest>,
    keys: Option<&Keys>,
) -> Result<Check> {
    let noted = match (manifest, keys) {
        (Some(manifest), Some(keys)) => {
            let restores = db.read(audit::restores)?;
            snapshots::noted(folder_of(path), keys, manifest.created_at, &restores)
        }
        (_, None) | (None, _) => None,
    };
    let own = || manifest.and_then(|it| it.audit_head.clone());
    let head = noted.or_else(own);
    let options = audit::Options { keys, head };
    let found = audit::verify(db, &options, &mut |_, _| Ok(()))?;
    let findings = found.findings.into_iter().map(|it| it.detail).collect();
    Ok(check(
        "audit",
        "the chain of sealed blocks, and their rows",
        findings,
    ))
}

fn check(name: &'static str, about: &str, findings: Vec<String>) -> Check {
    let finding = |detail| Finding {
        check: name,
        object: "backup".to_owned(),
        detail,
    };
    Check {
        name,
        about: about.to_owned(),
        skipped: false,
        findings: findings.into_iter().map(finding).collect(),
    }
}

fn skipped(name: &'static str, about: &str) -> Check {
    Check {
        skipped: true,
        ..check(name, about, Vec::new())
    }
}
