//! The main thread: carries out the driver's orders and forwards clicks to it.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use tao::event::{Event, StartCause};
use tao::event_loop::{ControlFlow, EventLoop, EventLoopBuilder, EventLoopProxy};
use tokio::sync::mpsc::{Receiver, Sender};

use super::drive::{self, Input, Order, Setting, Where};
use super::menu::Command;
use super::model::Model;
use super::render::Shown;
use super::start::{Opened, StartError, Started, WITHOUT_DISPLAY, prepare};
use super::status_window::StatusWindow;
use super::view::View;
use super::world::say;
use super::{autostart, await_signal, display, first_run, host, message, session, single_instance, supervisor};
use crate::contract::names;

/// Capacity of the driver's input queue. When it is full, the core's event stream waits.
const WAITING_INPUTS: usize = 256;

/// Runs until the tray quits. The process ends with the loop.
pub(super) fn run_loop(mut opened: Opened) -> Result<Started, StartError> {
    let (inputs, receiver) = tokio::sync::mpsc::channel(WAITING_INPUTS);
    let post = {
        let inputs = inputs.clone();
        move |input| {
            // Drops a click if 256 inputs are waiting: a frozen icon would be worse.
            let _ = inputs.try_send(input);
        }
    };
    display::open_display().map_err(|error| StartError {
        sentence: format!("{error}; {WITHOUT_DISPLAY}"),
        has_display: false,
    })?;
    // Must come first: the first event decides whether muda uses a handler.
    muda::MenuEvent::set_event_handler(Some({
        let post = post.clone();
        move |event: muda::MenuEvent| {
            if let Some(command) = Command::from_id(event.id().as_ref()) {
                post(Input::Chosen(command, Where::Menu));
            }
        }
    }));
    // Ignores clicks on the icon itself, because desktops report them differently.
    tray_icon::TrayIconEvent::set_event_handler(Some(|_| {}));

    let event_loop: EventLoop<FromDriver> = EventLoopBuilder::with_user_event().build();
    #[cfg(target_os = "macos")]
    let event_loop = {
        use tao::platform::macos::{ActivationPolicy, EventLoopExtMacOS};
        let mut event_loop = event_loop;
        event_loop.set_activation_policy(ActivationPolicy::Accessory);
        // A start at login must not take the keyboard focus from another program.
        event_loop.set_activate_ignoring_other_apps(false);
        event_loop
    };
    let proxy = event_loop.create_proxy();
    let (done, driver_done) = mpsc::channel();
    let mut to_begin = Some((receiver, done));
    let mut shown: Option<Shown> = None;
    let mut watches = None;
    let mut status_window = Some(StatusWindow::new({
        let post = post.clone();
        move |command| post(Input::Chosen(command, Where::StatusWindow))
    }));
    let mut current = None;
    let mut successor = None;
    let mut leaving = false;
    event_loop.run(move |event, _, flow| {
        *flow = ControlFlow::Wait;
        match event {
            Event::NewEvents(StartCause::Init) => {
                let Some((receiver, done)) = to_begin.take() else { return };
                let begun = prepare(&opened).and_then(|(setting, model, question)| {
                    let (view, autostart) = (View::of(&model), setting.autostart.clone());
                    start_driver(setting, model, (inputs.clone(), receiver), proxy.clone(), done)?;
                    Ok((view, autostart, question))
                });
                let (view, autostart, question) = match begun {
                    Ok(begun) => begun,
                    Err(sentence) => {
                        say(&sentence);
                        if !opened.by_the_system {
                            message::tell_in_a_window(&format!("MCPProxy could not start: {sentence}"));
                        }
                        leaving = true;
                        *flow = ControlFlow::ExitWithCode(1);
                        return;
                    }
                };
                current = Some(view.clone());
                build(&mut shown, view, &inputs);
                host::watch({
                    let post = post.clone();
                    move |seen| post(Input::HostSeen(seen))
                });
                let entry = autostart::watch::watch_entry(&autostart, {
                    let post = post.clone();
                    move || post(Input::AutostartChanged)
                });
                let session = session::watch_session({
                    let post = post.clone();
                    move || post(Input::Happened(supervisor::Event::Woke))
                });
                watches = Some((entry, session));
                if let Some(question) = question {
                    let post = post.clone();
                    first_run::window::ask(question, move |answer| post(Input::Answered(answer)));
                }
            }
            #[cfg(target_os = "macos")]
            Event::Reopen { .. } => {
                tracing::info!("the application was opened once more");
                if let (Some(window), Some(view)) = (&mut status_window, &current) {
                    window.present(view, shown.as_ref());
                }
            }
            Event::UserEvent(FromDriver(order)) => match order {
                Order::Show(view) => {
                    current = Some(view.clone());
                    if let Some(window) = &mut status_window {
                        window.follow(&view);
                    }
                    if let Some(shown) = &mut shown
                        && let Err(error) = shown.show(view)
                    {
                        tracing::warn!("could not update the tray icon: {error}");
                    }
                }
                Order::Untick(command) => {
                    if let Some(shown) = &mut shown {
                        shown.ticked_by_itself(&command);
                    }
                }
                Order::BuildIcon(view) => {
                    current = Some(view.clone());
                    if shown.is_none() {
                        build(&mut shown, view, &inputs);
                    }
                }
                Order::Ask(decision) => {
                    let post = post.clone();
                    message::show(&decision.message(), move || post(Input::Decided(decision)));
                }
                Order::AskNext(step, setup) => {
                    let post = post.clone();
                    first_run::window::ask_next(&step, move |choice| post(Input::NextChosen(choice, setup)));
                }
                Order::Tell(message) => message::show(&message, || {}),
                Order::ShowStatus => {
                    if let (Some(window), Some(view)) = (&mut status_window, &current) {
                        window.present(view, shown.as_ref());
                    }
                }
                Order::Leave { relaunch } => {
                    leaving = true;
                    successor = relaunch;
                    *flow = ControlFlow::Exit;
                }
            },
            Event::LoopDestroyed => {
                if !leaving {
                    // The session ends in a few seconds: stop our core before the system kills it.
                    post(Input::Asked(supervisor::Ask::SessionEnds));
                }
                // The driver first ends processes it waits for, such as a shell that hangs.
                let _ = driver_done.recv_timeout(Duration::from_secs(2));
                shown = None;
                status_window = None;
                drop(watches.take());
                tracing::info!("{} ends", names::TRAY_PROGRAM);
                // Only now may another tray use this data directory.
                drop(opened.lock.take());
                if let Some(program) = successor.take() {
                    relaunch(&program);
                }
            }
            _ => {}
        }
    })
}

