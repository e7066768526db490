//! Certificates: who this node is, and whom it believes. Mutual TLS 1.3 below everything else (docs/adr/0034).

use crate::error::{Error, ErrorKind, Result};
use rustls::client::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{ClientConnection, Connection, RootCertStore, ServerConnection, version};
use std::sync::Arc;

/// Longest file that is read for a certificate or a key, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// What both sides must want to speak.
const PROTOCOL: &[u8] = b"iris";

/// What a node shows and believes. Each text is PEM, or the path of a file that is.
#[derive(Clone, Copy, Debug)]
pub struct TlsFiles<'a> {
    /// Its certificate, with those between it and the authority.
    pub cert: &'a str,
    /// The certificate's private key.
    pub key: &'a str,
    /// The authorities that sign the certificates of the mesh.
    pub ca: &'a str,
    /// The name that the certificates of other nodes must bear; `None`: the host of the address.
    pub server_name: Option<&'a str>,
}

/// Mutual TLS, ready to be used.
#[derive(Clone)]
pub struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

impl Tls {
    /// Reads and checks what a node needs.
    ///
    /// # Errors
    /// `InvalidArgument` says which of them is wrong, `Io` which file cannot be read.
    pub fn new(files: TlsFiles<'_>) -> Result<Self> {
        let certs = certificates("cert", files.cert)?;
        let authorities = certificates("ca", files.ca)?;
        let key = text("key", files.key)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|e| wrong("key", &format!("is no private key in PEM ({e})")))?;
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|e| wrong("ca", &format!("has an unusable one ({e})")))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|e| wrong("ca", &format!("cannot be used ({e})")))?;
        let unfit = |e: rustls::Error| wrong("key", &format!("does not fit tls.cert ({e})"));
        let versions = &[&version::TLS13];
        let own = |e: rustls::Error| Error::new(ErrorKind::Internal, format!("TLS: {e}"));
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(own)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certs.clone(), key.clone_key())
            .map_err(unfit)?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(own)?
            .with_root_certificates(roots)
            .with_client_auth_cert(certs, key)
            .map_err(unfit)?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Sessions of ours go on over new connections; TLS need not remember any.
        server.send_tls13_tickets = 0;
        let name = files.server_name.map(name_of).transpose()?;
        Ok(Self { client: Arc::new(client), server: Arc::new(server), name })
    }

    /// The client's end of a connection to `host`.
    pub(super) fn client(&self, host: &str) -> Result<Connection> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(host)?,
        };
        ClientConnection::new(Arc::clone(&self.client), name)
            .map(Connection::Client)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("TLS: {e}")))
    }

    /// The server's end of a connection.
    pub(super) fn server(&self) -> Result<Connection> {
        ServerConnection::new(Arc::clone(&self.server))
            .map(Connection::Server)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("TLS: {e}")))
    }
}

fn wrong(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("tls.{what} {why}"))
}

fn name_of(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| wrong("serverName", &format!("{host:?} is no name that a certificate has")))
}

/// The PEM text itself, or what is in the file.
fn text(what: &str, given: &str) -> Result<String> {
    if given.contains("-----BEGIN ") {
        return Ok(given.to_owned());
    }
    if given.is_empty() {
        return Err(wrong(what, "is empty; give PEM text or the path of a PEM file"));
    }
    let unreadable = |e: std::io::Error| {
        Error::new(ErrorKind::Io, format!("tls.{what}: cannot read {given:?}: {e}"))
    };
    let about = std::fs::metadata(given).map_err(unreadable)?;
    if about.len() > MAX_FILE {
        return Err(wrong(what, &format!("{given:?} is longer than 1 MiB")));
    }
    std::fs::read_to_string(given).map_err(unreadable)
}

fn certificates(what: &str, given: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = text(what, given)?;
    let all: std::result::Result<Vec<_>, pem::Error> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let all = all.map_err(|e| wrong(what, &format!("is no PEM ({e})")))?;
    if all.is_empty() {
        return Err(wrong(what, "has no certificate in it"));
    }
    Ok(all)
}
