//! The processes of a session, wherever they went: what descends from the holder or its keeper, and what carries the
//! session's mark in its environment.

use std::path::PathBuf;

use nix::sys::signal::Signal;
use orx_protocol::SessionId;
use orx_protocol::api::confinement::Mechanism;
use orx_protocol::hold::HoldSpec;
use orx_protocol::places::variable;
use orx_protocol::process::ProcessIdentity;
use orx_sandbox::{descent, identity, limits, tree};

/// How often a tree that is held still is looked at for processes that were just started: a fork bomb is not raced.
const PAUSE_ROUNDS: usize = 16;

/// What bubblewrap's processes are called.
const WRAPPER: &str = "bwrap";

/// Which processes belong to a session.
#[derive(Debug, Clone)]
pub struct Tree {
    session: String,
    own: i32,
    starter: Option<ProcessIdentity>,
    keeper: Option<ProcessIdentity>,
    child: ProcessIdentity,
    /// Control groups that the session's processes are in.
    groups: Vec<PathBuf>,
    /// Whether the child only waits for the program, as bubblewrap does; it ends with it.
    is_wrapped: bool,
}

impl Tree {
    /// The tree of `child`, held by this process. What the holder's `keeper` took in belongs to it too, and what started
    /// the holder does not.
    #[must_use]
    pub fn new(
        session: SessionId,
        child: ProcessIdentity,
        keeper: Option<ProcessIdentity>,
        starter: Option<ProcessIdentity>,
    ) -> Self {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        Self { session: session.to_string(), own, starter, keeper, child, groups: Vec::new(), is_wrapped: false }
    }

    /// The same tree, confined and limited as its description says.
    #[must_use]
    pub fn held_by(mut self, spec: &HoldSpec) -> Self {
        self.groups = limits::groups(spec.caps.as_ref());
        self.is_wrapped = spec.confinement.as_ref().is_some_and(|plan| plan.mechanism == Mechanism::Bubblewrap);
        self
    }

    /// Whether a process of it was ended by the kernel because the tree's memory was used up.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        limits::out_of_memory(&self.groups)
    }

    /// Takes away what limited the tree, once it is gone; a process that is still in it is killed.
    pub fn dismiss(&self) {
        limits::remove(&self.groups);
    }

    /// Processes from which all descends that must not speak to the holder.
    #[must_use]
    pub fn roots(&self) -> Vec<i32> {
        [Some(self.own), self.keeper.map(|keeper| keeper.pid), Some(self.child.pid)].into_iter().flatten().collect()
    }

    /// The keeper is gone.
    pub fn forget_keeper(&mut self) {
        self.keeper = None;
    }

    /// The living processes of the session; this one and its keeper are not among them. Those that left every parent
    /// behind are looked for by their mark, which takes longer, once there are no others.
    #[must_use]
    pub fn members(&self) -> Vec<ProcessIdentity> {
        let related = self.related();
        if related.is_empty() { self.marked() } else { related }
    }

    /// The living processes of the session as far as a glance tells, which is cheap: to say what runs, not to end it.
    #[must_use]
    pub fn seen(&self) -> Vec<ProcessIdentity> {
        let mut found = tree::descendants_at_a_glance(self.root());
        if !found.contains(&self.child) && identity::is_alive(self.child) {
            found.push(self.child);
            found.extend(tree::descendants_at_a_glance(self.child.pid));
        }
        found.retain(|process| process.pid != self.own);
        tidy(found)
    }

    /// How many of them live. What bubblewrap still has to do once the program ended counts as done: the kernel ends its
    /// namespace with it.
    #[must_use]
    pub fn alive(&self) -> usize {
        let members = self.members();
        if !self.is_wrapped || identity::is_alive(self.child) {
            return members.len();
        }
        let count = |members: Vec<ProcessIdentity>| {
            members.iter().filter(|process| descent::name(process.pid).as_deref() != Some(WRAPPER)).count()
        };
        // A look at a tree whose parents die while it is looked at may miss some: they still carry the mark.
        match count(members) {
            0 => count(self.marked()),
            living => living,
        }
    }

    /// The living processes of the session, each that can be found in any way.
    #[must_use]
    pub fn all(&self) -> Vec<ProcessIdentity> {
        let mut all = self.related();
        all.extend(self.marked());
        tidy(all)
    }

    /// The process that all others descend from.
    fn root(&self) -> i32 {
        self.keeper.filter(|keeper| identity::is_alive(*keeper)).map_or(self.own, |keeper| keeper.pid)
    }

    fn related(&self) -> Vec<ProcessIdentity> {
        let mut found = tree::descendants(self.root());
        // Where this holder took over without a keeper, the program descends from neither.
        if !found.contains(&self.child) {
            found.extend(tree::with_descendants(self.child));
        }
        found.extend(limits::members(&self.groups));
        found.retain(|process| process.pid != self.own);
        tidy(found)
    }

    fn marked(&self) -> Vec<ProcessIdentity> {
        let mut found = tree::marked(variable::SESSION).remove(&self.session).unwrap_or_default();
        found.retain(|process| {
            process.pid != self.own && Some(*process) != self.keeper && Some(*process) != self.starter
        });
        found
    }

    /// Asks every process of the session to end.
    pub fn ask_to_end(&self) {
        let waits = |process: &ProcessIdentity| self.is_wrapped && *process == self.child;
        for process in self.all().into_iter().filter(|process| !waits(process)) {
            // A shell ends on the hang-up of its terminal, most else on SIGTERM; a stopped one needs to run to do so.
            for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGCONT] {
                tree::signal(process, signal);
            }
        }
    }

    /// Holds every process of the session still, also those that were started while the others were told.
    pub fn pause(&self) {
        let mut told = Vec::new();
        for _ in 0..PAUSE_ROUNDS {
            let fresh: Vec<_> = self.all().into_iter().filter(|process| !told.contains(process)).collect();
            if fresh.is_empty() {
                return;
            }
            for process in &fresh {
                tree::signal(*process, Signal::SIGSTOP);
            }
            told.extend(fresh);
        }
    }

    /// Lets every process of the session go on.
    pub fn go_on(&self) {
        for process in self.all() {
            tree::signal(process, Signal::SIGCONT);
        }
    }

    /// Kills every process of the session.
    pub fn kill(&self) {
        for process in self.members() {
            tree::signal(process, Signal::SIGKILL);
        }
    }
}

fn tidy(mut processes: Vec<ProcessIdentity>) -> Vec<ProcessIdentity> {
    processes.sort_unstable_by_key(|process| (process.pid, process.start_time));
    processes.dedup();
    processes
}
