//! Who calls: by a key of orx in any of the headers that clients put keys into, or before the path; or, with a key of orx beside it,
//! with a login of the caller's own that goes on to its vendor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use orx_protocol::{SessionId, clock};
use orx_router::budget::Payer;

use crate::key::{Bearer, Keys};
use crate::named::{Named, Standing};

/// The header for a key of orx where another key, or a login, has its own place taken.
pub const KEY_HEADER: &str = "x-orx-key";

/// The user whose token and keys with names these are.
const LOCAL: &str = "local";

/// Whose key the provider gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The operator's.
    Operator,
    /// The caller's own, which is passed through.
    Own,
}

/// A caller that is known.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who pays.
    pub payer: Payer,
    /// The stage of the run that it is of.
    pub stage: Option<Arc<str>>,
    /// Whose key the provider gets.
    pub login: Login,
}

impl Caller {
    /// Its name where how much it asks is counted.
    #[must_use]
    pub fn name(&self) -> &str {
        let Payer { session, key, user, .. } = &self.payer;
        session.as_deref().or(key.as_deref()).or(user.as_deref()).unwrap_or("anybody")
    }
}

/// What is known of a session.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// Whether it still runs.
    pub is_running: bool,
    /// The run that it serves.
    pub run: Option<Arc<str>>,
    /// The stage of the run.
    pub stage: Option<Arc<str>>,
    /// The project: its repository or directory.
    pub project: Option<Arc<str>>,
    /// The engine, as the name of whoever spends.
    pub user: Option<Arc<str>>,
}

/// What is to be known of a session; `None` where there is none of that name.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Option<Who>> + Send + 'a>>;

/// Whoever knows the sessions.
pub trait Callers: Send + Sync + 'static {
    /// What is known of a session now.
    fn session(&self, session: SessionId) -> Asked<'_>;
}

/// Why a caller is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// There is no key at all.
    #[error(
        "this needs a key of orx: send it as `Authorization: Bearer`, `x-api-key`, `x-goog-api-key` or `{KEY_HEADER}`"
    )]
    NoKey,
    /// The key is none of orx's.
    #[error(
        "the key is none of orx's; a session's is in its environment, the local user's token is in the file `token` in ORX_HOME"
    )]
    Wrong,
    /// The key's session has ended, or is not known.
    #[error("the session {0} of this key has ended: its key is void")]
    Ended(SessionId),
    /// The key was revoked.
    #[error("the key named `{0}` was revoked: it is void")]
    Revoked(Arc<str>),
}

/// The keys that a call carries, in the order in which they count: what was put there for orx alone comes first.
fn presented<'h>(headers: &'h HeaderMap, in_path: Option<&'h str>) -> impl Iterator<Item = &'h str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    [in_path, text(KEY_HEADER), bearer, text("x-api-key"), text("x-goog-api-key")].into_iter().flatten()
}

/// Finds out who calls.
///
/// # Errors
/// [`Unknown`].
pub async fn identify(
    keys: &Keys,
    named: &Named,
    callers: &dyn Callers,
    headers: &HeaderMap,
    in_path: Option<&str>,
) -> Result<Caller, Unknown> {
    let mut known = None;
    let mut foreign = false;
    for key in presented(headers, in_path) {
        match keys.read(key) {
            Bearer::Foreign => foreign = true,
            Bearer::Forged => return Err(Unknown::Wrong),
            bearer => known = known.or(Some(bearer)),
        }
    }
    // A key of orx says who it is; a login of the caller's own beside it is for the vendor.
    let login = if foreign { Login::Own } else { Login::Operator };
    match known {
        None if foreign => Err(Unknown::Wrong),
        None => Err(Unknown::NoKey),
        Some(Bearer::Session(session)) => {
            let who = callers.session(session).await.filter(|who| who.is_running).ok_or(Unknown::Ended(session))?;
            Ok(Caller {
                payer: Payer {
                    session: Some(session.to_string().into()),
                    run: who.run,
                    project: who.project,
                    user: who.user,
                    key: None,
                },
                stage: who.stage,
                login,
            })
        }
        Some(Bearer::Named(key)) => match named.standing(key) {
            Some(Standing::InForce(name)) => {
                named.used(key, clock::now_ms());
                Ok(Caller {
                    payer: Payer { key: Some(name), user: Some(LOCAL.into()), ..Payer::default() },
                    stage: None,
                    login,
                })
            }
            Some(Standing::Revoked(name)) => Err(Unknown::Revoked(name)),
            // Its seal is right, and its record is not here.
            None => Err(Unknown::Wrong),
        },
        Some(_) => Ok(Caller { payer: Payer { user: Some(LOCAL.into()), ..Payer::default() }, stage: None, login }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    struct One(SessionId, bool);

    impl Callers for One {
        fn session(&self, session: SessionId) -> Asked<'_> {
            let who = Who { is_running: self.1, run: Some("run_1".into()), ..Who::default() };
            Box::pin(async move { (session == self.0).then_some(who) })
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[tokio::test]
    async fn a_key_is_found_wherever_a_client_puts_it() {
        let keys = Keys::new("the token of the local user");
        let session = SessionId::generate();
        let (key, bearer) = (keys.of_session(session), format!("Bearer {}", keys.of_session(session)));
        let callers = One(session, true);
        for (headers, path, login) in [
            (headers(&[("authorization", &bearer)]), None, Login::Operator),
            (headers(&[("x-api-key", &key)]), None, Login::Operator),
            (headers(&[("x-goog-api-key", &key)]), None, Login::Operator),
            (headers(&[]), Some(key.as_str()), Login::Operator),
            (headers(&[("authorization", "Bearer sk-ant-oat01-own"), ("x-orx-key", &key)]), None, Login::Own),
            (headers(&[("x-api-key", "sk-own")]), Some(key.as_str()), Login::Own),
        ] {
            let caller = identify(&keys, &Named::default(), &callers, &headers, path).await.unwrap();
            assert_eq!((caller.login, caller.payer.run.as_deref()), (login, Some("run_1")), "{headers:?}");
        }
        let user = identify(
            &keys,
            &Named::default(),
            &callers,
            &headers(&[("x-api-key", "the token of the local user")]),
            None,
        )
        .await;
        assert_eq!(user.unwrap().name(), "local");
    }

    #[tokio::test]
    async fn who_has_no_key_of_orx_is_not_served() {
        let keys = Keys::new("token");
        let session = SessionId::generate();
        let key = keys.of_session(session);
        let ended = One(session, false);
        let forged = Keys::new("another").of_session(session);
        for (pairs, error) in [
            (vec![], Unknown::NoKey),
            (vec![("authorization", "Basic abc")], Unknown::NoKey),
            (vec![("x-api-key", "sk-own")], Unknown::Wrong),
            (vec![("x-api-key", forged.as_str())], Unknown::Wrong),
            (vec![("x-api-key", key.as_str())], Unknown::Ended(session)),
        ] {
            assert_eq!(
                identify(&keys, &Named::default(), &ended, &headers(&pairs), None).await.unwrap_err(),
                error,
                "{pairs:?}"
            );
        }
    }
}
