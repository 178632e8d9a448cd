//! Environment variables that look like settings of Tickwire, but are not.

use std::collections::BTreeSet;
use std::env;

use tickwire_hub::closest;

use crate::cli;

const PREFIX: &str = "TICKWIRE_";
/// Variables of the project's own tests and benches.
const OF_TESTS: [&str; 4] =
    ["TICKWIRE_BIN", "TICKWIRE_TEST_SCALE", "TICKWIRE_TEST_SEED", "TICKWIRE_TEST_TLS"];
/// Beginnings of the variables that Kubernetes sets for a service named `tickwire`.
const OF_KUBERNETES: [&str; 2] = ["TICKWIRE_PORT", "TICKWIRE_SERVICE_"];

/// Returns a warning for each variable of the environment that begins like the variables of
/// Tickwire, and that no command reads.
pub(crate) fn unknown_variables() -> Vec<String> {
    let given = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    warnings(given.collect())
}

fn warnings(given: BTreeSet<String>) -> Vec<String> {
    let known = variables(&cli::command());
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let is_unknown = |name: &String| {
        name.starts_with(PREFIX)
            && !known.contains(&name.as_str())
            && !OF_TESTS.contains(&name.as_str())
            && !OF_KUBERNETES.iter().any(|begin| name.starts_with(begin))
    };
    let warning = |name: String| match closest(&name, &known) {
        Some(closest) => format!("unknown variable {name}, did you mean {closest}?"),
        None => {
            format!("unknown variable {name}; `tickwire help COMMAND` lists those of a command")
        }
    };
    given.into_iter().filter(is_unknown).map(warning).collect()
}

/// Returns the variables that a command and its own commands read.
fn variables(command: &clap::Command) -> BTreeSet<String> {
    let names = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
    let own = names.map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings_about(names: &[&str]) -> Vec<String> {
        warnings(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn unknown_variable_is_named_with_the_closest_known_one() {
        assert_eq!(
            warnings_about(&["TICKWIRE_LISTN", "TICKWIRE_SOMETHING_ELSE", "PATH"]),
            [
                "unknown variable TICKWIRE_LISTN, did you mean TICKWIRE_LISTEN?",
                "unknown variable TICKWIRE_SOMETHING_ELSE; `tickwire help COMMAND` lists those of a command",
            ]
        );
    }

    #[test]
    fn variables_of_other_commands_tests_and_kubernetes_are_known() {
        let known = ["TICKWIRE_ALPACA_KEY", "TICKWIRE_KEYS", "TICKWIRE_TEST_SEED"];
        assert_eq!(warnings_about(&known), [""; 0]);
        let kubernetes = ["TICKWIRE_PORT_8080_TCP_ADDR", "TICKWIRE_SERVICE_HOST"];
        assert_eq!(warnings_about(&kubernetes), [""; 0]);
    }
}
