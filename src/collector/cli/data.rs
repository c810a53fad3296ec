//! Commands that add, show and delete data.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::figures::open;
use super::outcome::{Failure, Outcome, complain, say};
use crate::collector::forgotten::Forgotten;
use crate::collector::lines;
use crate::collector::place::Place;
use crate::collector::report::{Day, Id, Moment};
use crate::collector::server::stored_json;
use crate::collector::store::{Entry, Store, StoreError};
use crate::os::files;
use crate::os::https::{Url, post_json};
use crate::os::lock::{Attempt, Lock};

/// Number of entries in one transaction.
const BATCH: usize = 20_000;
/// Maximum length of a line in bytes: a body with every byte escaped, and the surrounding JSON.
const LONGEST_LINE: u64 = 1 << 20;
/// Maximum size in bytes of the running collector's answer.
const LONGEST_ANSWER: usize = 64 << 10;
/// Cache size in MiB while adding data.
const CACHE: u32 = 256;

pub(super) fn replay(place: &Place, file: &Path) -> Outcome {
    let could_not =
        |error: &dyn std::fmt::Display| Failure::new(format!("could not read `{}`: {error}", file.display()));
    let mut input: Box<dyn BufRead> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::with_capacity(1 << 20, File::open(file).map_err(|error| could_not(&error))?)),
    };
    let (forgotten, mut store) = open_both(place)?;
    let ledger = store.ledger().map_err(|error| Failure::new(format!("could not read the database: {error}")))?;
    let mut counted = ledger.counts;
    let (mut batch, mut read, mut skipped, mut number) = (Vec::new(), 0_u64, 0_u64, 0_u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = io::Read::take(&mut input, LONGEST_LINE);
        let length = limited.read_until(b'\n', &mut line).map_err(|error| could_not(&error))?;
        if length == 0 {
            break;
        }
        number += 1;
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        match lines::read(text.trim()) {
            Ok(entry) => {
                batch.extend(not_yet_counted(&mut counted, entry));
                read += 1;
            }
            Err(error) => {
                skipped += 1;
                if skipped <= 10 {
                    complain(&format!("skipping line {number}: {error}"));
                }
            }
        }
        if batch.len() >= BATCH {
            add(store.as_mut(), &forgotten, &mut batch)?;
        }
    }
    add(store.as_mut(), &forgotten, &mut batch)?;
    // An empty batch ends a row of full ones, after which ClickHouse stores its summaries.
    add(store.as_mut(), &forgotten, &mut batch)?;
    say(&format!("Read {read} lines, skipped {skipped}."))?;
    Ok(if skipped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open_both(place: &Place) -> Result<(Forgotten, Box<dyn Store>), Failure> {
    let directory = &place.directory;
    let used = |error: io::Error| Failure::new(format!("could not use `{}`: {error}", directory.display()));
    place.create().map_err(used)?;
    let forgotten = Forgotten::open(directory).map_err(used)?;
    let store =
        place.open_store(CACHE).map_err(|error| Failure::new(format!("could not open the database: {error}")))?;
    Ok((forgotten, store))
}

/// An entry without what the database has already: an export contains sums, and adding one again must change nothing.
fn not_yet_counted(counted: &mut BTreeMap<(Day, String), u64>, entry: Entry) -> Option<Entry> {
    let Entry::Count {
        day,
        name,
        count,
        of_line: false,
        ..
    } = entry
    else {
        return Some(entry);
    };
    let known = counted.entry((day, name.clone())).or_default();
    let more = count.saturating_sub(*known);
    *known = count.max(*known);
    (more > 0).then(|| Entry::count(day, name, more))
}

fn add(store: &mut dyn Store, forgotten: &Forgotten, batch: &mut Vec<Entry>) -> Result<(), Failure> {
    let kept = forgotten.filter(std::mem::take(batch));
    store.apply(&kept, None).map_err(|error| {
        Failure::new(format!("could not write to the database: {error}"))
            .help("repeat the command: lines that were added are recognised")
    })
}

pub(super) fn export(place: &Place, file: &Path) -> Outcome {
    let mut store = open(place)?;
    let could_not =
        |error: &dyn std::fmt::Display| Failure::new(format!("could not write `{}`: {error}", file.display()));
    if file == Path::new("-") {
        write_all(store.as_mut(), &mut io::stdout().lock()).map_err(|error| could_not(&error))?;
    } else {
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut temporary = tempfile::NamedTempFile::new_in(directory).map_err(|error| could_not(&error))?;
        let count = write_all(store.as_mut(), &mut temporary).map_err(|error| could_not(&error))?;
        temporary.as_file().sync_all().map_err(|error| could_not(&error))?;
        temporary.persist(file).map_err(|error| could_not(&error.error))?;
        say(&format!("Wrote {count} lines."))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes every line. Returns their number.
pub(super) fn write_all(store: &mut dyn Store, output: &mut dyn Write) -> Result<u64, StoreError> {
    let mut output = BufWriter::with_capacity(1 << 20, output);
    let other = |error: &dyn std::fmt::Display| StoreError::Other(error.to_string());
    let mut count = 0;
    let mut write = |line: &lines::Line| -> Result<(), StoreError> {
        serde_json::to_writer(&mut output, line).map_err(|error| other(&error))?;
        count += 1;
        output.write_all(b"\n").map_err(|error| other(&error))
    };
    store.export(&mut |id, stored| lines::of_id(id, stored).iter().try_for_each(&mut write))?;
    for ((day, name), number) in store.ledger()?.counts {
        write(&lines::of_count(day, &name, number))?;
    }
    output.flush().map_err(|error| other(&error))?;
    drop(output);
    Ok(count)
}

fn identifier(text: &str) -> Result<Id, Failure> {
    Id::from_uuid(text.trim()).ok_or_else(|| {
        Failure::new("could not read the id: not a UUID of version 4").help("`mcpproxy telemetry status` shows it")
    })
}

pub(super) fn received(place: &Place, id: &str) -> Outcome {
    let id = identifier(id)?;
    let forgotten = Forgotten::open(&place.directory).map_err(|error| Failure::new(error.to_string()))?;
    let stored =
        open(place)?.stored(id).map_err(|error| Failure::new(format!("could not read the database: {error}")))?;
    let shown = stored_json(id, &stored, forgotten.contains(id));
    say(&serde_json::to_string_pretty(&shown).map_err(|error| Failure::new(error.to_string()))?)?;
    Ok(ExitCode::SUCCESS)
}

/// Stores the admin address of the running collector.
pub(super) fn remember_address(directory: &Path, admin: SocketAddr) -> io::Result<()> {
    files::replace_private(&directory.join("admin.address"), admin.to_string().as_bytes())
}

pub(super) fn forget(place: &Place, id: &str) -> Outcome {
    let id = identifier(id)?;
    let lock = Lock::attempt(&place.directory.join("lock"))
        .map_err(|error| Failure::new(format!("could not lock `{}`: {error}", place.directory.display())))?;
    let answer = match lock {
        Attempt::Taken { .. } => forget_in_service(place, id)?,
        Attempt::Held(_lock) => forget_here(place, id)?,
    };
    say(&answer.to_string())?;
    Ok(if answer.get("forgotten") == Some(&json!(true)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Asks the running collector, which owns the list of forgotten ids.
fn forget_in_service(place: &Place, id: Id) -> Result<Value, Failure> {
    let failed = |error: String| {
        Failure::new(format!("could not ask the running collector: {error}")).help("stop it, and repeat the command")
    };
    let address =
        files::read_bounded(&place.directory.join("admin.address"), 100).map_err(|error| failed(error.to_string()))?;
    let url = Url::parse(&format!("http://{}/v1/forget", String::from_utf8_lossy(&address)))
        .ok_or_else(|| failed("its address is not on this computer".to_owned()))?;
    let body = json!({"anonymous_id": id.to_uuid()}).to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answered = runtime.map_err(|error| failed(error.to_string()))?.block_on(async {
        post_json(&url, body.into_bytes(), Duration::from_secs(40)).await?.body(LONGEST_ANSWER).await
    });
    let text = answered.map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}

fn forget_here(place: &Place, id: Id) -> Result<Value, Failure> {
    let (mut forgotten, mut store) = open_both(place)?;
    let database = |error: StoreError| Failure::new(format!("could not write to the database: {error}"));
    let before = store.stored(id).map_err(database)?;
    forgotten
        .add(id)
        .map_err(|error| Failure::new(format!("could not add the id to the list of forgotten ids: {error}")))?;
    store.apply(&[Entry::Forget { id, at: Moment::now() }], None).map_err(database)?;
    let after = store.stored(id).map_err(database)?;
    Ok(json!({
        "forgotten": after.bodies.is_empty() && after.opted_out.is_none(),
        "deleted_reports": before.bodies.len(),
        "left": after.bodies.len(),
    }))
}

pub(super) fn purge(place: &Place, keep_days: u16) -> Outcome {
    let (_, mut store) = open_both(place)?;
    let before = Day::of(Moment::now()).minus(keep_days);
    let deleted =
        store.purge(before).map_err(|error| Failure::new(format!("could not write to the database: {error}")))?;
    say(&format!("Deleted {deleted} reports from before {before}."))?;
    Ok(ExitCode::SUCCESS)
}
