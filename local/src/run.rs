//! A run: prepared, started, proved, attended to, and ended in order.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Client;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::child::{tell, tied};
use crate::console::{Console, Paint, complain, say};
use crate::fleet::{Ended, Fleet, OnExit};
use crate::mesh::Service;
use crate::prepare::Made;
use crate::ready::{self, Listeners, PATIENCE};
use crate::recipes::{self, ENVOY};
use crate::run_file::RunFile;
use crate::{Error, live};

/// How long an application may take to hand over what it has, when asked to end: longer than its
/// own grace, so that it decides.
const GRACE: Duration = Duration::from_secs(40);
/// How long anything may take that has nothing to hand over, or nobody to hand it to.
const SHORT_GRACE: Duration = Duration::from_secs(5);

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
    client: Client,
    /// Parts that were started again and do not answer yet.
    returning: JoinSet<&'static str>,
    /// Since when requests are shown, once they are.
    watched: Arc<OnceLock<Timestamp>>,
    proof: Proof,
    /// The process that proves.
    prover: Option<Pid>,
    // Last: its folder goes when everything else has.
    made: Made,
}

impl Run {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(made: Made) -> Result<Self, Error> {
        Ok(Self {
            fleet: Fleet::default(),
            client: ready::client()?,
            returning: JoinSet::new(),
            watched: Arc::default(),
            proof: Proof::NotAsked,
            prover: None,
            made,
        })
    }

    /// Starts every part and waits until all of them answer.
    ///
    /// # Errors
    /// When one does not start, ends, or does not answer in time.
    pub async fn start(&mut self, console: &mut Console) -> Result<(), Error> {
        let envoy = recipes::envoy(
            &self.made.envoy.path,
            &self.made.folder,
            &self.made.folder.path().join("envoy.json"),
        );
        if let Some(output) = self.fleet.start(envoy, OnExit::End)? {
            tokio::spawn(show(output, Arc::clone(&self.watched), console.colour()));
        }
        for instance in &self.made.topology.instances {
            let recipe = recipes::instance(
                &self.made.built,
                &self.made.folder,
                &self.made.data,
                instance,
            )?;
            self.fleet.start(recipe, OnExit::Restart)?;
        }
        self.save()?;
        console.done("Start", &format!("Envoy, {}", self.names().join(", ")));

        let answering = until_all_answer(&self.client, &self.made.file);
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
        self.made.file.ready = true;
        self.save()?;
        console.done("Wait", &format!("{} answers", self.made.file.gateway_url));
        Ok(())
    }

    fn names(&self) -> Vec<&'static str> {
        self.made
            .topology
            .instances
            .iter()
            .map(|instance| instance.name)
            .collect()
    }

    /// Writes down what runs.
    fn save(&mut self) -> Result<(), Error> {
        for running in &mut self.made.file.instances {
            let pid = self.fleet.pid(&running.name);
            running.pid = pid.map(|pid| pid.as_raw_nonzero().get());
            running.restarts = self.fleet.restarts(&running.name);
        }
        self.made
            .folder
            .put(RunFile::name(), &self.made.file.text()?)
            .map(drop)
    }

    /// Proves with real requests that it works; its output is the proof's table.
    ///
    /// # Errors
    /// When a part ends for good meanwhile.
    pub async fn prove(&mut self, console: &mut Console) -> Result<(), Error> {
        let suite = self.made.built.program("faultline-e2e");
        if !suite.is_file() {
            return Err(Error::NotBuilt(suite));
        }
        console.begin("Prove");
        let mut command = tied(&suite)?;
        command
            .args(["prove", "--quick", "--local"])
            .arg(&self.made.file.path);
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

    /// Says where everything is, and what to try there.
    pub fn show_places(&self, console: &Console) {
        let RunFile {
            gateway_url,
            admin_url,
            callers,
            ..
        } = &self.made.file;
        let mut places = vec![
            (
                "gateway",
                gateway_url.clone(),
                format!("in a browser, or curl -i {gateway_url}/log"),
            ),
            (
                "envoy",
                admin_url.clone(),
                format!("curl '{admin_url}/stats/prometheus?filter=faultline'"),
            ),
        ];
        for caller in callers {
            let url = format!("http://{}", caller.address);
            let host = Service::LogAgent.host();
            let call = format!("curl -i -H 'Host: {host}' {url}/logs");
            places.push((&caller.name, url, call));
        }
        let percent = "fault.http.delay.fixed_delay_percent";
        let off = format!("curl -X POST '{admin_url}/runtime_modify?{percent}=0'");
        places.push(("no fault", String::new(), off));
        let logs = self.made.folder.path().join("logs");
        places.push(("logs", String::new(), logs.display().to_string()));
        say("");
        for (name, url, what) in places {
            let name = console.colour().paint(Paint::Bold, &format!("{name:8}"));
            say(&format!("{name}  {url:22}  {what}"));
        }
    }

    /// Shows requests from now on.
    pub fn watch(&self) {
        say(&format!("\n{}", live::HEAD));
        // Watched once already: since then.
        let _ = self.watched.set(Timestamp::now());
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
        let running = self.made.file.instances.iter().find(|one| one.name == name);
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
            let instances = self.made.topology.of(service);
            instances.map(|instance| instance.name).collect::<Vec<_>>()
        };
        let (apps, agents) = (of(Service::CustomApp), of(Service::LogAgent));
        // Without the proxy there is no way to the log agent.
        let grace = self.fleet.pid(ENVOY).map_or(SHORT_GRACE, |_| GRACE);
        let mut killed = self.fleet.stop(&apps, grace).await;
        killed.extend(self.fleet.stop(&agents, SHORT_GRACE).await);
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
async fn show(
    output: ChildStdout,
    since: Arc<OnceLock<Timestamp>>,
    colour: crate::console::Colour,
) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        if let Some(since) = since.get()
            && let Some(line) = live::line(&text, *since, colour)
        {
            say(&line);
        }
    }
}
