//! The two hosts of the filter in Envoy, and tests that run in both.

use crate::proxy::typed;
use faultline_testbed::{dynamic_module, filter, install};
use serde_json::{Value, json};

/// What runs the filter in Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// A VM in each worker.
    Wasm,
    /// Envoy's own process.
    Module,
}

/// The first minor version of Envoy that loads the module.
pub(crate) const FIRST_WITH_MODULE: u32 = 39;

impl Host {
    /// The filter as an HTTP filter with this configuration text.
    pub(crate) fn plugin(self, configuration: &str) -> Value {
        let text = json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": configuration,
        });
        match self {
            Self::Wasm => typed(
                WASM,
                json!({"config": {
                    "name": "faultline.test",
                    "vm_config": {
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": filter().expect("the module builds")}},
                    },
                    "configuration": text,
                }}),
            ),
            Self::Module => typed(
                MODULE,
                json!({
                    "dynamic_module_config": {
                        "module": {"local": {
                            "filename": dynamic_module().unwrap_or_else(|error| panic!("{error}")),
                        }},
                        "do_not_close": true,
                    },
                    "filter_name": "faultline.test",
                    "filter_config": text,
                }),
            ),
        }
    }

    /// The type of that, as discovery names it.
    pub(crate) fn type_url(self) -> String {
        let name = match self {
            Self::Wasm => WASM,
            Self::Module => MODULE,
        };
        format!("type.googleapis.com/envoy.{name}")
    }

    /// How often a proxy with one worker reads a configuration.
    pub(crate) fn readers(self) -> u32 {
        match self {
            // Envoy's trial, its main thread, and the worker.
            Self::Wasm => 3,
            Self::Module => 1,
        }
    }

    /// Whether the Envoy under test has it.
    pub(crate) fn is_there(self) -> bool {
        let minor = || install::minor().unwrap_or_else(|error| panic!("{error}"));
        self == Self::Wasm || minor() >= FIRST_WITH_MODULE
    }
}

const WASM: &str = "extensions.filters.http.wasm.v3.Wasm";
const MODULE: &str = "extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// Makes two tests of each function: one for each host.
macro_rules! each_host {
    ($($test:ident),+ $(,)?) => {
        mod wasm {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::host::Host::Wasm).await;
            })+
        }
        mod module {
            $(#[tokio::test]
            async fn $test() {
                if $crate::host::Host::Module.is_there() {
                    super::$test($crate::host::Host::Module).await;
                } else {
                    $crate::host::skipped(stringify!($test));
                }
            })+
        }
    };
}
pub(crate) use each_host;

/// Says that a test has not run.
#[expect(clippy::print_stderr, reason = "nothing is skipped in silence")]
pub(crate) fn skipped(test: &str) {
    eprintln!("SKIPPED {test} with the dynamic module: it needs Envoy 1.{FIRST_WITH_MODULE}");
}
