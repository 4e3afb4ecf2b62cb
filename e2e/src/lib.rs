//! The acceptance suite: proves every feature of a deployed Faultline with real requests.
