//! From a wish and what this machine has to a plan, and to the truth about what the plan does not hold.

use std::path::{Path, PathBuf};

use orx_protocol::api::confinement::{Confinement, Mechanism, Network, Sandbox, SandboxMode};

use super::git::{self, GitPaths};
use super::secrets::{OF_A_HOME, OF_THE_MACHINE, SHARED_TEMPORARY, SOCKETS};
use super::{Abilities, ConfineError};

/// The first version of Landlock that keeps signals and abstract sockets within the session.
const SCOPES: i32 = 6;
/// Ports below this one need a right that a session does not have.
const FIRST_FREE_PORT: u16 = 1024;

/// What a session is made of, as far as its sandbox goes. Paths are absolute; those that are not there are left out.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its user's home directory.
    pub home: Option<PathBuf>,
    /// Whether the repository around the working directory is the session's own, made for it.
    pub own_repository: bool,
    /// Whether it may only read its working directory, and the repository around that.
    pub read_only: bool,
    /// Further paths that the caller or the settings let it write.
    pub write: Vec<PathBuf>,
    /// What its engine writes beside the working directory.
    pub engine: Vec<PathBuf>,
    /// What it writes among shared temporary files; only where it does not have such a directory to itself.
    pub shared: Vec<PathBuf>,
    /// What must not be seen: orx's state, other engines' logins, sockets of agents.
    pub hidden: Vec<PathBuf>,
    /// What must be seen although something hidden contains it, such as the directory of the daemon's socket.
    pub shown: Vec<PathBuf>,
    /// Programs that it starts with: they and what lies beside them must be seen.
    pub programs: Vec<PathBuf>,
    /// Its directory for temporary files; it exists.
    pub temporary: PathBuf,
    /// Address of the configured model endpoint.
    pub endpoint: Option<String>,
}

/// A session's sandbox: what is said of it, and what its holder does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confined {
    /// What is said.
    pub sandbox: Sandbox,
    /// What is done; `None` without a sandbox.
    pub plan: Option<Confinement>,
}

fn unconfined(why: String) -> Confined {
    Confined { sandbox: Sandbox { why: Some(why), ..Sandbox::default() }, plan: None }
}

/// Plans a session's sandbox. Looks at the file system and changes nothing of it but for an empty `hooks` directory in a
/// repository that has none.
///
/// # Errors
/// [`ConfineError`] when the wish cannot be held and must be.
pub fn plan(
    mode: SandboxMode,
    network: Network,
    surroundings: &Surroundings,
    abilities: &Abilities,
) -> Result<Confined, ConfineError> {
    let required = match mode {
        SandboxMode::Off => return Ok(unconfined("it was started without one, as it was told to".to_owned())),
        SandboxMode::Required => true,
        SandboxMode::Preferred => false,
    };
    let mechanism = match (&abilities.bubblewrap, abilities.landlock) {
        (Ok(_), _) => Mechanism::Bubblewrap,
        (Err(_), Some(_)) => Mechanism::Landlock,
        (Err(_), None) if required => return Err(ConfineError::Missing { why: abilities.shortcomings() }),
        (Err(_), None) => return Ok(unconfined(abilities.shortcomings())),
    };
    let mut gaps = Vec::new();
    let (network, gateway_port) = match closed(network, mechanism, surroundings, abilities) {
        Ok(port) => (network, port),
        Err(error) if required => return Err(error),
        Err(error) => {
            gaps.push(format!("the network is open: {error}"));
            (Network::On, None)
        }
    };
    let mut plan = Confinement {
        mechanism,
        network,
        bubblewrap: abilities.bubblewrap.as_ref().map_or_else(|_| String::new(), |path| text(path)),
        temporary: text(&surroundings.temporary),
        gateway_port,
        ..Confinement::default()
    };
    let inside = paths(&mut plan, surroundings)?;
    gaps.extend(shortfalls(&plan, inside, surroundings, abilities));
    let sandbox = Sandbox { mechanism, network, write: plan.write.clone(), not_enforced: gaps, why: None };
    Ok(Confined { sandbox, plan: Some(plan) })
}

