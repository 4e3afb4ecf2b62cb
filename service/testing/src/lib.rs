//! For tests of the services.
