//! Builds again when a migration or the console changes: the macros that embed them
//! do not tell Cargo about the files.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
    println!("cargo:rerun-if-changed=web/dist");
    assert!(
        Path::new("web/dist/index.html").exists(),
        "the console is not built: run scripts/setup.sh build, or npm ci and npm run build in server/web"
    );
}
