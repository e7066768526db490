//! The mesh: actors on other machines, as if they were here.
//!
//! ```text
//!   runtime/mesh.rs   Host: what the mesh needs of the core          (level 5)
//!   engine.rs         the seam: what a runtime wants of any mesh
//!   node/             listen, resolve, proxies, export, close        \
//!   cluster/          membership and names, by gossip                 | the I/O thread
//!   link/             tasks: accept, dial, carry, mend               | the I/O thread
//!   session/          one peer: proxies, credits, calls              /
//!   peers.rs  stream/  detector.rs  secure.rs  tls.rs  wire/         pure: no I/O, no clock
//!   transport/        the only sockets, and the thread
//! ```
//!
//! A remote actor is an ordinary actor cell here, a *proxy*, whose mailbox holds what is not on its way yet; bounds,
//! policies, calls, joins, monitors and links work on it as on any other. See docs/distributed.md and
//! docs/wire-protocol.md.

mod cluster;
pub mod detector;
pub mod engine;
pub mod host;
mod link;
pub(crate) mod node;
pub mod options;
mod peers;
pub mod secure;
mod session;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod transport;
pub mod wire;

pub use detector::Judge;
pub use engine::{Engine, MakeEngine, News, Polled, Talk};
pub use host::{Drained, Host, Seen};
pub use node::{MeshMetrics, NodeInfo};
pub use options::{ClusterOptions, ListenOptions, MeshOptions};
pub use secure::Secret;
pub use tls::{Tls, TlsFiles};
pub use wire::greeting::Permissions;
