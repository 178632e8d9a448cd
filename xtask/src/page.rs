//! `cargo xtask page`: builds the page, which the hub embeds when it is compiled.

use anyhow::{Context as _, Result};

use crate::npm::{self, npm};
use crate::shell::{self, run};

/// The files and folders that the page is built from, in `web`.
const SOURCES: [&str; 7] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "tsconfig.json",
];

/// Builds the page into `web/dist`, unless it is up to date.
///
/// # Errors
/// Fails if Node.js is missing, a package cannot be installed, or the build fails.
pub(crate) fn build() -> Result<()> {
    let web = shell::root().join("web");
    if npm::is_newer(&web.join("dist/index.html"), &SOURCES.map(|source| web.join(source))) {
        println!("the page in web/dist is up to date");
        return Ok(());
    }
    npm::install_packages("web", &[])?;
    run(&mut npm("web", &["run", "build"])?).context("the page could not be built")
}
