//! What the program does as the probe image, inside the mesh: call, wait, kill.

pub mod idle;
pub mod kill;
pub mod probe;
