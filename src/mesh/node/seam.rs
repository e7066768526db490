//! The embedded mesh as an engine.

use super::{MeshMetrics, Node, NodeInfo};
use crate::error::Result;
use crate::id::{CallId, Pid};
use crate::mesh::engine::{Engine, News, Talk};
use crate::mesh::host::{Seen, Sink};
use crate::mesh::options::{ClusterOptions, ListenOptions, MeshOptions};
use crate::mesh::wire::op::StopMode;
use std::sync::Arc;
use std::time::Duration;

impl Engine for Node {
    fn configure(&self, options: MeshOptions) -> Result<()> {
        Self::configure(self, options)
    }

    fn options(&self) -> MeshOptions {
        self.current_options()
    }

    fn listen(self: Arc<Self>, address: &str, options: ListenOptions, sink: Sink<String>) {
        Self::listen(&self, address, options, sink);
    }

    fn unlisten(&self, address: &str) -> bool {
        Self::unlisten(self, address)
    }

    fn listening(&self) -> Vec<String> {
        Self::listening(self)
    }

    fn disconnect(self: Arc<Self>, address: &str) -> Result<bool> {
        Self::disconnect(&self, address)
    }

    fn nodes(&self) -> Vec<NodeInfo> {
        Self::nodes(self)
    }

    fn resolve(
        self: Arc<Self>,
        address: &str,
        name: &str,
        timeout: Duration,
        sink: Sink<Option<Pid>>,
    ) {
        Self::resolve(&self, address, name, timeout, sink);
    }

    fn probe(self: Arc<Self>, address: &str, timeout: Duration, sink: Sink<bool>) {
        Self::probe(&self, address, timeout, sink);
    }

    fn look(self: Arc<Self>, proxy: Pid, timeout: Duration, sink: Sink<Option<Seen>>) {
        Self::look(&self, proxy, timeout, sink);
    }

    fn talk(&self) -> Talk {
        Self::talk(self)
    }

    fn news(&self) -> Option<Box<dyn News>> {
        Self::news(self)
    }

    fn proxy(self: Arc<Self>, address: &str, remote: Pid) -> Result<Pid> {
        self.proxy_at(address, remote)
    }

    fn export(&self, pid: Pid) -> Result<Vec<u8>> {
        Self::export(self, pid)
    }

    fn import(self: Arc<Self>, bytes: &[u8]) -> Result<Pid> {
        Self::import(&self, bytes)
    }

    fn max_payload(&self, pid: Pid) -> usize {
        Self::max_payload(self, pid)
    }

    fn before_stop(&self, proxy: Pid, mode: StopMode) -> bool {
        Self::before_stop(self, proxy, mode)
    }

    fn link(self: Arc<Self>, proxy: Pid, other: Pid, on: bool) -> bool {
        Self::link(&self, proxy, other, on)
    }

    fn trap(&self, proxy: Pid, traps: bool) -> bool {
        Self::trap(self, proxy, traps)
    }

    fn cancelled(&self, proxy: Pid, call: CallId) {
        Self::cancelled(self, proxy, call);
    }

    fn join_cluster(self: Arc<Self>, seeds: Vec<String>, options: ClusterOptions, sink: Sink<()>) {
        Self::join_cluster(&self, seeds, options, sink);
    }

    fn claim(self: Arc<Self>, name: &str, pid: Pid) -> Result<()> {
        Self::claim(&self, name, pid)
    }

    fn disclaim(&self, name: &str) -> bool {
        Self::disclaim(self, name)
    }

    fn whereis(self: Arc<Self>, name: &str) -> Option<Pid> {
        Self::whereis(&self, name)
    }

    fn metrics(&self) -> MeshMetrics {
        Self::metrics(self)
    }

    fn is_sending(&self) -> bool {
        Self::is_sending(self)
    }

    fn close(self: Arc<Self>, patience: Duration, done: Box<dyn FnOnce() + Send>) {
        Self::close(&self, patience, done);
    }

    fn abort(&self) {
        Self::abort(self);
    }
}
