//! Each end is killed in the middle; the values are the same.

use std::ops::Range;

use anyhow::Result;

use super::ours::FIXTURE_2_0;
use super::ours::expect_no_gaps;
use super::rig::CROSSING_TIME_MAX;
use super::rig::Rig;
use super::rig::Role;
use super::rig::Route;
use super::rig::Shown;
use super::rig::files_sent;
use super::rig::sealed_files;
use super::rig::wait_all_sent;
use super::stock;
use crate::harness::Daemon;
use crate::harness::ReceiverSetup;
use crate::harness::SenderSetup;
use crate::harness::SourceDirs;
use crate::harness::poll;

/// Files after which something is killed; the fixture has some fifty.
const KILLS: [usize; 3] = [8, 20, 32];

/// Our sender is killed three times on its way to an IoTDB.
pub(super) fn sender_killed(rig: &mut Rig) -> Result<Shown> {
    let (name, databases) = FIXTURE_2_0;
    let target = rig.server(Role::Target)?.air_gap;
    let (_gateway, to) = rig.gateway(Route::SLOW, target)?;
    let source = SourceDirs::fixture(name);
    let n_all = sealed_files(&source)?.len();
    let setup = rig.sender(&source, Route::SLOW, to, &[])?;
    let mut sender = setup.start()?;
    for n_files in KILLS {
        wait_sent(&setup, &mut sender, n_files..n_all)?;
        sender.kill9()?;
        sender = setup.start()?;
    }
    wait_all_sent(&setup, &mut sender, &source)?;
    expect_no_gaps(&setup)?;
    let n_points = rig.target_must_have(name, databases)?;
    Ok(Shown { compared: format!("{} = answers of {name}", databases.join(", ")), n_points })
}

/// The IoTDB that receives is killed and comes back.
pub(super) fn target_killed(rig: &mut Rig) -> Result<Shown> {
    let (name, databases) = FIXTURE_2_0;
    let target = rig.server(Role::Target)?.air_gap;
    let (_gateway, to) = rig.gateway(Route::SLOW, target)?;
    let source = SourceDirs::fixture(name);
    let n_all = sealed_files(&source)?.len();
    let setup = rig.sender(&source, Route::SLOW, to, &[])?;
    let mut sender = setup.start()?;
    wait_sent(&setup, &mut sender, KILLS[1]..n_all)?;
    rig.kill_and_restart(Role::Target)?;
    wait_all_sent(&setup, &mut sender, &source)?;
    expect_no_gaps(&setup)?;
    let n_points = rig.target_must_have(name, databases)?;
    Ok(Shown { compared: format!("{} = answers of {name}", databases.join(", ")), n_points })
}

/// Our sender to our receiver, both killed several times; what arrived is loaded by `LOAD`.
pub(super) fn both_killed(rig: &mut Rig) -> Result<Shown> {
    let (name, databases) = FIXTURE_2_0;
    let receiver = ReceiverSetup::new(&rig.binaries, &rig.dir.join("receiver"), &[])?;
    let mut receiving = receiver.start()?;
    let (_gateway, to) = rig.gateway(Route::SLOW, receiver.address())?;
    let source = SourceDirs::fixture(name);
    let files = stock::fingerprints(&source, |_| true)?;
    let setup = rig.sender(&source, Route::SLOW, to, &[])?;
    let mut sender = setup.start()?;
    for (round, n_files) in KILLS.into_iter().enumerate() {
        stock::wait_arrivals(&receiver, &mut receiving, n_files..files.len())?;
        receiving.kill9()?;
        if round == 1 {
            sender.kill9()?;
            sender = setup.start()?;
        }
        receiving = receiver.start()?;
    }
    wait_all_sent(&setup, &mut sender, &source)?;
    stock::wait_all_arrived(&receiver, &mut receiving, &files)?;
    expect_no_gaps(&setup)?;
    sender.terminate()?;
    receiving.terminate()?;
    stock::load_into_target(rig, &receiver, "load")?;
    let n_points = rig.target_must_have(name, databases)?;
    let compared = format!("{} loaded back = answers of {name}", databases.join(", "));
    Ok(Shown { compared, n_points })
}

/// Waits for the moment at which so many files have been sent.
fn wait_sent(setup: &SenderSetup, daemon: &mut Daemon, middle: Range<usize>) -> Result<()> {
    poll(CROSSING_TIME_MAX, &format!("{} files to be sent", middle.start), || {
        daemon.ensure_running()?;
        stock::reached(usize::try_from(files_sent(setup)?)?, &middle)
    })
    .map_err(|error| daemon.with_log(&error))
}
