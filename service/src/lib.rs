//! What both services need: start-up, telemetry, health, problems, shutdown.
