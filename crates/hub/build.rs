//! Copies the built page to where `rust-embed` embeds it, or a note where there is no built page.
//!
//! `cargo xtask page` builds the page; this script needs neither Node.js nor a network.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, io};

/// The page of a hub that was compiled without the page.
const NOTE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Tickwire</title>\
<p>This hub was compiled without its page. Everything else works: subscribers connect to \
<code>/ws</code>.<p>To add the page, install Node.js 20.19 or later, run <code>cargo xtask page\
</code> and compile the hub again, or use the container image.";

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let built = manifest.join("../../web/dist");
    let _read_only_sources = make_watchable(&built);
    println!("cargo::rerun-if-changed={}", built.display());
    println!("cargo::rustc-check-cfg=cfg(tickwire_page)");

    let embedded = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("page");
    let _missing_on_first_build = fs::remove_dir_all(&embedded);
    let done = if built.join("index.html").is_file() {
        println!("cargo::rustc-cfg=tickwire_page");
        copy(&built, &embedded)
    } else {
        fs::create_dir_all(&embedded).and_then(|()| fs::write(embedded.join("index.html"), NOTE))
    };
    done.expect("cannot write to the build directory");
}

/// Makes the folder where there is none, older than this run. Cargo runs this script, and compiles
/// the hub, each time a watched path is missing or newer than the last run.
fn make_watchable(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    fs::File::open(folder)?.set_modified(SystemTime::UNIX_EPOCH)
}

/// Copies a folder with everything in it.
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
