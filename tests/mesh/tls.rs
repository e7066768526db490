//! Certificates on both sides.

use super::proxy::Proxy;
use super::support::{echo, until};
use super::*;
use iris::ErrorKind;
use iris::mesh::{Secret, Tls, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An authority: what it is known by, and what signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for those names, and its key.
    fn sign(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    /// What a node of that authority has.
    fn tls(&self, names: &[&str]) -> Tls {
        let (cert, key) = self.sign(names);
        Tls::new(TlsFiles { cert: &cert, key: &key, ca: &self.pem, server_name: None }).unwrap()
    }
}

fn with_tls(tls: &Tls) -> Runtime {
    node_with(MeshOptions { tls: Some(tls.clone()), ..quick() })
}

#[test]
fn certificates_of_one_authority_open_a_channel() {
    let ca = Authority::new();
    let (a, b) = (with_tls(&ca.tls(&["127.0.0.1"])), with_tls(&ca.tls(&["127.0.0.1"])));
    let wire = Proxy::new(&listen(&b));
    b.register("echo", echo(&b)).unwrap();
    let proxy = a.resolve_remote(&wire.address, "echo", LONG).unwrap().unwrap();
    for length in [0, 1, 64 << 10, 3 << 20] {
        let body = vec![3; length];
        assert_eq!(*a.call_blocking(proxy, body.clone(), LONG).unwrap(), *body);
    }
    // Many at once, over a cut, in order.
    let got = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&got);
    let count = b
        .spawn(move |m: Message, _: &mut Context<'_>| {
            let n = counted.load(Ordering::SeqCst);
            assert_eq!(m.payload[..8], n.to_le_bytes());
            counted.store(n + 1, Ordering::SeqCst);
        })
        .unwrap();
    b.register("count", count).unwrap();
    let to = a.resolve_remote(&wire.address, "count", LONG).unwrap().unwrap();
    for n in 0..20_000_u64 {
        let mut body = n.to_le_bytes().to_vec();
        body.resize(if n % 100 == 0 { 30_000 } else { 64 }, 0);
        assert!(a.send(to, body));
        if n % 5_000 == 2_500 {
            wire.cut();
        }
    }
    until("all have come", || got.load(Ordering::SeqCst) == 20_000);
    assert_eq!(b.nodes().len(), 1);
}

#[test]
fn fault_row_31_another_authority_or_no_certificate_is_refused() {
    let (ca, other) = (Authority::new(), Authority::new());
    let b = with_tls(&ca.tls(&["127.0.0.1"]));
    let at = listen(&b);
    b.register("echo", echo(&b)).unwrap();
    let (cert, key) = other.sign(&["127.0.0.1"]);
    let trusting = TlsFiles { cert: &cert, key: &key, ca: &ca.pem, server_name: None };
    let trusting = Tls::new(trusting).unwrap();
    let secret = Some(Secret::new(b"swordfish").unwrap());
    for (what, stranger) in [
        ("of another authority", with_tls(&other.tls(&["127.0.0.1"]))),
        ("of another authority, and believes this one", with_tls(&trusting)),
        ("without a certificate", node()),
        ("with a secret instead", node_with(MeshOptions { secret, ..quick() })),
    ] {
        let e = stranger.resolve_remote(&at, "echo", LONG).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AuthFailed, "{what}: {e}");
        assert!(e.message().contains(&at), "{e}");
    }
    let open = node();
    let plain = listen(&open);
    let e = with_tls(&ca.tls(&["x"])).resolve_remote(&plain, "echo", LONG).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::AuthFailed, "{e}");
    assert_eq!((b.nodes().len(), open.nodes().len()), (0, 0), "strangers are nobody");
}

#[test]
fn a_certificate_is_for_the_host_or_for_the_name_that_was_said() {
    let ca = Authority::new();
    let b = with_tls(&ca.tls(&["mesh.internal"]));
    let at = listen(&b);
    b.register("echo", echo(&b)).unwrap();
    let e = with_tls(&ca.tls(&["a"])).resolve_remote(&at, "echo", LONG).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::AuthFailed, "{e}");
    let (cert, key) = ca.sign(&["a"]);
    let named = |server_name| TlsFiles { cert: &cert, key: &key, ca: &ca.pem, server_name };
    let a = with_tls(&Tls::new(named(Some("mesh.internal"))).unwrap());
    assert!(a.resolve_remote(&at, "echo", LONG).unwrap().is_some());
}

#[test]
fn a_listener_with_certificates_may_be_reached_from_elsewhere() {
    let ca = Authority::new();
    let b = node();
    let e = listen_with(&b, "0.0.0.0:0", ListenOptions::default()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    let tls = Some(ca.tls(&["127.0.0.1"]));
    let at = listen_with(&b, "0.0.0.0:0", ListenOptions { tls, ..ListenOptions::default() });
    let at = at.unwrap().replace("0.0.0.0", "127.0.0.1");
    b.register("echo", echo(&b)).unwrap();
    let a = with_tls(&ca.tls(&["x"]));
    assert!(a.resolve_remote(&at, "echo", LONG).unwrap().is_some());
}

fn listen_with(rt: &Runtime, at: &str, options: ListenOptions) -> iris::Result<String> {
    let (tx, rx) = channel();
    rt.listen_with(at, options, move |outcome| tx.send(outcome).unwrap());
    rx.recv_timeout(LONG).unwrap()
}

#[test]
fn what_is_no_certificate_is_named() {
    let ca = Authority::new();
    let (cert, key) = ca.sign(&["a"]);
    let (_, other) = ca.sign(&["a"]);
    let good = TlsFiles { cert: &cert, key: &key, ca: &ca.pem, server_name: None };
    assert!(Tls::new(good).is_ok());
    for (files, kind, what) in [
        (TlsFiles { cert: "", ..good }, ErrorKind::InvalidArgument, "tls.cert"),
        (TlsFiles { cert: &key, ..good }, ErrorKind::InvalidArgument, "tls.cert"),
        (TlsFiles { key: &cert, ..good }, ErrorKind::InvalidArgument, "tls.key"),
        (TlsFiles { key: &other, ..good }, ErrorKind::InvalidArgument, "tls.key"),
        (TlsFiles { ca: "/no/such/file", ..good }, ErrorKind::Io, "/no/such/file"),
        (TlsFiles { server_name: Some("a b"), ..good }, ErrorKind::InvalidArgument, "serverName"),
    ] {
        let e = Tls::new(files).unwrap_err();
        assert_eq!(e.kind(), kind, "{e}");
        assert!(e.message().contains(what), "{e}");
    }
}

/// The tests of Node and Python use these; `IRIS_BLESS=1` makes new ones. They are good until 4096 and for nothing.
#[test]
fn the_certificates_of_the_other_tests_are_good() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls");
    let path = |name: &str| format!("{folder}/{name}.pem");
    if std::env::var_os("IRIS_BLESS").is_some() {
        for (authority, node) in [("ca", "node"), ("other-ca", "other-node")] {
            let ca = Authority::new();
            let (cert, key) = ca.sign(&["127.0.0.1", "localhost"]);
            std::fs::write(path(authority), ca.pem).unwrap();
            std::fs::write(path(node), cert).unwrap();
            std::fs::write(path(&format!("{node}-key")), key).unwrap();
        }
    }
    for (authority, node) in [("ca", "node"), ("other-ca", "other-node")] {
        let (cert, key, ca) = (path(node), path(&format!("{node}-key")), path(authority));
        Tls::new(TlsFiles { cert: &cert, key: &key, ca: &ca, server_name: None }).unwrap();
    }
}
