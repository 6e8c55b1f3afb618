//! Certificates: from files, or made on the spot.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use futures_rustls::{
    TlsAcceptor,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    rustls::ServerConfig,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};

/// A certificate for this machine that nobody has signed.
pub(crate) fn made_for_localhost() -> anyhow::Result<TlsAcceptor> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    acceptor(vec![cert.der().clone()], key.into())
}

/// Both in PEM: the server's certificate first in the chain, and its key.
pub(crate) fn from_files(chain: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read certificates from {}", chain.display()))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a key from {}", key.display()))?;
    let does_not_fit = || format!("{} is not for {}", key.display(), chain.display());
    acceptor(certificates, private).with_context(does_not_fit)
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> anyhow::Result<TlsAcceptor> {
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    // A WebSocket is made of a connection of HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
