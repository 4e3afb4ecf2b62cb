//! The application behind the gateway: takes log entries and hands each over exactly once.
