//! Keeps log entries, each exactly once, on disk before it answers.