/// The port that is left open in a closed network, where one is.
fn closed(
    network: Network,
    mechanism: Mechanism,
    surroundings: &Surroundings,
    abilities: &Abilities,
) -> Result<Option<u16>, ConfineError> {
    if network == Network::On {
        return Ok(None);
    }
    if mechanism != Mechanism::Bubblewrap {
        return Err(ConfineError::Beyond(format!(
            "the network `{}` needs bubblewrap, since Landlock knows no datagrams and no addresses: {}",
            network.as_str(),
            abilities.shortcomings()
        )));
    }
    if network == Network::Off {
        return Ok(None);
    }
    let Some(endpoint) = &surroundings.endpoint else {
        return Err(ConfineError::Beyond(
            "the network `gateway` needs a model endpoint: set `engines.endpoint` in orchestratord.yaml".to_owned(),
        ));
    };
    loopback_port(endpoint).map(Some).ok_or_else(|| {
        ConfineError::Beyond(format!(
            "the network `gateway` needs a model endpoint on this machine's loopback with a port of {FIRST_FREE_PORT} or more; `engines.endpoint.url` is {endpoint}"
        ))
    })
}

fn loopback_port(url: &str) -> Option<u16> {
    let authority = url.strip_prefix("http://")?.split(['/', '?', '#']).next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let port = port.parse().ok()?;
    (["127.0.0.1", "localhost"].contains(&host) && port >= FIRST_FREE_PORT).then_some(port)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The path without links, if it is there.
fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

/// Fills in the paths; gives whether the repository's decisive parts lie in what may be written.
fn paths(plan: &mut Confinement, surroundings: &Surroundings) -> Result<bool, ConfineError> {
    let unusable = |path: &Path, why: &str| ConfineError::Path { path: text(path), why: why.to_owned() };
    let hidden: Vec<PathBuf> = surroundings.hidden.iter().filter_map(|path| real(path)).collect();
    let cwd = real(&surroundings.cwd).ok_or_else(|| unusable(&surroundings.cwd, "it is not there"))?;
    let read_only = surroundings.read_only;
    let mut write = if read_only { Vec::new() } else { vec![cwd.clone()] };
    for path in &surroundings.write {
        let real = real(path).ok_or_else(|| unusable(path, "it is not there"))?;
        write.push(real);
    }
    if read_only {
        write.retain(|path| *path != cwd);
    }
    for path in write.iter().chain([&cwd]) {
        // Deeper mounts hide what lies in a directory that is written; Landlock's rights cannot take anything back.
        let contains = plan.mechanism == Mechanism::Landlock && hidden.iter().any(|kept| kept.starts_with(path));
        if path == Path::new("/") || contains {
            return Err(unusable(path, "it contains orx's own state"));
        }
        if hidden.iter().any(|kept| path.starts_with(kept)) {
            return Err(unusable(path, "it lies in orx's own state, or in what the settings hide"));
        }
    }
    let git = if read_only { GitPaths::default() } else { git::paths(&cwd, surroundings.own_repository) };
    write.extend(git.write.iter().filter_map(|path| real(path)));
    write.extend(surroundings.engine.iter().filter_map(|path| real(path)));
    let shared = surroundings.shared.iter().filter(|_| plan.mechanism == Mechanism::Landlock);
    write.extend(shared.filter_map(|path| real(path)));
    let mut read: Vec<PathBuf> = git.keep.iter().filter_map(|path| real(path)).collect();
    read.extend(read_only.then(|| cwd.clone()));
    read.extend(surroundings.shown.iter().filter_map(|path| real(path)));
    if let Some(home) = surroundings.home.as_deref().and_then(real) {
        if home.starts_with(&cwd) {
            read.extend(dotfiles(&home).into_iter().filter(|path| !write.contains(path)));
        }
        // One that lies among shared temporary files would be gone with them.
        if is_covered(&home) && !write.iter().any(|path| home.starts_with(path)) {
            read.push(home.clone());
        }
        plan.hidden.extend(OF_A_HOME.iter().filter_map(|name| real(&home.join(name))).map(|path| text(&path)));
    }
    plan.hidden.extend(hidden.iter().map(|path| text(path)));
    plan.hidden.extend(OF_THE_MACHINE.iter().filter_map(|path| real(Path::new(path))).map(|path| text(&path)));
    read.extend(surroundings.programs.iter().flat_map(|program| beside(program, plan)));
    // What the session must write is not hidden from it by being a person's secret in the usual place.
    plan.hidden.retain(|path| !write.iter().any(|own| own.as_path() == Path::new(path)));
    plan.write = write.iter().map(|path| text(path)).collect();
    plan.read = read.iter().map(|path| text(path)).filter(|path| !plan.write.contains(path)).collect();
    for list in [&mut plan.write, &mut plan.read, &mut plan.hidden] {
        list.sort_unstable();
        list.dedup();
    }
    Ok(git.inside)
}

/// Entries of a home whose names begin with a dot: they decide what the person's programs do.
fn dotfiles(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(home) else { return Vec::new() };
    let is_hidden = |entry: &std::fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    entries.filter_map(Result::ok).filter(is_hidden).filter_map(|entry| real(&entry.path())).collect()
}

/// Whether a path lies in a directory that a session gets one of its own for.
fn is_covered(path: &Path) -> bool {
    SHARED_TEMPORARY.iter().chain(&SOCKETS).any(|cover| path.starts_with(cover))
}

/// The file by which Python knows a virtual environment.
const VIRTUAL_ENVIRONMENT: &str = "pyvenv.cfg";

/// Where a program and its parts lie, as far as that is hidden: an installed package is seen as a whole.
fn beside(program: &Path, plan: &Confinement) -> Vec<PathBuf> {
    let is_hidden = |path: &PathBuf| is_covered(path) || plan.hidden.iter().any(|cover| path.starts_with(cover));
    let package = |path: PathBuf| {
        let mut whole = PathBuf::new();
        for part in path.components() {
            whole.push(part);
            if part.as_os_str() == "node_modules" {
                return whole;
            }
        }
        let Some(directory) = path.parent() else { return path };
        // The modules of a program of Python lie beside the directory of the programs.
        let environment = directory.parent().filter(|environment| environment.join(VIRTUAL_ENVIRONMENT).is_file());
        environment.unwrap_or(directory).to_owned()
    };
    [Some(program.to_owned()), real(program)].into_iter().flatten().map(package).filter(is_hidden).collect()
}

/// What the plan's mechanism cannot hold.
fn shortfalls(plan: &Confinement, inside: bool, surroundings: &Surroundings, abilities: &Abilities) -> Vec<String> {
    let scopes = abilities.landlock.is_some_and(|version| version >= SCOPES);
    let mut gaps = Vec::new();
    let home = surroundings.home.as_deref().and_then(real);
    if home.is_some_and(|home| plan.write.iter().any(|path| home.starts_with(path))) {
        gaps.push("it works in the home directory: what is not there yet can be made, new dotfiles too".to_owned());
    }
    if !scopes && plan.network == Network::On {
        gaps.push(
            "abstract sockets of other programs can be connected to: this needs Landlock 6 (Linux 6.12)".to_owned(),
        );
    }
    if plan.mechanism != Mechanism::Landlock {
        return gaps;
    }
    gaps.push("sockets with a path (docker.sock, an ssh-agent) can be connected to: this needs bubblewrap".to_owned());
    gaps.push("terminals of the user's other programs can be opened: this needs bubblewrap".to_owned());
    if !scopes {
        gaps.push("the user's other processes can be signalled: this needs bubblewrap, or Landlock 6".to_owned());
    }
    if inside {
        gaps.push(
            "hooks and settings of the repository can be changed: this needs bubblewrap, or a worktree".to_owned(),
        );
    }
    let cwd = real(&surroundings.cwd).filter(|_| surroundings.read_only);
    let around = cwd.and_then(|cwd| plan.write.iter().find(|path| cwd.starts_with(path)));
    gaps.extend(around.map(|path| format!("its working directory can be written: {path}, which contains it, may be")));
    let within = |hidden: &&String| plan.write.iter().any(|write| Path::new(hidden).starts_with(write));
    gaps.extend(plan.hidden.iter().filter(within).map(|path| format!("{path} lies in what may be written")));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abilities(bubblewrap: bool, landlock: Option<i32>) -> Abilities {
        let bubblewrap =
            if bubblewrap { Ok(PathBuf::from("/usr/bin/bwrap")) } else { Err("it is not there".to_owned()) };
        Abilities { landlock, bubblewrap }
    }

    /// A home with a key, a project below it, and orx's state beside it.
    fn surroundings(top: &Path) -> Surroundings {
        for name in ["home/project", "home/.ssh", "state/engines", "tmp"] {
            std::fs::create_dir_all(top.join(name)).unwrap();
        }
        Surroundings {
            cwd: top.join("home/project"),
            home: Some(top.join("home")),
            hidden: vec![top.join("state")],
            engine: vec![top.join("state/engines"), top.join("absent")],
            temporary: top.join("tmp"),
            ..Surroundings::default()
        }
    }

    /// Makes a directory what git takes for a repository.
    fn repository(directory: &Path) {
        std::fs::create_dir_all(directory.join(".git/objects")).unwrap();
        std::fs::write(directory.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    #[test]
    fn the_strongest_mechanism_that_works_is_taken_and_none_is_an_error_unless_told() {
        let top = tempfile::tempdir().unwrap();
        let around = surroundings(top.path());
        let made = |mode, abilities: &Abilities| plan(mode, Network::On, &around, abilities);
        let mechanism = |bubblewrap, landlock| {
            made(SandboxMode::Required, &abilities(bubblewrap, landlock)).unwrap().sandbox.mechanism
        };
        assert_eq!(mechanism(true, None), Mechanism::Bubblewrap);
        assert_eq!(mechanism(true, Some(6)), Mechanism::Bubblewrap);
        assert_eq!(mechanism(false, Some(1)), Mechanism::Landlock);
        let none = abilities(false, None);
        let refused = made(SandboxMode::Required, &none).unwrap_err();
        assert!(
            matches!(refused, ConfineError::Missing { .. }) && refused.hint().contains("--no-sandbox"),
            "{refused}"
        );
        let open = made(SandboxMode::Preferred, &none).unwrap();
        assert!(open.plan.is_none() && open.sandbox.why.unwrap().contains("it is not there"));
        let off = made(SandboxMode::Off, &abilities(true, Some(7))).unwrap();
        assert!(off.plan.is_none() && off.sandbox.mechanism == Mechanism::None);
    }

    #[test]
    fn the_workspace_is_written_the_state_and_the_keys_are_not_seen() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let made = plan(SandboxMode::Required, Network::On, &surroundings(&top), &abilities(true, Some(7))).unwrap();
        let plan = made.plan.unwrap();
        let at = |name: &str| text(&top.join(name));
        assert_eq!(plan.write, [at("home/project"), at("state/engines")]);
        assert!(plan.hidden.contains(&at("home/.ssh")) && plan.hidden.contains(&at("state")));
        assert_eq!(made.sandbox.not_enforced, Vec::<String>::new());
    }

    #[test]
    fn a_working_directory_that_may_only_be_read_is_not_written_and_what_opens_it_is_said() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let mut around = surroundings(&top);
        around.read_only = true;
        repository(&top.join("home/project"));
        let cwd = text(&around.cwd);
        let made = |around: &Surroundings, bubblewrap| {
            let made = plan(SandboxMode::Required, Network::On, around, &abilities(bubblewrap, Some(7))).unwrap();
            (made.plan.unwrap(), made.sandbox.not_enforced.join("; "))
        };
        for bubblewrap in [true, false] {
            let (plan, gaps) = made(&around, bubblewrap);
            assert!(!plan.write.iter().any(|path| path.starts_with(&cwd)), "{:?}", plan.write);
            assert!(plan.read.contains(&cwd) && !gaps.contains("working directory"), "{gaps}");
            assert!(!top.join("home/project/.git/hooks").exists(), "nothing is made in what may not be written");
        }
        // A path that every session may write does not open it where a deeper mount can close it again.
        around.write = vec![around.cwd.clone(), top.join("home")];
        let (plan, _) = made(&around, true);
        assert!(plan.read.contains(&cwd) && !plan.write.contains(&cwd));
        assert!(made(&around, false).1.contains("its working directory can be written"));
    }

    #[test]
    fn a_wish_that_would_open_what_is_hidden_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let mut around = surroundings(top.path());
        let refused = |around: &Surroundings| {
            plan(SandboxMode::Preferred, Network::On, around, &abilities(false, Some(7))).unwrap_err().to_string()
        };
        around.write = vec![top.path().join("state/engines")];
        assert!(refused(&around).contains("lies in orx's own state"));
        around.write = vec![top.path().join("nowhere")];
        assert!(refused(&around).contains("not there"));
        around.write = vec![PathBuf::from("/")];
        assert!(refused(&around).contains("contains orx's own state"));
        around.write.clear();
        around.cwd = top.path().to_owned();
        assert!(refused(&around).contains("contains orx's own state"));
        let hidden = plan(SandboxMode::Required, Network::On, &around, &abilities(true, None)).unwrap().plan.unwrap();
        assert!(hidden.hidden.iter().any(|path| path.ends_with("state")), "a deeper mount hides it");
        around.cwd = top.path().join("state/engines");
        assert!(refused(&around).contains("lies in orx's own state"));
    }

    #[test]
    fn a_closed_network_is_held_or_refused() {
        let top = tempfile::tempdir().unwrap();
        let mut around = surroundings(top.path());
        let closed = |network, around: &Surroundings, bubblewrap| {
            plan(SandboxMode::Required, network, around, &abilities(bubblewrap, Some(7)))
        };
        assert!(closed(Network::Off, &around, true).is_ok());
        assert!(closed(Network::Off, &around, false).unwrap_err().to_string().contains("needs bubblewrap"));
        assert!(closed(Network::Gateway, &around, true).unwrap_err().to_string().contains("engines.endpoint"));
        for (endpoint, port) in [
            ("http://127.0.0.1:4000", Some(4000)),
            ("http://localhost:4000/v1", Some(4000)),
            ("http://127.0.0.1:80", None),
            ("https://127.0.0.1:4000", None),
            ("http://gateway.example:4000", None),
            ("http://127.0.0.1", None),
        ] {
            around.endpoint = Some(endpoint.to_owned());
            let made = closed(Network::Gateway, &around, true);
            assert_eq!(made.ok().and_then(|made| made.plan.unwrap().gateway_port), port, "{endpoint}");
        }
        let open = plan(SandboxMode::Preferred, Network::Off, &around, &abilities(false, Some(7))).unwrap().sandbox;
        assert_eq!(open.network, Network::On);
        assert!(open.not_enforced[0].contains("the network is open"));
    }

    #[test]
    fn what_landlock_alone_cannot_hold_is_said() {
        let top = tempfile::tempdir().unwrap();
        let around = surroundings(top.path());
        repository(&around.cwd);
        let gaps = |version| {
            let made = plan(SandboxMode::Required, Network::On, &around, &abilities(false, Some(version))).unwrap();
            made.sandbox.not_enforced.join("; ")
        };
        assert!(gaps(7).contains("docker.sock") && gaps(7).contains("hooks") && !gaps(7).contains("signalled"));
        assert!(gaps(5).contains("signalled") && gaps(5).contains("abstract"));
    }

    #[test]
    fn in_the_home_directory_dotfiles_stay_as_they_are() {
        let top = tempfile::tempdir().unwrap();
        let mut around = surroundings(top.path());
        let home = around.home.clone().unwrap();
        std::fs::write(home.join(".bashrc"), "").unwrap();
        around.cwd = home.clone();
        let made = plan(SandboxMode::Required, Network::On, &around, &abilities(true, Some(7))).unwrap();
        assert!(made.plan.unwrap().read.contains(&text(&home.canonicalize().unwrap().join(".bashrc"))));
        assert!(made.sandbox.not_enforced[0].contains("home directory"));
    }

    #[test]
    fn programs_in_hidden_places_are_seen_with_their_packages() {
        let package = beside(Path::new("/tmp/x/node_modules/.bin/claude"), &Confinement::default());
        assert_eq!(package, [PathBuf::from("/tmp/x/node_modules")]);
        assert_eq!(beside(Path::new("/usr/bin/true"), &Confinement::default()), Vec::<PathBuf>::new());
        let top = tempfile::tempdir().unwrap();
        let environment = top.path().canonicalize().unwrap();
        std::fs::create_dir(environment.join("bin")).unwrap();
        let program = environment.join("bin/aider");
        std::fs::write(&program, "").unwrap();
        let hidden = Confinement { hidden: vec![environment.to_string_lossy().into_owned()], ..Confinement::default() };
        let whole = |seen: &Path| beside(&program, &hidden).iter().all(|shown| shown == seen);
        assert!(whole(&environment.join("bin")));
        std::fs::write(environment.join(VIRTUAL_ENVIRONMENT), "").unwrap();
        assert!(whole(&environment));
    }
}
