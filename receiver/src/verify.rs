//! Whether the stores of a receiver are what they say: every file against the catalog, and against
//! itself.

use core::fmt::Write;

use serde::Serialize;
use tidegate_daemon::text::plain;
use tidegate_store::Checked;
use tidegate_store::Look;

use crate::data::NO_CATALOG;
use crate::data::Place;

/// What was found in the store of one origin.
#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    origin: String,
    is_sound: bool,
    files: u64,
    devices: u64,
    points: u64,
    /// TsFiles that the catalog does not speak of.
    unknown_files: u64,
    findings: Vec<Finding>,
    /// How many more there are.
    more_findings: u64,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
struct Finding {
    file: String,
    what: String,
}

impl Verified {
    fn of(origin: String, checked: Checked) -> Self {
        let is_sound = checked.findings.is_empty();
        let finding = |(file, what)| Finding { file, what };
        Self {
            origin,
            is_sound,
            files: checked.n_files,
            devices: checked.n_devices,
            points: checked.n_points,
            unknown_files: checked.n_unknown,
            findings: checked.findings.into_iter().map(finding).collect(),
            more_findings: checked.n_more_findings,
        }
    }
}

impl Verified {
    fn without_catalog(origin: String) -> Self {
        let finding = Finding { file: String::from("catalog"), what: NO_CATALOG.to_owned() };
        let (is_sound, findings) = (false, vec![finding]);
        let (files, devices, points, unknown_files, more_findings) = (0, 0, 0, 0, 0);
        Self { origin, is_sound, files, devices, points, unknown_files, findings, more_findings }
    }
}

/// Reads all files of the stores; whether all are sound, and what to print.
pub(crate) fn run(place: &Place, as_json: bool) -> Result<(bool, String), String> {
    let mut all = Vec::new();
    for (origin, root) in place.roots()? {
        let checked = tidegate_store::check(&root);
        let checked = checked.map_err(|error| format!("{}: {error}", root.display()))?;
        match checked {
            Some(checked) => all.push(Verified::of(origin, checked)),
            None if Look::is_at(&root) => all.push(Verified::without_catalog(origin)),
            None => (),
        }
    }
    let is_sound = all.iter().all(|it| it.is_sound);
    let shown = match as_json {
        true => serde_json::to_string_pretty(&all).map_err(|error| error.to_string())? + "\n",
        false => render(&all),
    };
    Ok((is_sound, shown))
}

fn render(all: &[Verified]) -> String {
    let mut out = String::new();
    for it in all {
        let health = if it.is_sound { "sound" } else { "NOT SOUND" };
        let _ = writeln!(
            out,
            "{}: {} files, {} devices, {} points: {health}",
            plain(&it.origin),
            it.files,
            it.devices,
            it.points
        );
        if it.unknown_files > 0 {
            let _ = writeln!(out, "  {} files that the catalog does not name", it.unknown_files);
        }
        for Finding { file, what } in &it.findings {
            let _ = writeln!(out, "  {}: {}", plain(file), plain(what));
        }
        if it.more_findings > 0 {
            let _ = writeln!(out, "  and {} more", it.more_findings);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_printed_below_its_origin() {
        let verified = |findings: Vec<Finding>| Verified {
            origin: String::from("plant"),
            is_sound: findings.is_empty(),
            files: 2,
            devices: 3,
            points: 40,
            unknown_files: 1,
            more_findings: findings.len() as u64,
            findings,
        };
        let sound = render(&[verified(Vec::new())]);
        assert_eq!(
            sound,
            "plant: 2 files, 3 devices, 40 points: sound\n  1 files that the catalog does not name\n"
        );
        let finding = Finding { file: String::from("a.tsfile"), what: String::from("torn\u{1b}") };
        let unsound = render(&[verified(vec![finding])]);
        assert!(unsound.starts_with("plant: 2 files, 3 devices, 40 points: NOT SOUND\n"));
        assert!(unsound.contains("  a.tsfile: torn") && unsound.ends_with("  and 1 more\n"));
        assert!(!unsound.contains('\u{1b}'));
    }
}
