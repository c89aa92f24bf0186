//! What a browser lets slip: requests that a foreign page made, and names that were rebound to this machine. Pure.

/// Names under which this daemon may be addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    names: Vec<String>,
    port: u16,
}

/// Why a request was refused before it was routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// No `Host`, or one that is not this daemon.
    #[error("the Host header does not name this daemon")]
    Host,
    /// `Origin` is another site.
    #[error("the Origin header names another site")]
    Origin,
    /// `Sec-Fetch-Site` says that another site made the request.
    #[error("the browser says that another site made this request")]
    FetchSite,
}

impl Hosts {
    /// The loopback names and `further` ones, at the listener's port.
    #[must_use]
    pub fn new(port: u16, further: &[String]) -> Self {
        let mut names: Vec<String> = ["127.0.0.1", "localhost", "[::1]"].map(ToOwned::to_owned).to_vec();
        names.extend(further.iter().map(|name| name.to_ascii_lowercase()));
        Self { names, port }
    }

    fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => (name, Some(port)),
            _ => (host.as_str(), None),
        };
        let port_fits = port.is_none_or(|port| port.parse() == Ok(self.port));
        port_fits && self.names.iter().any(|known| known == name)
    }

    /// Checks the headers of a request, before anything else of it is looked at.
    ///
    /// # Errors
    /// [`Foreign`].
    pub fn check(&self, host: Option<&str>, origin: Option<&str>, fetch_site: Option<&str>) -> Result<(), Foreign> {
        if !host.is_some_and(|host| self.allows(host)) {
            return Err(Foreign::Host);
        }
        if let Some(origin) = origin {
            let same = ["http://", "https://"]
                .iter()
                .find_map(|scheme| origin.strip_prefix(scheme))
                .is_some_and(|rest| self.allows(rest) && !rest.contains('/'));
            if !same {
                return Err(Foreign::Origin);
            }
        }
        match fetch_site {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => Err(Foreign::FetchSite),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_own_origins_and_own_fetches_pass() {
        let hosts = Hosts::new(8090, &["box.example".to_owned()]);
        for host in ["127.0.0.1:8090", "localhost:8090", "LOCALHOST", "[::1]:8090", "box.example:8090"] {
            assert_eq!(hosts.check(Some(host), None, None), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1:80", "127.0.0.1.evil.example:8090", "", "localhost:8090:1", "0.0.0.0:8090"]
        {
            assert_eq!(hosts.check(Some(host), None, None), Err(Foreign::Host), "{host}");
        }
        assert_eq!(hosts.check(None, None, None), Err(Foreign::Host));
        let own = Some("127.0.0.1:8090");
        assert_eq!(hosts.check(own, Some("http://127.0.0.1:8090"), Some("same-origin")), Ok(()));
        for origin in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:8091",
            "file://",
            "http://127.0.0.1:8090/x",
            "ws://127.0.0.1:8090",
        ] {
            assert_eq!(hosts.check(own, Some(origin), None), Err(Foreign::Origin), "{origin}");
        }
        for site in ["cross-site", "same-site", "nonsense"] {
            assert_eq!(hosts.check(own, None, Some(site)), Err(Foreign::FetchSite), "{site}");
        }
    }
}
