//! Gives the Windows programs their icon, their version, and the manifest without which task dialogs are not there.

fn main() {
    println!("cargo:rerun-if-changed=assets/windows");
    println!("cargo:rerun-if-changed=assets/icons/mcpproxy.ico");
    // Everything, tests too: a program that imports the task dialog does not start without the manifest.
    if let Err(error) =
        embed_resource::compile_for_everything("assets/windows/programs.rc", version()).manifest_required()
    {
        println!("cargo:warning=the Windows programs get no icon and no manifest: {error}");
        std::process::exit(1);
    }
}

/// The package's version, as the resource compiler takes it: `1,2,3,0` and `"1.2.3"`.
fn version() -> [String; 2] {
    let part = |name| std::env::var(name).unwrap_or_else(|_| "0".to_owned());
    let [major, minor, patch] = [
        "CARGO_PKG_VERSION_MAJOR",
        "CARGO_PKG_VERSION_MINOR",
        "CARGO_PKG_VERSION_PATCH",
    ]
    .map(part);
    [
        format!("VERSION_NUMBERS={major},{minor},{patch},0"),
        format!("VERSION_TEXT=\"{major}.{minor}.{patch}\""),
    ]
}
