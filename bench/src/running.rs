//! An Envoy under load, and the proof that its guard does its work.

use crate::{
    config::{self, LISTENER, Modules, NAME, OBSERVED, TELL},
    cpu,
    exchange::Exchange,
    load::{Load, Until},
    peer::Peer,
    variant::{AT_ONCE, Guard, Kind, Setup, Shape, Variant},
};
use anyhow::{Context, ensure};
use faultline_filter_core::{
    Outcome,
    metrics::{Labels, METHOD_NOT_ALLOWED as REFUSED_METHODS, RouteMetric, UNKNOWN_ROUTES},
};
use faultline_testbed::{Envoy, until};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use std::{sync::Arc, time::Duration};

/// One Envoy with its connections.
#[derive(Debug)]
pub(crate) struct Running {
    /// What it is.
    pub(crate) setup: Setup,
    envoy: Envoy,
    load: Load,
    /// How many requests the guard must have counted: observed, unknown, with a wrong method.
    counted: [u64; 3],
}

/// What one slice cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    /// CPU time of the whole Envoy process.
    pub(crate) cpu: Duration,
    /// Requests answered, each as it should be.
    pub(crate) answers: u64,
}

impl Slice {
    /// CPU time per request, in microseconds.
    pub(crate) fn cost(&self) -> f64 {
        // Fewer than 2^53 requests: the conversion is exact.
        self.cpu.as_secs_f64() * 1e6 / self.answers.max(1) as f64
    }
}

impl Running {
    /// Starts an Envoy with `workers` threads and opens `connections` to it, or, for slow requests,
    /// as many senders as there are to be requests at once.
    ///
    /// # Errors
    /// Envoy does not start, or its guard does not do what no slice asks.
    pub(crate) async fn start(
        setup: Setup,
        modules: &Modules,
        workers: usize,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let workers = workers.to_string();
        let arguments = ["--concurrency", &workers];
        let name = setup.guard.name();
        let envoy = Envoy::start_with(&config::envoy(setup, modules), &arguments, &[])
            .await
            .with_context(|| format!("{name} with {} routes", setup.routes))?;
        let address = envoy.listener(LISTENER).await?;
        let load = match setup.shape {
            Shape::Plain | Shape::Cookie => Load::open(address, connections).await?,
            Shape::Slow => Load::open_streams(address, AT_ONCE).await?,
        };
        let mut running = Self {
            setup,
            envoy,
            load,
            counted: [0; 3],
        };
        running.prove().await.context(name)?;
        Ok(running)
    }

    /// Loads it and tells what that cost. A slice of slow requests is one of each sender.
    ///
    /// # Errors
    /// An answer was wrong, or the process is gone.
    pub(crate) async fn slice(
        &mut self,
        exchange: &Arc<Exchange>,
        path: Kind,
        until: Until,
    ) -> anyhow::Result<Slice> {
        let until = match self.setup.shape {
            Shape::Plain | Shape::Cookie => until,
            Shape::Slow => Until::AllAtOnce,
        };
        let before = cpu::at_rest(self.envoy.pid()).await?;
        let answers = self.load.run(exchange, until).await;
        let answers =
            answers.with_context(|| format!("Envoy's log ends\n{}", self.last_words()))?;
        let after = cpu::at_rest(self.envoy.pid()).await?;
        let [observed, unknown, _] = &mut self.counted;
        match path {
            Kind::Observed => *observed += answers,
            Kind::Unknown => *unknown += answers,
            Kind::Open | Kind::Allowed => {}
        }
        let cpu = after.saturating_sub(before);
        Ok(Slice { cpu, answers })
    }

    /// The last lines of Envoy's log: a script that fails says there why.
    fn last_words(&self) -> String {
        let log = self.envoy.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.len().saturating_sub(5);
        lines.get(last..).unwrap_or_default().join("\n")
    }

    /// The Envoy.
    pub(crate) fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// What no slice asks: the guards that can must answer 405 to a method their route has not,
    /// and a peer must add what it adds to a request.
    async fn prove(&mut self) -> anyhow::Result<()> {
        let [_, _, refused] = &mut self.counted;
        let expected = match self.setup.guard {
            Guard::Peer(peer) => return self.adds_headers(peer).await,
            Guard::Bare | Guard::ModuleIdle => StatusCode::OK,
            Guard::Native | Guard::NativeTree => StatusCode::NOT_FOUND,
            Guard::Lua | Guard::Faultline | Guard::FaultlineLabels | Guard::FaultlineModule => {
                *refused += 1;
                StatusCode::METHOD_NOT_ALLOWED
            }
        };
        let target: Uri = config::route(0).parse()?;
        let answer = self
            .load
            .once(Method::POST, &target, &HeaderMap::new())
            .await?;
        let status = answer.status();
        ensure!(
            status == expected,
            "POST {target} was answered {status} instead of {expected}"
        );
        if expected == StatusCode::METHOD_NOT_ALLOWED {
            for (name, expected) in [
                ("allow", "GET, HEAD"),
                ("proxy-status", NAME.method_not_allowed()),
            ] {
                let value = answer.headers().get(name);
                ensure!(
                    value.is_some_and(|value| value == expected),
                    "POST {target}: {name} is {value:?} instead of {expected:?}"
                );
            }
        }
        Ok(())
    }

    async fn adds_headers(&mut self, peer: &'static Peer) -> anyhow::Result<()> {
        let setup = self.setup;
        for (path, request) in peer.requests() {
            let exchange = Exchange::of(Variant { setup, path })?;
            let mut headers = exchange.request_headers;
            headers.insert(TELL, HeaderValue::from_static("yes"));
            let target = exchange.targets.first().context("no path")?;
            let answer = self.load.once(Method::GET, target, &headers).await?;
            for (name, expected) in &request.adds {
                let value = answer.headers().get(name);
                ensure!(
                    value == Some(expected),
                    "GET {target}: behind it, {name} is {value:?} instead of {expected:?}"
                );
            }
        }
        Ok(())
    }

    /// Checks that a guard that counts did so with every request.
    ///
    /// # Errors
    /// A counter differs from the number of requests asked.
    pub(crate) async fn counted_all(&self) -> anyhow::Result<()> {
        let (prefix, labels) = match self.setup.guard {
            Guard::Bare
            | Guard::Native
            | Guard::NativeTree
            | Guard::ModuleIdle
            | Guard::Peer(_) => return Ok(()),
            Guard::Lua => ("http.bench.lua", Labels::Plain),
            Guard::Faultline => ("wasmcustom", Labels::Plain),
            Guard::FaultlineLabels => ("wasmcustom", Labels::Tagged),
            Guard::FaultlineModule => ("dynamicmodulescustom", Labels::Plain),
        };
        let names = [
            RouteMetric::Requests(Outcome::Ok).name(OBSERVED, labels),
            UNKNOWN_ROUTES.to_owned(),
            REFUSED_METHODS.to_owned(),
        ];
        for (name, expected) in names.iter().zip(self.counted) {
            let stat = format!("{prefix}.{name}");
            // Workers hand their counts over; they are asked until all have arrived.
            let mut last = 0;
            let arrived = until("the counters", async || {
                let stats = self.envoy.stats().await.ok()?;
                // A script's counter is not there before its first event.
                last = stats.get(&stat).copied().unwrap_or_default();
                (last >= expected).then_some(())
            });
            let is_short = arrived.await.is_err();
            ensure!(
                !is_short && last == expected,
                "{stat} is {last} after {expected} such requests"
            );
        }
        Ok(())
    }
}
