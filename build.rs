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

/// The package's version, as the resource compiler takes it: `1,2,3,0` and `1.2.3`.
fn version() -> [String; 2] {
    let [major, minor, patch] = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ];
    [
        format!("VERSION_NUMBERS={major},{minor},{patch},0"),
        format!("VERSION_DOTTED={major}.{minor}.{patch}"),
    ]
}
