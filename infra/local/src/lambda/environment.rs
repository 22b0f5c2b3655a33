//! One execution environment: a process of its own, and the Runtime API it talks to.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::runtime_api::{self, Invocation};
use super::{EnvironmentStatus, Failure, SECRET_KEY, Settings};
use crate::logs::{Level, Line, Logs};
use crate::net;
use crate::template::{Function, REGION};

/// How long a process may take until it asks for work, as on AWS.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a process is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    Busy,
    /// With the reason.
    Dead(String),
}

impl Phase {
    fn is_dead(&self) -> bool {
        matches!(self, Phase::Dead(_))
    }
}

pub(super) struct Environment {
    name: String,
    pid: u32,
    arn: String,
    settings: Settings,
    work: mpsc::Sender<Invocation>,
    life: Life,
    api: JoinHandle<()>,
}

/// Watches and ends a process; clones are the same.
#[derive(Clone, Debug)]
struct Life {
    phase: watch::Receiver<Phase>,
    kill: Arc<Notify>,
}

impl Life {
    /// Ends the process, and returns when it is gone.
    async fn end(&self) {
        self.kill.notify_one();
        self.ended().await;
    }

    /// Returns when the process is gone, with the reason.
    async fn ended(&self) -> String {
        let mut phase = self.phase.clone();
        match phase.wait_for(Phase::is_dead).await.as_deref() {
            Ok(Phase::Dead(reason)) => reason.clone(),
            _ => "nobody watches it any more".to_owned(),
        }
    }
}

/// Every live environment by name, for those who want to kill one.
#[derive(Clone, Debug, Default)]
pub struct Environments {
    lives: Arc<Mutex<HashMap<String, Life>>>,
}

