//! A driver on a fake desktop, which records all requests to the core, the system and the main thread in order.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::Client;
use crate::contract::endpoint::LocalAddress;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::TrayStart;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::os::environment::Environment;
use crate::tray::autostart::Autostart;
use crate::tray::drive::system::{Exit, StartedCore, System};
use crate::tray::drive::{Input, Order, Setting, Where, drive};
use crate::tray::menu::Command;
use crate::tray::model::Model;
use crate::tray::preferences::Preferences;
use crate::tray::start_core::CoreStart;
use crate::tray::supervisor::Failure;
use crate::tray::view::View;
use crate::tray::write_journal::Journal;

/// The process id of the first core that the tray starts.
pub const FIRST_PID: u32 = 7001;

/// The recorded requests, in order.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }
}

/// The core at the other end of the client.
pub struct FakeCore {
    record: Record,
    state: Mutex<CoreState>,
}

struct CoreState {
    running: bool,
    pid: u32,
    launched_by: &'static str,
    version: String,
    /// Answers by `METHOD path`, other than an empty object.
    answers: BTreeMap<String, (u16, Value)>,
    /// The answer to `GET /ready`.
    ready: (u16, Value),
    /// This is a Go core, which answers 404 to what it does not have.
    is_go: bool,
    /// How often each `METHOD path` was requested.
    requests: BTreeMap<String, usize>,
    events: Option<mpsc::Sender<Bytes>>,
}

