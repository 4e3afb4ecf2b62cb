//! What the program does as the probe image, inside the mesh: call, wait, kill, serve, play tricks.

pub mod idle;
pub mod kill;
pub mod probe;
pub mod shop;
pub mod tricks;