impl Environments {
    /// Kills an environment (SIGKILL) and returns when it is dead; false when there is none.
    pub async fn kill(&self, name: &str) -> bool {
        let life = self.lock().get(name).cloned();
        match life {
            Some(life) => {
                life.end().await;
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Life>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Environment {
    /// Starts the process.
    pub async fn start(name: String, function: &Function, settings: &Settings) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Init(error.to_string());
        let listener = net::loopback().await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (work, invocations) = mpsc::channel(1);
        let (phase, watched) = watch::channel(Phase::Starting);
        let phase = Arc::new(phase);

        let mut child = command(&name, function, settings, &address.to_string()).spawn().map_err(failed)?;
        let pid = child.id().unwrap_or(0);
        tracing::debug!(environment = name, pid, "Started environment `{name}`");
        forward(child.stdout.take(), &name, settings, false);
        forward(child.stderr.take(), &name, settings, true);

        let router = runtime_api::router(&name, invocations, Arc::clone(&phase), settings.gate.clone());
        let life = Life { phase: watched, kill: Arc::default() };
        let environments = settings.gate.environments.clone();
        environments.lock().insert(name.clone(), life.clone());
        tokio::spawn(watch_over(child, name.clone(), life.clone(), phase, environments));
        Ok(Self {
            arn: format!("arn:aws:lambda:{REGION}:000000000000:function:{}", function.name),
            name,
            pid,
            settings: settings.clone(),
            work,
            life,
            api: net::serve(listener, router),
        })
    }

    /// Returns when the process asks for work for the first time.
    pub async fn started(&self) -> Result<(), Failure> {
        let mut phase = self.life.phase.clone();
        let begun = phase.wait_for(|phase| *phase != Phase::Starting);
        let begun = timeout(INIT_TIMEOUT, begun).await.map(|phase| phase.map(|phase| phase.clone()));
        let reason = match begun {
            Ok(Ok(Phase::Dead(reason))) => reason,
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) => "its watch is over".to_owned(),
            Err(_) => format!("no request for work within {INIT_TIMEOUT:?}"),
        };
        self.kill().await;
        Err(Failure::Init(reason))
    }

    /// Hands over an event, and waits for the answer; a process that takes longer than `time_limit` is killed.
    ///
    /// Nothing at all when the process ended before it took the event: then another one may have it.
    pub async fn invoke(&self, event: Bytes, time_limit: Duration) -> Option<Result<Bytes, Failure>> {
        let (answer, answered) = oneshot::channel();
        let millis = u64::try_from(time_limit.as_millis()).unwrap_or(u64::MAX);
        let invocation = Invocation {
            request_id: uuid::Uuid::new_v4().to_string(),
            deadline_ms: self.settings.clock.now_ms().saturating_add(millis),
            arn: self.arn.clone(),
            event,
            answer,
            taken: Arc::default(),
        };
        let taken = Arc::clone(&invocation.taken);
        self.work.send(invocation).await.ok()?;
        let result = tokio::select! {
            biased;
            Ok(answer) = answered => answer,
            reason = self.life.ended() => {
                if !taken.load(Ordering::SeqCst) {
                    return None;
                }
                Err(Failure::Crashed(reason))
            }
            () = sleep(time_limit) => {
                self.kill().await;
                Err(Failure::TimedOut(time_limit))
            }
        };
        Some(result)
    }

    /// Waits until the process asks for work again; false when it is dead instead.
    pub async fn asks_for_more(&self) -> bool {
        let mut phase = self.life.phase.clone();
        let settled = phase.wait_for(|phase| *phase == Phase::Ready || phase.is_dead());
        let ready = timeout(INIT_TIMEOUT, settled).await.map(|phase| phase.is_ok_and(|phase| *phase == Phase::Ready));
        if !matches!(ready, Ok(true)) {
            self.kill().await;
        }
        matches!(ready, Ok(true))
    }

    /// Whether it can be given work. A process that was killed a moment ago is not taken for alive because the
    /// news of its end is still on the way.
    pub fn is_alive(&self) -> bool {
        !self.life.phase.borrow().is_dead() && !is_zombie(self.pid)
    }

    /// Returns when the process is gone.
    pub async fn kill(&self) {
        self.life.end().await;
    }

    pub fn status(&self) -> EnvironmentStatus {
        let memory = memory(self.pid);
        EnvironmentStatus {
            name: self.name.clone(),
            pid: self.pid,
            busy: *self.life.phase.borrow() == Phase::Busy,
            memory_bytes: memory("VmRSS:"),
            peak_memory_bytes: memory("VmHWM:"),
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.api.abort();
        self.life.kill.notify_one();
    }
}

fn command(name: &str, function: &Function, settings: &Settings, api: &str) -> Command {
    let mut command = Command::new(&settings.program.path);
    let arguments = settings.program.arguments.iter();
    command
        .args(arguments.map(|argument| argument.replace("{function}", &function.executable)))
        .env_clear()
        .envs(inherited())
        .envs(&settings.variables)
        .envs(&function.environment)
        .env("AWS_LAMBDA_RUNTIME_API", api)
        .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mib.to_string())
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", name)
        .env("AWS_LAMBDA_LOG_FORMAT", &function.log_format)
        .env("AWS_LAMBDA_LOG_LEVEL", log_level(function, &settings.logs))
        .env("_HANDLER", &function.handler)
        .env("AWS_ACCESS_KEY_ID", name)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        // The process ends when this pipe does, so that none outlives the stack whatever happens to it.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the stack, which then ends its environments in order.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// What a process needs from this machine; nothing else of the user's environment reaches it.
fn inherited() -> impl Iterator<Item = (String, String)> {
    const NAMES: &[&str] = &["LD_LIBRARY_PATH", "LLVM_PROFILE_FILE", "PATH", "RUST_BACKTRACE", "TMPDIR"];
    NAMES.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
}

/// The template's level, unless the user wants to see more.
fn log_level(function: &Function, logs: &Logs) -> String {
    match logs.level() {
        Level::Trace => "TRACE".to_owned(),
        Level::Debug => "DEBUG".to_owned(),
        _ => function.log_level.clone(),
    }
}

/// Waits for the end of the process, or brings it about.
async fn watch_over(
    mut child: Child,
    name: String,
    life: Life,
    phase: Arc<watch::Sender<Phase>>,
    environments: Environments,
) {
    // Dropped with the process: its end of the pipe is what keeps the process alive.
    let _lifeline = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => status,
        () = life.kill.notified() => {
            // It may have ended by itself in the meantime.
            drop(child.start_kill());
            child.wait().await
        }
    };
    environments.lock().remove(&name);
    let reason = match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::debug!(environment = name, reason, "Environment `{name}` ended");
    phase.send_modify(|phase| {
        if !phase.is_dead() {
            *phase = Phase::Dead(reason);
        }
    });
}

fn forward(pipe: Option<impl AsyncRead + Unpin + Send + 'static>, name: &str, settings: &Settings, is_error: bool) {
    let Some(pipe) = pipe else { return };
    let (name, logs, clock) = (name.to_owned(), settings.logs.clone(), settings.clock.clone());
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = Line {
                at: clock.now_ms(),
                environment: name.clone(),
                line: String::from_utf8_lossy(&line).trim_end().to_owned(),
            };
            logs.take(line, is_error);
        }
    });
}

/// Whether the process has ended without being asked for its status; never where there is no `/proc`.
fn is_zombie(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may itself have some.
    status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Reads figures of a process in bytes; 0 where the system has no `/proc`.
fn memory(pid: u32) -> impl Fn(&str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    move |name| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .and_then(|kb| kb.trim().parse::<u64>().ok())
            .map_or(0, |kb| kb * 1024)
    }
}
