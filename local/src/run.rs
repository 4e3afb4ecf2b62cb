//! A run: prepared, started, proved, attended to, and ended in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::binary::{self, Envoy};
use crate::child::{tell, tied};
use crate::console::{Console, Paint, complain, say};
use crate::envoy::Plan;
use crate::fleet::{Ended, Fleet, OnExit};
use crate::mesh::{Mesh, Service, Sources};
use crate::options::Options;
use crate::ready::{self, Listeners, PATIENCE};
use crate::recipes::{self, Built, ENVOY};
use crate::run_file::RunFile;
use crate::state::{Data, Folder, Lock, State};
use crate::topology::{Identity, Topology};
use crate::{Error, certificates, live, ports};

/// How long an application may take to hand over what it has, when asked to end: longer than its
/// own grace, so that it decides.
const GRACE: Duration = Duration::from_secs(40);
/// How long the rest may take.
const SHORT_GRACE: Duration = Duration::from_secs(10);

/// How a run came to its end.
#[derive(Debug)]
pub enum Ending {
    /// Somebody asked for it.
    AsTold,
    /// It could not go on.
    Failed {
        /// Why.
        error: Error,
        /// Whether everything had been ready before.
        was_ready: bool,
    },
}

/// What is known of whether it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Nothing was asked.
    NotAsked,
    /// It does.
    Held,
    /// It does not.
    Failed,
}

/// Everything that is up.
#[derive(Debug)]
pub struct Run {
    fleet: Fleet,
    topology: Topology,
    built: Built,
    envoy: Envoy,
    file: RunFile,
    client: Client,
    /// Parts that were started again and do not answer yet.
    returning: JoinSet<&'static str>,
    /// Whether requests are shown.
    watched: Arc<AtomicBool>,
    proof: Proof,
    /// The process that proves.
    prover: Option<Pid>,
    data: Data,
    // Last: it goes when everything else has.
    folder: Folder,
}

/// Makes everything that can be made before a process runs.
///
/// # Errors
/// Whatever is missing.
pub async fn prepare(options: &Options, console: &mut Console) -> Result<(Run, Lock), Error> {
    let mesh = Mesh::read(&Sources::COMPILED_IN)?;
    let built = Built::find(options.module.clone())?;
    // It may fetch a hundred megabytes: signals are heard meanwhile.
    let envoy = blocking(|| binary::find().map_err(Error::from)).await?;
    let state = State::at(options.state_dir.clone());
    let lock = blocking({
        let state = state.clone();
        move || state.lock()
    })
    .await?;
    state.tidy(&lock)?;
    let runs = state.runs()?;
    if let Some(run) = runs.first().filter(|_| options.detached) {
        return Err(Error::Running {
            url: run.gateway_url.clone(),
            pid: run.pid,
        });
    }
    state.forget_last_words(&lock);
    let folder = state.begin(&lock)?;
    let data = Data::open(&folder, options.data_dir.clone())?;
    let topology = ports::choose(options.ports(), |port| holder(&runs, port))?;

    let files = folder.files(built.module.clone());
    let plan = Plan {
        mesh: &mesh,
        topology: &topology,
        files: &files,
    };
    let gateway = plan.gateway_identity();
    let mut identities = vec![gateway.clone(), Identity::of(Service::CustomApp)];
    identities.push(Identity::of(Service::LogAgent));
    for caller in &topology.callers {
        if !identities.contains(&caller.identity) {
            identities.push(caller.identity.clone());
        }
    }
    certificates::make(&files, &identities)?;
    let configuration = plan.configuration();
    folder.put("listeners.json", &configuration.listeners.to_string())?;
    folder.put("envoy.json", &configuration.bootstrap.to_string())?;
    let file = RunFile::new(folder.path(), &topology, &files, &gateway);
    let detail = format!(
        "Envoy {} ({}), gateway on port {}, {} certificates",
        envoy.version,
        envoy.found,
        topology.gateway,
        identities.len()
    );
    console.done("Check", &detail);
    let run = Run {
        fleet: Fleet::default(),
        topology,
        built,
        envoy,
        file,
        client: ready::client()?,
        returning: JoinSet::new(),
        watched: Arc::default(),
        proof: Proof::NotAsked,
        prover: None,
        data,
        folder,
    };
    Ok((run, lock))
}

/// Runs what blocks where it blocks nothing else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::io("finish a task")(error.into())))
}