impl FakeCore {
    fn connect(self: &Arc<FakeCore>) -> io::Result<tokio::io::DuplexStream> {
        if !self.state.lock().unwrap().running {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = tokio::io::duplex(1 << 16);
        let core = self.clone();
        tokio::spawn(async move {
            let serve = service_fn(move |request: Request<Incoming>| {
                let core = core.clone();
                async move { Ok::<_, Infallible>(core.answer(request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), serve).await;
        });
        Ok(near)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        let call = format!("{} {}", request.method(), request.uri().path());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        match call.as_str() {
            "GET /ready" => {
                let (code, body) = self.state.lock().unwrap().ready.clone();
                return response(code, &body);
            }
            "GET /events" => return self.open_events(),
            _ => {}
        }
        let is_change = !call.starts_with("GET");
        if is_change {
            self.record.add(format!("{call} {}", String::from_utf8_lossy(&body)).trim_end());
        }
        let mut state = self.state.lock().unwrap();
        *state.requests.entry(call.clone()).or_default() += 1;
        match state.answers.get(&call) {
            Some((200, data)) => response(200, &json!({"success": true, "data": data})),
            Some((code, data)) if data.is_object() => {
                response(*code, &json!({"success": false, "error": "refused", "data": data}))
            }
            Some((code, message)) => response(*code, &json!({"success": false, "error": message})),
            None if call == "GET /api/v1/info" => response(200, &json!({"success": true, "data": state.info()})),
            None if call == "GET /api/v1/connect" => response(200, &json!({"success": true, "data": []})),
            None if state.is_go => response(404, &json!("404 page not found")),
            None => response(200, &json!({"success": true, "data": {}})),
        }
    }

    fn open_events(&self) -> Response<BoxBody<Bytes, Infallible>> {
        self.record.add("follow");
        let (sender, receiver) = mpsc::channel(16);
        self.state.lock().unwrap().events = Some(sender);
        let frames = ReceiverStream::new(receiver).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        Response::new(BodyExt::boxed(StreamBody::new(frames)))
    }
}

impl CoreState {
    fn info(&self) -> Value {
        json!({
            "pid": self.pid, "launched_by": self.launched_by, "version": self.version,
            "implementation": names::IMPLEMENTATION, "can_shut_down": true, "listen_addr": "127.0.0.1:8080",
        })
    }
}

fn response(code: u16, body: &Value) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// The operating system that the driver sees.
struct FakeSystem {
    record: Record,
    core: Arc<FakeCore>,
    state: Mutex<SystemState>,
}

#[derive(Default)]
struct SystemState {
    /// How the next starts end; without an entry a core starts and serves.
    starts: VecDeque<Failure>,
    exits: BTreeMap<u32, oneshot::Sender<Exit>>,
    started: u32,
    /// Processes that are not children of this tray.
    strangers: Vec<u32>,
}

impl System for FakeSystem {
    fn start_core(&self, start: &CoreStart<'_>) -> Result<StartedCore, Failure> {
        self.record.add(match start.listen {
            Some(address) => format!("start core at {address}"),
            None => "start core".to_owned(),
        });
        let mut state = self.state.lock().unwrap();
        if let Some(failure) = state.starts.pop_front() {
            return Err(failure);
        }
        let pid = FIRST_PID + state.started;
        state.started += 1;
        let (ended, end) = oneshot::channel();
        state.exits.insert(pid, ended);
        let mut core = self.core.state.lock().unwrap();
        core.running = true;
        core.pid = pid;
        core.launched_by = "tray";
        "1.2.3".clone_into(&mut core.version);
        Ok(StartedCore {
            pid,
            exit: Box::pin(async move { end.await.unwrap() }),
        })
    }

    fn is_running(&self, pid: u32) -> bool {
        self.state.lock().unwrap().strangers.contains(&pid)
    }

    fn ask_to_end(&self, pid: u32) {
        self.record.add(format!("terminate {pid}"));
    }

    fn kill_tree(&self, pid: u32) {
        self.record.add(format!("kill {pid}"));
    }

    fn open(&self, target: &OsStr) -> io::Result<()> {
        let name = Path::new(target).file_name().unwrap_or(target);
        self.record.add(format!("open {}", name.to_string_lossy()));
        Ok(())
    }

    fn open_page(&self, url: &str) -> io::Result<()> {
        self.record.add(format!("browse {url}"));
        Ok(())
    }

    fn open_login_settings(&self) -> io::Result<()> {
        self.record.add("open login settings");
        Ok(())
    }

    fn copy(&self, text: String) -> Result<(), String> {
        self.record.add(format!("copy {text}"));
        Ok(())
    }
}

/// A running driver and everything around it.
pub struct Desk {
    pub root: InstanceRoot,
    record: Record,
    core: Arc<FakeCore>,
    system: Arc<FakeSystem>,
    inputs: mpsc::Sender<Input>,
    views: Arc<Mutex<Vec<(Instant, View)>>>,
    _directory: tempfile::TempDir,
}

impl Desk {
    /// Starts a driver on a computer without a core. `change` adjusts its settings.
    pub async fn without_core(change: impl FnOnce(&mut Setting)) -> Desk {
        Desk::prepare().run(change).await
    }

    /// Starts a driver next to a running core that `launched_by` started.
    pub async fn with_core(launched_by: &'static str) -> Desk {
        let desk = Desk::prepare();
        {
            let mut core = desk.core.state.lock().unwrap();
            core.running = true;
            core.launched_by = launched_by;
        }
        desk.run(|_| {}).await
    }

    /// Starts a driver next to the older core of an earlier tray.
    pub async fn with_older_core(version: &str) -> Desk {
        let desk = Desk::prepare();
        {
            let mut core = desk.core.state.lock().unwrap();
            core.running = true;
            core.launched_by = "tray";
            version.clone_into(&mut core.version);
            desk.system.state.lock().unwrap().strangers.push(core.pid);
        }
        desk.run(|_| {}).await
    }

    /// Starts a driver next to a program that answers, but not like a core.
    pub async fn with_strange_core() -> Desk {
        let desk = Desk::prepare();
        desk.answers_ready(200, json!("nonsense"));
        desk.core.state.lock().unwrap().running = true;
        desk.run(|_| {}).await
    }

    /// Starts a driver next to a running Go core, which gives these answers by `METHOD path`.
    pub async fn with_go_core(answers: BTreeMap<String, (u16, Value)>) -> Desk {
        let desk = Desk::prepare();
        {
            let mut core = desk.core.state.lock().unwrap();
            core.running = true;
            core.is_go = true;
            core.answers = answers;
            let pid = core.pid;
            if let Some((_, info)) = core.answers.get_mut("GET /api/v1/info") {
                info["pid"] = json!(pid);
                info["launched_by"] = json!("");
            }
        }
        desk.run(|_| {}).await
    }

    /// Starts a driver that has started its own core, which serves.
    pub async fn with_own_core() -> Desk {
        let desk = Desk::without_core(|_| {}).await;
        assert_eq!(desk.taken(), ["start core", "follow"]);
        desk
    }

    fn prepare() -> Desk {
        let directory = tempfile::tempdir().unwrap();
        let root = InstanceRoot::resolve(directory.path(), None);
        for folder in [root.path(), &root.logs()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let record = Record::default();
        let core = Arc::new(FakeCore {
            record: record.clone(),
            state: Mutex::new(CoreState {
                running: false,
                pid: 42,
                launched_by: "",
                version: "1.2.3".to_owned(),
                answers: BTreeMap::new(),
                ready: (200, json!({"ready": true})),
                is_go: false,
                requests: BTreeMap::new(),
                events: None,
            }),
        });
        let system = Arc::new(FakeSystem {
            record: record.clone(),
            core: core.clone(),
            state: Mutex::default(),
        });
        Desk {
            root,
            record,
            core,
            system,
            // Replaced by `run`.
            inputs: mpsc::channel(1).0,
            views: Arc::default(),
            _directory: directory,
        }
    }

    async fn run(mut self, change: impl FnOnce(&mut Setting)) -> Desk {
        let home = self.root.path().parent().unwrap().to_path_buf();
        let autostart = Autostart::of_this_program(&Environment::default(), &home).unwrap();
        let model = Model::new("1.2.3", autostart.status());
        let core = self.core.clone();
        let mut setting = Setting {
            root: self.root.clone(),
            home,
            start: TrayStart::Login,
            may_start: true,
            places: vec![PathBuf::from("mcpproxy")],
            bundled: semver::Version::parse("1.2.3").ok(),
            listen: None,
            listen_is_named: false,
            program: None,
            path: Vec::new(),
            shell: None,
            single_instance: LocalAddress::of_tray(Platform::HOST, &self.root, "test"),
            client: Client::in_memory(move || core.connect(), "tray"),
            system: self.system.clone(),
            autostart,
            preferences: Preferences::default(),
            journal: Journal::open(&self.root),
        };
        change(&mut setting);
        let (sender, receiver) = mpsc::channel(256);
        self.inputs = sender.clone();
        let (record, views) = (self.record.clone(), self.views.clone());
        let orders = move |order| match order {
            Order::Show(view) => views.lock().unwrap().push((Instant::now(), view)),
            Order::BuildIcon(_) => record.add("build icon"),
            Order::Untick(command) => record.add(format!("untick {}", command.id())),
            Order::Ask(decision) => record.add(format!("ask {}", decision.message().title)),
            Order::AskNext(step, _) => record.add(format!("ask next {:?}", step.connect)),
            Order::Tell(message) => record.add(format!("tell {}", message.title)),
            Order::ShowStatus => record.add("show status window"),
            Order::Leave { .. } => record.add("leave"),
        };
        tokio::spawn(drive(setting, model, (sender, receiver), orders));
        self.settle().await;
        self
    }

    /// Lets the driver finish everything that needs no more than 300 ms.
    pub async fn settle(&self) {
        self.pass(Duration::from_millis(300)).await;
    }

    /// Lets time pass. The clock is paused, so this takes no real time.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub async fn send(&self, input: Input) {
        self.inputs.send(input).await.unwrap();
        self.settle().await;
    }

    /// The user chooses an item of the icon's menu.
    pub async fn choose(&self, command: Command) {
        self.send(Input::Chosen(command, Where::Menu)).await;
    }

    /// The requests of the driver since the last call.
    pub fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.record.0.lock().unwrap())
    }

    /// Sets the answer to a call such as `GET /api/v1/servers`.
    pub fn answers(&self, call: &str, code: u16, data: Value) {
        self.core.state.lock().unwrap().answers.insert(call.to_owned(), (code, data));
    }

    /// How often a call such as `GET /api/v1/servers` was made.
    pub fn requests(&self, call: &str) -> usize {
        self.core.state.lock().unwrap().requests.get(call).copied().unwrap_or_default()
    }

    /// The core sends an event.
    pub async fn event(&self, name: &str, payload: &Value) {
        let events = self.core.state.lock().unwrap().events.clone().unwrap();
        let data = json!({"payload": payload, "timestamp": 0});
        events.send(Bytes::from(format!("event: {name}\ndata: {data}\n\n"))).await.unwrap();
        self.settle().await;
    }

    /// The core sends an event without the usual envelope.
    pub async fn bare_event(&self, name: &str, data: &Value) {
        let events = self.core.state.lock().unwrap().events.clone().unwrap();
        events.send(Bytes::from(format!("event: {name}\ndata: {data}\n\n"))).await.unwrap();
        self.settle().await;
    }

    /// Whether the driver holds the core's event stream open.
    pub fn is_followed(&self) -> bool {
        self.core.state.lock().unwrap().events.as_ref().is_some_and(|events| !events.is_closed())
    }

    /// Sets the answer to `GET /ready`.
    pub fn answers_ready(&self, code: u16, body: Value) {
        self.core.state.lock().unwrap().ready = (code, body);
    }

    /// The core ends: it stops listening, its event stream ends, and a child's exit is reported.
    pub async fn core_ends(&self, code: i32, stderr: &str) {
        let pid = {
            let mut core = self.core.state.lock().unwrap();
            core.running = false;
            core.events = None;
            core.pid
        };
        let ended = {
            let mut state = self.system.state.lock().unwrap();
            state.strangers.retain(|stranger| *stranger != pid);
            state.exits.remove(&pid)
        };
        if let Some(ended) = ended {
            let exit = Exit {
                code: Some(code),
                stderr: stderr.to_owned(),
            };
            assert!(ended.send(exit).is_ok(), "the driver waits for its child");
        }
        self.settle().await;
    }

    /// The next start of a core fails.
    pub fn next_start_fails(&self, failure: Failure) {
        self.system.state.lock().unwrap().starts.push_back(failure);
    }

    /// The core refuses new connections, but its event stream stays open.
    pub fn stops_listening(&self) {
        self.core.state.lock().unwrap().running = false;
    }

    /// The core of another program starts again.
    pub fn core_returns(&self) {
        self.core.state.lock().unwrap().running = true;
    }

    /// The tooltip and menu that the user sees now.
    pub fn shown(&self) -> String {
        let views = self.views.lock().unwrap();
        let (_, view) = views.last().expect("a view");
        format!("{}\n{:?}", view.tooltip, view.menu)
    }

    /// The times at which views were sent.
    pub fn shown_at(&self) -> Vec<Instant> {
        self.views.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }
}

pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

pub fn create(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
