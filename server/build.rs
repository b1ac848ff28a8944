//! Builds again when a migration changes: the macro that embeds them does not
//! tell Cargo about the files.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
