//! Puts the page together for embedding: builds it where Node is present, takes a page that was built
//! before where it is not, and otherwise leaves a note on how to get it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

const NOTE: &str = "<!doctype html><meta charset=utf-8><title>Tickwire</title>\
<p>This hub was built without its page, because Node.js was missing. The hub itself is complete: \
connect to <code>/ws</code>.<p>To get the page, install Node.js 20 or later and build again \
(<code>cargo build --release</code>), or run the container image.";

/// What the page is made of, below `web`.
const SOURCES: [&str; 7] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "tsconfig.json",
];

fn main() {
    let web =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../web");
    let page = PathBuf::from(env::var("OUT_DIR").expect("set by cargo")).join("page");
    for source in SOURCES.iter().map(|source| web.join(source)).filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    // Missing, it makes cargo run this again: Node.js may have come, or a page that was built by hand.
    println!("cargo::rerun-if-changed={}", web.join("dist/index.html").display());
    let dist = web.join("dist");
    if !is_newer(&dist.join("index.html"), &web) {
        build(&web);
    }
    let _missing = fs::remove_dir_all(&page); // on the first build there is none
    let copied = if dist.join("index.html").exists() {
        copy(&dist, &page)
    } else {
        fs::create_dir_all(&page).and_then(|()| fs::write(page.join("index.html"), NOTE))
    };
    copied.expect("the build directory can be written");
}

/// Whether the built page is newer than everything it is made of.
fn is_newer(built: &Path, web: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified());
    let Ok(built) = modified(built) else { return false };
    let mut sources: Vec<PathBuf> = SOURCES.iter().map(|source| web.join(source)).collect();
    while let Some(path) = sources.pop() {
        if modified(&path).is_ok_and(|time| time > built) {
            return false;
        }
        if let Ok(entries) = fs::read_dir(&path) {
            sources.extend(entries.flatten().map(|entry| entry.path()));
        }
    }
    true
}

fn build(web: &Path) {
    let npm = |arguments: &[&str]| {
        Command::new("npm")
            .args(arguments)
            .current_dir(web)
            .output()
            .map_err(|error| error.to_string())
    };
    if npm(&["--version"]).is_err() {
        println!(
            "cargo::warning=npm is missing: the hub is built with the page that is there, if any"
        );
        return;
    }
    for step in [&["ci", "--no-audit", "--no-fund"] as &[_], &["run", "build"]] {
        let problem = match npm(step) {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error,
        };
        println!("cargo::warning=the page was not built: npm {} failed", step.join(" "));
        for line in problem.lines().take(10) {
            println!("cargo::warning={line}");
        }
        return;
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
