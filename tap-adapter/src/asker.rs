//! Who asks over HTTP: the field `Authorization`, and the address that the request came from.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};
use jobs::{Jobs, SignInRefusal};

use crate::{Doors, refusal::Refusal};

/// Where a connection comes from, noted with each of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// What guesses are counted by. An address of this host or of a private network may be that of a proxy, behind which
    /// is everybody; and of an address of IPv6 a client may choose the second half.
    fn counted(self) -> Option<String> {
        match self.0 {
            IpAddr::V4(v4) if v4.is_loopback() || v4.is_private() || v4.is_link_local() => None,
            IpAddr::V4(v4) => Some(v4.to_string()),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Self(v4.into()).counted(),
                None if v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() => None,
                None => {
                    let [a, b, c, d, ..] = v6.segments();
                    Some(format!("{a:x}:{b:x}:{c:x}:{d:x}::/64"))
                }
            },
        }
    }
}

/// The jobs of whoever asks.
pub(crate) struct Asker(pub(crate) Arc<Jobs>);

impl FromRequestParts<Doors> for Asker {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<Self, Refusal> {
        let Some(authorization) = parts.headers.get(header::AUTHORIZATION) else {
            return Ok(Self(Arc::clone(&doors.jobs)));
        };
        let address = parts.extensions.get::<Peer>().and_then(|peer| peer.counted());
        let signed_in = doors.jobs.signed_in(Some(authorization.as_bytes()), address.as_deref()).await;
        Ok(Self(Arc::new(signed_in?)))
    }
}

impl From<SignInRefusal> for Refusal {
    fn from(refusal: SignInRefusal) -> Self {
        let sentence = refusal.to_string();
        match refusal {
            SignInRefusal::Wrong(_) => Self::new(StatusCode::UNAUTHORIZED, sentence),
            SignInRefusal::NotForQueries => Self::new(StatusCode::FORBIDDEN, sentence),
            SignInRefusal::Barred { wait } => Self::new(StatusCode::TOO_MANY_REQUESTS, sentence).retry_after(wait),
            SignInRefusal::Failed(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_counted_by_networks_of_one_client() {
        let counted = |text: &str| Peer(text.parse().unwrap()).counted();
        for nobody in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "::1", "fd00::1", "fe80::1", "::ffff:127.0.0.1"] {
            assert_eq!(counted(nobody), None, "{nobody}");
        }
        assert_eq!(counted("192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(counted("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(counted("2001:db8:1:2:3:4:5:6").as_deref(), Some("2001:db8:1:2::/64"));
    }
}
