//! The report as text.

use crate::{
    report::{BOUND, Comparison, Report},
    rounds::Measured,
    statistics::Quartiles,
    variant::{Guard, Variant},
};
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_variants(f)?;
        self.write_comparisons(f)?;
        self.write_memory(f)?;
        self.write_environment(f)
    }
}

impl Report {
    fn write_variants(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.method.rounds;
        writeln!(
            f,
            "CPU per request as a ratio to bare Envoy: median of {rounds} rounds, quartiles\n"
        )?;
        writeln!(
            f,
            "routes  requests        guard             ratio  quartiles     (µs  requests)"
        )?;
        let mut group = None;
        for one in &self.variants {
            let here = (one.variant.setup.routes, request(one.variant));
            if group.as_ref().is_some_and(|before| *before != here) {
                writeln!(f)?;
            }
            group = Some(here);
            write_variant(f, one)?;
        }
        Ok(())
    }

    fn write_comparisons(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.comparisons.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\nFaultline's ratio divided by the other's; then what each adds to bare Envoy, divided\n"
        )?;
        writeln!(
            f,
            "routes  requests        against            quotient  quartiles     added"
        )?;
        for one in &self.comparisons {
            let Comparison {
                filter,
                against,
                quotient,
                added,
            } = one;
            let routes = filter.setup.routes;
            writeln!(
                f,
                "{routes:>6}  {:<15} {:<18} {:>8.2}  {:<11} {:>6}",
                request(*filter),
                against.name(),
                quotient.median,
                spread(quotient),
                added.map_or_else(|| "-".to_owned(), |added| format!("{added:.1}")),
            )?;
        }
        let lua = || self.comparisons.iter().filter(|c| c.against == Guard::Lua);
        let worst = lua().map(|c| c.quotient.median).max_by(f64::total_cmp);
        if let Some(worst) = worst {
            let verdict = if worst <= BOUND { "within" } else { "ABOVE" };
            writeln!(
                f,
                "\nFaultline costs at most {worst:.2} × what Lua with the same features costs: \
                 {verdict} the bound of {BOUND}"
            )?;
        }
        Ok(())
    }

    fn write_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nResident memory beyond bare Envoy's, in KiB: for each worker (one VM), and for the \
             process with one;\nand the linear memory of a VM, resident or not\n"
        )?;
        writeln!(f, "routes  guard              worker  process  linear")?;
        for one in &self.memory {
            let (routes, guard) = (one.setup.routes, one.setup.guard.name());
            let (worker, process) = (one.kib_per_worker, one.kib_per_process);
            let linear = one
                .kib_linear
                .map_or_else(|| "-".to_owned(), |kib| kib.to_string());
            writeln!(
                f,
                "{routes:>6}  {guard:<17} {worker:>7}  {process:>7}  {linear:>6}"
            )?;
        }
        let modules = self.modules.iter();
        let sizes: Vec<String> = modules
            .map(|module| format!("{} {}", module.name, module.bytes))
            .collect();
        writeln!(f, "\nmodules, in bytes: {}", sizes.join(", "))
    }

    fn write_environment(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = &self.environment;
        let [start, end] = here.load;
        writeln!(
            f,
            "Envoy {}, one worker, {} connections, slices of {} s; {} × {}; load {start} at the \
             start, {end} at the end, {:.1} % stolen",
            here.envoy,
            self.method.connections,
            self.method.slice_seconds,
            here.processors,
            here.processor,
            here.stolen * 100.0
        )
    }
}

fn write_variant(f: &mut fmt::Formatter<'_>, one: &Measured) -> fmt::Result {
    let (routes, request, guard) = if one.variant.is_noise() {
        ("-".to_owned(), "-".to_owned(), "bare again")
    } else {
        let setup = one.variant.setup;
        (
            setup.routes.to_string(),
            request(one.variant),
            setup.guard.name(),
        )
    };
    writeln!(
        f,
        "{routes:>6}  {request:<15} {guard:<17} {:>5.2}  {:<11} {:>7.1}  {:>8}",
        one.ratio.median,
        spread(&one.ratio),
        one.cpu_microseconds,
        one.requests
    )
}

/// The kind of path and the shape, such as `observed-slow`.
fn request(variant: Variant) -> String {
    [variant.path.name(), variant.setup.shape.suffix()].concat()
}

fn spread(quartiles: &Quartiles) -> String {
    format!("{:.2}–{:.2}", quartiles.lower, quartiles.upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        environment::{Environment, Moment},
        report::compare,
        rounds::Method,
        variant::{Kind, Setup},
    };

    fn measured(guard: Guard, ratio: f64) -> Measured {
        let setup = Setup::plain(guard, 10);
        let path = Kind::Allowed;
        let variant = Variant { setup, path };
        Measured {
            name: variant.to_string(),
            variant,
            ratio: Quartiles {
                lower: ratio,
                median: ratio,
                upper: ratio,
            },
            ratios: vec![ratio],
            cpu_microseconds: 12.3,
            requests: 456,
        }
    }

    fn table(lua: f64, faultline: f64) -> String {
        let variants = vec![
            measured(Guard::Lua, lua),
            measured(Guard::Faultline, faultline),
        ];
        let now = Moment::now();
        Report {
            environment: Environment::between(now, now, "1.39.3".to_owned()),
            method: Method {
                rounds: 1,
                slice_seconds: 1.0,
                connections: 16,
            },
            modules: Vec::new(),
            memory: Vec::new(),
            comparisons: compare(&variants, &[]),
            variants,
        }
        .to_string()
    }

    #[test]
    fn rows_are_aligned_and_the_verdict_follows_the_figures() {
        let within = table(1.5, 1.8);
        let row =
            "    10  allowed         faultline          1.80  1.80–1.80      12.3       456\n";
        assert!(within.contains(row), "{within}");
        assert!(within.contains("at most 1.20 ×"), "{within}");
        assert!(within.contains("within the bound of 1.3\n"), "{within}");
        let above = table(1.5, 2.1);
        assert!(above.contains("at most 1.40 ×"), "{above}");
        assert!(above.contains("ABOVE the bound of 1.3\n"), "{above}");
    }
}