/// Who holds a port, and what frees it.
fn holder(runs: &[RunFile], port: u16) -> String {
    let suffix = format!(":{port}");
    let own = runs
        .iter()
        .find(|run| run.gateway_url.ends_with(&suffix) || run.admin_url.ends_with(&suffix));
    match own {
        Some(run) => format!(
            "another local Faultline (process {}): end it with ./deploy.sh --local --delete",
            run.pid
        ),
        None => format!("another program: `ss -ltnp 'sport = :{port}'` shows which; end that one"),
    }
}

impl Run {
    /// Starts every part and waits until all of them answer.
    ///
    /// # Errors
    /// When one does not start, ends, or does not answer in time.
    pub async fn start(&mut self, console: &mut Console) -> Result<(), Error> {
        let envoy = recipes::envoy(
            &self.envoy.path,
            &self.folder,
            &self.folder.path().join("envoy.json"),
        );
        if let Some(output) = self.fleet.start(envoy, OnExit::End)? {
            tokio::spawn(show(output, Arc::clone(&self.watched), console.colour()));
        }
        for instance in &self.topology.instances {
            let recipe = recipes::instance(&self.built, &self.folder, &self.data, instance)?;
            self.fleet.start(recipe, OnExit::Restart)?;
        }
        self.save()?;
        console.done("Start", &format!("Envoy, {}", self.names().join(", ")));

        let answering = until_all_answer(&self.client, &self.file);
        let unready = tokio::select! {
            answered = answering => answered,
            ended = self.fleet.ended() => match ended {
                Ended::Fatal(error) => return Err(error),
                // Nothing was ready yet, so nothing is started again.
                Ended::Restarted { name, .. } => Err(Unready::Silent(name.to_owned())),
            },
        };
        match unready {
            Ok(()) => {}
            Err(Unready::Refused) => return Err(Error::Listeners(self.fleet.last_lines(ENVOY))),
            Err(Unready::Silent(name)) => {
                return Err(Error::NotReady {
                    lines: self.fleet.last_lines(&name),
                    name,
                    seconds: PATIENCE.as_secs(),
                });
            }
        }
        for name in self.names() {
            self.fleet.ready(name);
        }
        self.file.ready = true;
        self.save()?;
        console.done("Wait", &format!("{} answers", self.file.gateway_url));
        Ok(())
    }

