//! Handles the desktop: the first-run answer, launch at login, and the icon's place in the panel.

use std::time::Duration;

use super::Driver;
use super::input::{Input, Order};
use crate::contract::launch::TrayStart;
use crate::contract::setup::Seen;
use crate::tray::autostart::{Move, on_click, write_sidecar};
use crate::tray::first_run::{self, Answer};
use crate::tray::world::say;
use crate::tray::{host, write_state};

/// How long a desktop may take to show its panel.
const PATIENCE_FOR_HOST: Duration = Duration::from_secs(10);

impl Driver {
    pub(super) fn answered(&mut self, answer: Answer) {
        tracing::info!("first-run window: {answer:?}");
        let preferences = &mut self.setting.preferences;
        preferences.first_run = first_run::answered(preferences.first_run.clone(), answer);
        // Stores the answer first: an answer that was not stored would be asked for again and must not take effect.
        let done = write_state::preferences(&self.setting.root, preferences).and_then(|()| {
            let system = &self.setting.autostart;
            match (answer, answer.click()) {
                (Answer::Continue { ticked: true }, Some(click)) => system.enable(click).map(drop),
                // If launch at login is already off, leaves it as it is.
                (Answer::Continue { ticked: false }, Some(click)) if on_click(&system.status()) == Move::Disable => {
                    system.disable(click).map(drop)
                }
                _ => Ok(()),
            }
        });
        self.tell_autostart();
        self.tell_notice();
        self.take(Input::Done(done));
        if matches!(answer, Answer::Continue { .. }) {
            self.next_step = Some(Seen::default());
            self.ask_setup();
        }
    }

    /// Reads the state of launch at login and passes it to the menu and the core.
    pub(super) fn tell_autostart(&mut self) {
        self.model.autostart = self.setting.autostart.status();
        let root = &self.setting.root;
        if let Err(error) = write_sidecar(root, &self.model.autostart, crate::os::clock::now()) {
            self.take(Input::Done(Err(format!("could not write `{}`: {error}", root.sidecar().display()))));
        }
    }

    /// Our own writes also trigger this, so only a different state counts.
    pub(super) fn autostart_changed(&mut self) {
        if self.setting.autostart.status() != self.model.autostart {
            tracing::info!("launch at login changed in the system's settings");
            self.tell_autostart();
        }
    }

    pub(super) fn icon_failed(&mut self, error: &str) {
        if self.icon_tries == 0 {
            let message = format!(
                "could not show the tray icon yet ({error}); on Linux this needs a session bus. MCPProxy runs without \
                 it, and tries again"
            );
            tracing::warn!("{message}");
            say(&message);
        }
        let pause = Duration::from_secs(1 << self.icon_tries.min(6)).min(Duration::from_secs(60));
        self.icon_tries = self.icon_tries.saturating_add(1);
        self.later(pause, Input::IconDue);
    }

    pub(super) fn host_seen(&mut self, seen: bool) {
        self.host_is_there = seen;
        self.model.host_missing &= !seen;
        if !seen {
            // At login the panel may start after MCPProxy.
            self.later(PATIENCE_FOR_HOST, Input::HostDue);
        }
    }

    pub(super) fn host_due(&mut self) {
        if self.host_is_there || std::mem::replace(&mut self.host_missing_told, true) {
            return;
        }
        tracing::warn!("{}", host::MISSING);
        say(host::MISSING);
        self.model.host_missing = true;
        // A user who started MCPProxy by hand expects an icon. Shows the status window instead, once.
        let preferences = &mut self.setting.preferences;
        if self.setting.start != TrayStart::Login && !preferences.told_no_tray_host {
            preferences.told_no_tray_host = true;
            if let Err(error) = write_state::preferences(&self.setting.root, preferences) {
                tracing::warn!("{error}");
            }
            (self.orders)(Order::ShowStatus);
        }
    }
}
