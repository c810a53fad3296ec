//! Makes, checks and restores backups.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::data::write_all;
use super::figures::open;
use super::outcome::{Failure, Outcome, say};
use crate::collector::audience::Audience;
use crate::collector::forgotten::Forgotten;
use crate::collector::journal;
use crate::collector::lines;
use crate::collector::place::{Place, StoreAddress};
use crate::collector::published;
use crate::collector::report::Moment;
use crate::collector::stats;
use crate::collector::store::sqlite::{SCHEMA, SqliteStore, form};
use crate::collector::store::{Entry, Store};
use crate::os::files;
use crate::os::lock::{Attempt, Lock};

/// The record next to a backup that was restored and counted.
#[derive(Debug, Serialize, Deserialize)]
struct Checked {
    at: Moment,
    revision: u64,
    reports: u64,
    installations: u64,
}

/// Maximum age, in milliseconds, of a backup for `migrate`.
const FRESH: i64 = 3_600_000;

fn mark_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".checked");
    PathBuf::from(name)
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("could not {what}: {error}"))
}

pub(super) fn backup(place: &Place, file: Option<PathBuf>) -> Outcome {
    let now = Moment::now();
    let file = match file {
        Some(file) => file,
        None => {
            let directory = place.backups();
            files::create_private_dir(&directory).map_err(|error| failed("make the directory of backups", &error))?;
            let time: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
            let ending = if matches!(place.store, StoreAddress::Sqlite(_)) { "db" } else { "jsonl" };
            directory.join(format!("collector-{time}.{ending}"))
        }
    };
    if file.exists() {
        return Err(
            Failure::new(format!("could not write `{}`: the file exists", file.display())).help("name another file")
        );
    }
    let mut store = open(place)?;
    let revision = store.revision().map_err(|error| failed("read the database", &error))?;
    write(place, store.as_mut(), &file)?;
    let mut checked = check(&file)?;
    let (reports, installations) = count(store.as_mut())?;
    if checked.reports < reports || checked.installations < installations {
        return Err(Failure::new(format!(
            "the backup has {} reports of {} installations, and the database {reports} of {installations}",
            checked.reports, checked.installations
        )));
    }
    checked.revision = revision;
    let text = serde_json::to_vec(&checked).map_err(|error| failed("write the check", &error))?;
    files::replace_private(&mark_of(&file), &text).map_err(|error| failed("write the check", &error))?;
    say(&format!(
        "Backed up, restored and checked: {} ({} reports, {} installations).",
        file.display(),
        checked.reports,
        checked.installations
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn write(place: &Place, store: &mut dyn Store, file: &Path) -> Result<(), Failure> {
    match &place.store {
        StoreAddress::Sqlite(path) => {
            let store = SqliteStore::open_for_reading(path).map_err(|error| failed("read the database", &error))?;
            // Creates the file with private permissions first.
            files::replace_private(file, b"").map_err(|error| failed("write the backup", &error))?;
            store.back_up(file).map_err(|error| failed("write the backup", &error))
        }
        StoreAddress::ClickHouse(_) => {
            files::replace_private(file, b"").map_err(|error| failed("write the backup", &error))?;
            let mut output =
                fs::File::options().append(true).open(file).map_err(|error| failed("write the backup", &error))?;
            write_all(store, &mut output).map_err(|error| failed("write the backup", &error))?;
            output.sync_all().map_err(|error| failed("write the backup", &error))
        }
    }
}

/// Number of distinct bodies and of installations.
fn count(store: &mut dyn Store) -> Result<(u64, u64), Failure> {
    let (mut reports, mut installations) = (0, 0);
    store
        .installations(None, &mut |installation| {
            reports += u64::from(installation.bodies);
            installations += 1;
        })
        .map_err(|error| failed("read the database", &error))?;
    Ok((reports, installations))
}

/// Restores a backup into a temporary directory and counts it there.
fn check(file: &Path) -> Result<Checked, Failure> {
    let directory = tempfile::tempdir().map_err(|error| failed("make a temporary directory", &error))?;
    let copy = directory.path().join("restored.db");
    let mut store = restored(file, &copy)?;
    let inventory = store.inventory().map_err(|error| failed("check the backup", &error))?;
    let (right, wrong) = store.verify().map_err(|error| failed("check the backup", &error))?;
    if wrong > 0 {
        return Err(Failure::new(format!("{wrong} summaries in the backup are wrong, {right} are correct")));
    }
    Ok(Checked {
        at: Moment::now(),
        revision: 0,
        reports: inventory.bodies,
        installations: inventory.installations,
    })
}

/// Opens a copy of a backup: a SQLite file, or lines as written by `export`.
fn restored(file: &Path, copy: &Path) -> Result<SqliteStore, Failure> {
    let open = |error| failed("open the backup", &error);
    if file.extension().is_some_and(|ending| ending == "jsonl") {
        let mut store = SqliteStore::open(copy, 64).map_err(open)?;
        let input = fs::File::open(file).map_err(|error| failed("read the backup", &error))?;
        let mut batch = Vec::new();
        for line in BufReader::new(input).lines() {
            let line = line.map_err(|error| failed("read the backup", &error))?;
            batch.push(lines::read(&line).map_err(|error| failed("read the backup", &error))?);
            if batch.len() >= 20_000 {
                store.apply(&batch, None).map_err(open)?;
                batch.clear();
            }
        }
        store.apply(&batch, None).map_err(open)?;
        return Ok(store);
    }
    if !file.is_file() {
        return Err(Failure::new(format!("could not read `{}`: there is no such file", file.display())));
    }
    fs::copy(file, copy).map_err(|error| failed("copy the backup", &error))?;
    SqliteStore::open(copy, 64).map_err(open)
}

pub(super) fn restore(place: &Place, file: &Path, only_check: bool) -> Outcome {
    let checked = check(file)?;
    let mark = files::read_bounded(&mark_of(file), 4096).ok();
    if let Some(then) = mark.and_then(|bytes| serde_json::from_slice::<Checked>(&bytes).ok())
        && (then.reports, then.installations) != (checked.reports, checked.installations)
    {
        return Err(Failure::new(format!(
            "the backup has {} reports of {} installations, and had {} of {} when it was made",
            checked.reports, checked.installations, then.reports, then.installations
        )));
    }
    if only_check {
        say(&format!("The backup is sound: {} reports of {} installations.", checked.reports, checked.installations))?;
        return Ok(ExitCode::SUCCESS);
    }
    let StoreAddress::Sqlite(path) = &place.store else {
        return Err(Failure::new("could not restore into ClickHouse: a backup can only replace a SQLite file")
            .help("use `mcpproxy-collector replay FILE`, with an empty database"));
    };
    place.create().map_err(|error| failed("use the data directory", &error))?;
    let _lock = alone(place)?;
    let forgotten = Forgotten::open(&place.directory).map_err(|error| failed("read the forgotten ids", &error))?;
    let next = place.directory.join("restoring.db");
    remove(&next)?;
    let mut store = restored(file, &next)?;
    let mut back = Vec::new();
    let at = Moment::now();
    store
        .ids(&mut |id| back.extend(forgotten.contains(id).then_some(Entry::Forget { id, at })))
        .map_err(|error| failed("read the backup", &error))?;
    store.apply(&back, None).map_err(|error| failed("delete forgotten ids", &error))?;
    store.close().map_err(|error| failed("write the database", &error))?;
    if path.exists() {
        let time: String = at.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
        let aside = path.with_extension(format!("before-restore-{time}.db"));
        // First writes the old database's log into its file.
        SqliteStore::open(path, 8)
            .and_then(SqliteStore::close)
            .map_err(|error| failed("close the old database", &error))?;
        fs::rename(path, &aside).map_err(|error| failed("move the old database", &error))?;
        say(&format!("The previous database is {}.", aside.display()))?;
    }
    fs::rename(&next, path).map_err(|error| failed("put the restored database in place", &error))?;
    say(&format!(
        "Restored {} reports of {} installations; {} forgotten ids were deleted again.",
        checked.reports,
        checked.installations,
        back.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove an old copy", &error)),
        _ => Ok(()),
    }
}

fn alone(place: &Place) -> Result<Lock, Failure> {
    match Lock::attempt(&place.directory.join("lock")) {
        Ok(Attempt::Held(lock)) => Ok(lock),
        Ok(Attempt::Taken { .. }) => {
            Err(Failure::new("could not change the database: the collector is running").help("stop it first"))
        }
        Err(error) => Err(failed("lock the data directory", &error)),
    }
}

pub(super) fn migrate(place: &Place) -> Outcome {
    let StoreAddress::Sqlite(path) = &place.store else {
        open(place)?;
        say("ClickHouse: the tables exist. Back it up with its own tools, or with `mcpproxy-collector export`.")?;
        return Ok(ExitCode::SUCCESS);
    };
    let _lock = alone(place)?;
    let form = form(path).map_err(|error| failed("read the database", &error))?;
    let (file, checked) = fresh_backup(place)?;
    let now = check(&file)?;
    if (now.reports, now.installations) != (checked.reports, checked.installations) {
        return Err(Failure::new(format!("the backup `{}` changed since it was checked", file.display()))
            .help("make a new one: `mcpproxy-collector backup`"));
    }
    if form > SCHEMA {
        return Err(Failure::new(format!("the database has schema version {form}, which is newer than this program"))
            .help("use the version of the collector that wrote it"));
    }
    say(&format!(
        "The database has schema version {form}, the latest. Nothing was changed. Backup: {}",
        file.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The newest checked backup, if it is recent and the database has not changed since.
fn fresh_backup(place: &Place) -> Result<(PathBuf, Checked), Failure> {
    let help = "run `mcpproxy-collector backup` first";
    let refuse = |why: &str| Failure::new(format!("could not migrate: {why}")).help(help);
    let entries = fs::read_dir(place.backups()).map_err(|_| refuse("there is no backup"))?;
    let mut newest: Option<(PathBuf, Checked)> = None;
    for entry in entries.flatten() {
        let path = entry.path();
        let mark = files::read_bounded(&mark_of(&path), 4096).ok();
        let checked = mark.and_then(|bytes| serde_json::from_slice::<Checked>(&bytes).ok());
        if let Some(checked) = checked
            && newest.as_ref().is_none_or(|(_, other)| other.at < checked.at)
        {
            newest = Some((path, checked));
        }
    }
    let (file, checked) = newest.ok_or_else(|| refuse("there is no checked backup"))?;
    if Moment::now().0 - checked.at.0 > FRESH {
        return Err(refuse("the newest checked backup is older than an hour"));
    }
    let revision = open(place)?.revision().map_err(|error| failed("read the database", &error))?;
    if revision != checked.revision {
        return Err(refuse("the database changed since the newest checked backup"));
    }
    Ok((file, checked))
}

pub(super) fn verify(place: &Place) -> Outcome {
    let mut wrong_all = 0;
    if let StoreAddress::Sqlite(path) = &place.store {
        let mut store = SqliteStore::open_for_reading(path).map_err(|error| failed("read the database", &error))?;
        store.inventory().map_err(|error| failed("check the database", &error))?;
        let (right, wrong) = store.verify().map_err(|error| failed("check the database", &error))?;
        say(&format!("Summaries: {right} correct, {wrong} wrong."))?;
        wrong_all += wrong;
    }
    let mut store = open(place)?;
    let stats = stats::take(store.as_mut(), None).map_err(|error| failed("read the database", &error))?;
    let mut census = stats.census.empty();
    store
        .installations(Some(stats.census.span().1), &mut |installation| census.add(installation))
        .map_err(|error| failed("read the database", &error))?;
    let different =
        Audience::all().into_iter().filter(|audience| stats.census.figures(*audience) != census.figures(*audience));
    let different = different.count() as u64;
    say(&format!("Figures recomputed from the reports: {different} audiences differ."))?;
    wrong_all += different;
    let (documents, broken) =
        published::verify(&place.public()).map_err(|error| failed("read the published figures", &error))?;
    say(&format!("Published figures: {documents}, of which {broken} are unsigned or do not match the previous one."))?;
    wrong_all += u64::from(broken);
    Ok(if wrong_all == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn doctor(place: &Place) -> Outcome {
    let mut findings: Vec<(bool, String)> = Vec::new();
    let running = matches!(Lock::attempt(&place.directory.join("lock")), Ok(Attempt::Taken { .. }));
    findings.push((
        running,
        if running {
            "The collector is running.".into()
        } else {
            "The collector is not running: `mcpproxy-collector serve`".into()
        },
    ));
    match place.open_for_reading() {
        Err(error) => findings.push((false, format!("Could not open the database: {error}"))),
        Ok(mut store) => {
            let ledger = store.ledger().map_err(|error| failed("read the database", &error))?;
            let age = ledger.latest.map(|latest| (Moment::now().0 - latest.0) / 3_600_000);
            findings.push(match age {
                None => (false, "No report has arrived yet.".to_owned()),
                Some(hours) => (hours < 24, format!("The last report arrived {hours} h ago.")),
            });
            let position = store.position().map_err(|error| failed("read the database", &error))?.unwrap_or_default();
            let waiting = journal::backlog(&place.journal(), position).unwrap_or(0);
            findings.push((waiting < 64 << 20, format!("{waiting} bytes of the journal wait for the database.")));
        }
    }
    let newest = fs::read_dir(place.backups()).ok().and_then(|entries| {
        entries.flatten().filter_map(|entry| entry.metadata().ok()?.modified().ok()?.elapsed().ok()).min()
    });
    findings.push(match newest {
        None => (false, "There is no backup: `mcpproxy-collector backup`".to_owned()),
        Some(age) => (age.as_secs() < 8 * 86_400, format!("The newest backup is {} days old.", age.as_secs() / 86_400)),
    });
    if let Ok(forgotten) = Forgotten::open(&place.directory) {
        findings.push((true, format!("{} ids are forgotten.", forgotten.len())));
    }
    for (good, text) in &findings {
        say(&format!("{} {text}", if *good { "ok  " } else { "WARN" }))?;
    }
    let all_good = findings.iter().all(|(good, _)| *good);
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