/// An order that travels through the event loop.
#[derive(Debug)]
struct FromDriver(Order);

/// Starts the driver thread. Sends to `done` when it has ended.
fn start_driver(
    setting: Setting,
    model: Model,
    inputs: (Sender<Input>, Receiver<Input>),
    proxy: EventLoopProxy<FromDriver>,
    done: mpsc::Sender<()>,
) -> Result<(), String> {
    let drive = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async move {
                let signalled = inputs.0.clone();
                tokio::spawn(async move {
                    await_signal::await_signal().await;
                    let _ = signalled.send(Input::Asked(supervisor::Ask::SessionEnds)).await;
                });
                let requested = inputs.0.clone();
                tokio::spawn(single_instance::listen(setting.single_instance.clone(), move |request| {
                    let inputs = requested.clone();
                    async move { inputs.send(Input::InstanceRequested(request)).await.is_ok() }
                }));
                let orders = move |order| {
                    // Without an event loop no order can be carried out.
                    let _ = proxy.send_event(FromDriver(order));
                };
                drive::drive(setting, model, inputs, orders).await;
            }),
            Err(error) => tracing::error!("could not run the driver thread: {error}"),
        }
        let _ = done.send(());
    };
    let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(drive);
    thread.map(drop).map_err(|error| format!("could not start a thread: {error}"))
}

fn build(shown: &mut Option<Shown>, view: View, inputs: &Sender<Input>) {
    let input = match Shown::build(view) {
        Ok(built) => {
            *shown = Some(built);
            Input::IconBuilt
        }
        Err(error) => Input::IconFailed(error),
    };
    let _ = inputs.try_send(input);
}

/// Starts the new version of this program.
fn relaunch(program: &Path) {
    let mut command = std::process::Command::new(program);
    command.env_remove(names::ENV_LAUNCHED_BY);
    if let Err(error) = command.spawn() {
        tracing::error!("could not start `{}`: {error}", program.display());
    }
}
