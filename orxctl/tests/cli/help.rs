//! The help of every command, compared with golden files.

use clap::CommandFactory;
use orxctl::arguments::Arguments;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_has_help_with_examples() {
    let mut command = Arguments::command().term_width(100);
    command.build();
    insta::assert_snapshot!("orxctl", command.render_long_help().to_string());
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names.iter().filter(|name| *name != "help") {
        let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
        assert!(help.contains("Examples:"), "{name} has no examples");
        insta::assert_snapshot!(format!("orxctl_{name}"), help);
    }
}
