//! Rows that were looked at and wait to be written: in a file without a name, which is gone with
//! the process and readable by nobody else. Hashes and personal data are in it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, Write as _};

use super::fields::Ready;
use crate::app::App;
use crate::error::{Error, Result};

/// A file of rows: first it is written, then read.
#[derive(Debug)]
pub(super) struct Spool {
    file: Half,
    line: Vec<u8>,
}

#[derive(Debug)]
enum Half {
    Writing(BufWriter<File>),
    Reading(BufReader<File>),
}

fn failed() -> impl FnOnce(std::io::Error) -> Error {
    Error::io("keep the rows in a temporary file")
}

impl Spool {
    /// Beside the database, where there is room for its rows, and not in a folder that others can
    /// write to.
    pub(super) fn new(app: &App) -> Result<Self> {
        let folder = app.config().db.file().and_then(|file| file.parent());
        let folder = folder.unwrap_or(&app.config().data_dir);
        let made = if folder.is_dir() {
            tempfile::tempfile_in(folder)
        } else {
            tempfile::tempfile()
        };
        Ok(Self {
            file: Half::Writing(BufWriter::new(made.map_err(failed())?)),
            line: Vec::new(),
        })
    }

    pub(super) fn put(&mut self, row: &Ready) -> Result<()> {
        let Half::Writing(file) = &mut self.file else {
            return Err(Error::internal("a spool that is being read"));
        };
        serde_json::to_writer(&mut *file, row).map_err(|error| failed()(error.into()))?;
        file.write_all(b"\n").map_err(failed())
    }

    /// Turns from writing to reading.
    pub(super) fn rewind(&mut self) -> Result<()> {
        let mut file = match &mut self.file {
            Half::Writing(file) => {
                file.flush().map_err(failed())?;
                file.get_ref().try_clone().map_err(failed())?
            }
            Half::Reading(file) => file.get_ref().try_clone().map_err(failed())?,
        };
        file.rewind().map_err(failed())?;
        self.file = Half::Reading(BufReader::new(file));
        Ok(())
    }

    /// The next rows, at most so many; none at the end.
    pub(super) fn take(&mut self, most: usize) -> Result<Vec<Ready>> {
        let Half::Reading(file) = &mut self.file else {
            return Err(Error::internal("a spool that is being written"));
        };
        let mut rows = Vec::with_capacity(most);
        while rows.len() < most {
            self.line.clear();
            if file.read_until(b'\n', &mut self.line).map_err(failed())? == 0 {
                break;
            }
            rows.push(serde_json::from_slice(&self.line).map_err(Error::internal)?);
        }
        Ok(rows)
    }
}
