//! What the program does as the probe image, inside the mesh: call, wait, kill, serve, play tricks, be a proof's application.

pub mod idle;
pub mod kill;
pub mod probe;
pub mod shop;
pub mod tricks;
pub mod upstream;
