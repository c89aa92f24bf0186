//! The daemon's program: flags in, exit code out.

use clap::Parser;
use orchestratord::{Flags, Settings, StartError, start};
use std::process::ExitCode;

fn main() -> ExitCode {
    let flags = Flags::parse();
    // Before anything secret is in its memory.
    let hardened = orx_sandbox::hardening::close_to_others();
    let environment = orx_sandbox::environment::own();
    let settings = match Settings::load(&flags, &|name| environment.get(name).cloned()) {
        Ok(settings) => settings,
        Err(error) => return fail(&StartError::from(error)),
    };
    if let Err(error) = start::log::open(&settings.log) {
        return fail(&StartError::Config(orchestratord::config::ConfigError::Value {
            name: "log".to_owned(),
            message: error,
        }));
    }
    if let Err(error) = hardened {
        tracing::warn!(%error, "Other processes of this user can look into this one.");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("orchestratord").build() {
        Ok(runtime) => runtime,
        Err(source) => return fail(&StartError::System { what: "the runtime cannot be started", source }),
    };
    let ended = runtime.block_on(orchestratord::run(flags));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &StartError) -> ExitCode {
    use std::io::Write;
    // With standard error closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "orchestratord: {error}");
    ExitCode::from(error.exit_code())
}