    fn names(&self) -> Vec<&'static str> {
        self.topology
            .instances
            .iter()
            .map(|instance| instance.name)
            .collect()
    }

    /// Writes down what runs.
    fn save(&mut self) -> Result<(), Error> {
        for running in &mut self.file.instances {
            let pid = self.fleet.pid(&running.name);
            running.pid = pid.map(|pid| pid.as_raw_nonzero().get());
            running.restarts = self.fleet.restarts(&running.name);
        }
        self.folder
            .put(RunFile::name(), &self.file.text()?)
            .map(drop)
    }

    /// Proves with real requests that it works; its output is the proof's table.
    ///
    /// # Errors
    /// When a part ends for good meanwhile.
    pub async fn prove(&mut self, console: &mut Console) -> Result<(), Error> {
        let suite = self.built.program("faultline-e2e");
        if !suite.is_file() {
            return Err(Error::NotBuilt(suite));
        }
        console.begin("Prove");
        let mut command = tied(&suite)?;
        command
            .args(["prove", "--quick", "--local"])
            .arg(&self.file.path);
        let mut proof = tokio::process::Command::from(command)
            .stdin(std::process::Stdio::null())
            .spawn()
            .map_err(Error::at("run", &suite))?;
        let pid = proof.id().and_then(|pid| i32::try_from(pid).ok());
        self.prover = pid.and_then(Pid::from_raw);
        let held = tokio::select! {
            status = proof.wait() => status.map_err(Error::at("wait for", &suite))?.success(),
            error = self.attend() => return Err(error),
        };
        self.prover = None;
        self.proof = if held { Proof::Held } else { Proof::Failed };
        if !held {
            complain("the proof failed; everything goes on running, so that you can look");
        }
        Ok(())
    }

    /// Whether nothing that was to be proved is unproved.
    #[must_use]
    pub fn proved(&self) -> bool {
        self.proof != Proof::Failed
    }

    /// Says where everything is.
    pub fn show_places(&self, console: &Console) {
        let strong = |text: &str| console.colour().paint(Paint::Bold, text);
        let url = &self.file.gateway_url;
        say("");
        say(&format!("{}  the gateway: curl -i {url}/log", strong(url)));
        let admin = &self.file.admin_url;
        say(&format!(
            "{}  Envoy: {admin}/stats/prometheus?filter=faultline",
            strong(admin)
        ));
        for caller in &self.file.callers {
            let url = format!("http://{}", caller.address);
            let host = Service::LogAgent.host();
            say(&format!(
                "{}  as {} inside the mesh: curl -i -H 'Host: {host}' {url}/logs",
                strong(&url),
                caller.name
            ));
        }
        say(&format!(
            "{}  logs, and what the suite reads",
            self.folder.path().display()
        ));
        let admin = &self.file.admin_url;
        say(&format!(
            "Without the fault: curl -X POST '{admin}/runtime_modify?fault.http.delay.fixed_delay_percent=0'"
        ));
    }

    /// Shows requests from now on.
    pub fn watch(&self) {
        say(&format!("\n{}", live::HEAD));
        self.watched.store(true, Ordering::Relaxed);
    }

    /// Starts again what ends, until something cannot go on.
    pub async fn attend(&mut self) -> Error {
        loop {
            tokio::select! {
                ended = self.fleet.ended() => match ended {
                    Ended::Fatal(error) => return error,
                    Ended::Restarted { name, how } => {
                        say(&format!("{name} ended ({how}) and was started again"));
                        self.returns(name);
                    }
                },
                Some(Ok(name)) = self.returning.join_next() => self.fleet.ready(name),
            }
            if let Err(error) = self.save() {
                return error;
            }
        }
    }

    fn returns(&mut self, name: &'static str) {
        let running = self.file.instances.iter().find(|one| one.name == name);
        let Some(url) = running.map(|running| format!("{}/readyz", running.app_url)) else {
            return;
        };
        let client = self.client.clone();
        self.returning.spawn(async move {
            ready::until_answers(&client, &url).await;
            name
        });
    }

    /// Ends every part in order: first who takes entries, so that it can hand over what it has. When
    /// `at_once` resolves, what is left is killed.
    pub async fn stop(mut self, at_once: impl Future<Output = ()>) {
        let began = Instant::now();
        if let Some(prover) = self.prover.take() {
            // It puts back what it has changed here, which is about to go anyway.
            tell(prover, Signal::TERM);
        }
        let in_order = tokio::select! {
            killed = self.stop_in_order() => Some(killed),
            () = at_once => None,
        };
        match in_order {
            Some(killed) => {
                for name in killed {
                    complain(&format!("{name} did not end in time and was killed"));
                }
            }
            None => self.fleet.kill().await,
        }
        let took = began.elapsed().as_secs_f64();
        say(&format!("stopped in {took:.1} s"));
    }

    async fn stop_in_order(&mut self) -> Vec<&'static str> {
        let of = |service| {
            let instances = self.topology.of(service);
            instances.map(|instance| instance.name).collect::<Vec<_>>()
        };
        let (apps, agents) = (of(Service::CustomApp), of(Service::LogAgent));
        let mut killed = self.fleet.stop(&apps, GRACE).await;
        killed.extend(self.fleet.stop(&agents, GRACE).await);
        killed.extend(self.fleet.stop(&[ENVOY], SHORT_GRACE).await);
        killed
    }
}

enum Unready {
    Refused,
    Silent(String),
}

async fn until_all_answer(client: &Client, run: &RunFile) -> Result<(), Unready> {
    let silent = |name: &str| Unready::Silent(name.to_owned());
    let listening = timeout(PATIENCE, ready::until_listening(client, run)).await;
    match listening.map_err(|_| silent(ENVOY))? {
        Listeners::Taken => {}
        Listeners::Refused => return Err(Unready::Refused),
    }
    for instance in &run.instances {
        let url = format!("{}/readyz", instance.app_url);
        let answers = timeout(PATIENCE, ready::until_answers(client, &url)).await;
        answers.map_err(|_| silent(&instance.name))?;
    }
    // All the way through.
    let url = format!("{}/status", run.gateway_url);
    let answers = timeout(PATIENCE, ready::until_answers(client, &url)).await;
    answers.map_err(|_| silent(ENVOY))
}

/// Reads the gateway's access log as long as there is one, and shows it while it is wanted. It is
/// read all the same when not: a full pipe would hold Envoy up.
async fn show(output: ChildStdout, wanted: Arc<AtomicBool>, colour: crate::console::Colour) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        if wanted.load(Ordering::Relaxed)
            && let Some(line) = live::line(&text, colour)
        {
            say(&line);
        }
    }
}
