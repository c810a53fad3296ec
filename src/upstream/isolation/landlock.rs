//! Enforces a [`Sandbox`] on Linux: Landlock for files, seccomp for sockets and for what no MCP server needs.
//!
//! Everything is prepared before the fork; between fork and exec only system calls are made.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::sandbox::Sandbox;
use crate::config::isolation::Network;

/// The newest version whose rules are used.
const NEWEST: ABI = ABI::V7;

/// The version of Landlock that this kernel enforces.
pub fn version() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel reads no pointer and only returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// The rules in the form in which the child applies them.
pub struct Prepared {
    ruleset: Option<RulesetCreated>,
    filter: BpfProgram,
}

/// Prepares the rules of a sandbox.
///
/// # Errors
/// The kernel refuses a rule.
pub fn prepare(sandbox: &Sandbox, version: u32) -> io::Result<Prepared> {
    let ruleset = ruleset(sandbox).map_err(io::Error::other)?;
    let filter = filter(sandbox.network, version).map_err(io::Error::other)?;
    Ok(Prepared {
        ruleset: Some(ruleset),
        filter,
    })
}

impl Prepared {
    /// Shuts off this process and everything it starts. Only for the child, between fork and exec.
    ///
    /// # Errors
    /// The kernel did not enforce the rules: the program must not start.
    pub fn apply(&mut self) -> io::Result<()> {
        let refused = || io::Error::from_raw_os_error(libc::EPERM);
        let ruleset = self.ruleset.take().ok_or_else(refused)?;
        let status = ruleset.restrict_self().map_err(|_| refused())?;
        if status.ruleset == landlock::RulesetStatus::NotEnforced || !status.no_new_privs {
            return Err(refused());
        }
        drop_capabilities()?;
        seccompiler::apply_filter(&self.filter).map_err(|_| refused())
    }
}

/// Root's capabilities lead around the rules: with one of them it reads other programs' variables. Nothing gives them back,
/// because the rules forbid new privileges.
fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        process: i32,
    }
    // Version 3 of the interface; 0 is this thread. Two times effective, permitted and inheritable: all empty.
    let header = Header {
        version: 0x2008_0522,
        process: 0,
    };
    let none = [[0u32; 3]; 2];
    // SAFETY: both point to memory of the size that this version reads.
    let outcome = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn ruleset(sandbox: &Sandbox) -> Result<RulesetCreated, RulesetError> {
    // The first version is a must; what newer ones add is used where the kernel has it.
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    if sandbox.network == Network::Off {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let existing = |paths: &std::collections::BTreeSet<PathBuf>| {
        paths.iter().filter(|path| path.exists()).cloned().collect::<Vec<_>>()
    };
    ruleset
        .create()?
        .add_rules(path_beneath_rules(existing(&sandbox.read), AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(existing(&sandbox.write), AccessFs::from_all(NEWEST)))
}

/// System calls that no MCP server needs and that lead out of a sandbox or into other processes.
const CLOSED: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    // Its requests would pass by this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// On x86-64 a second number of each system call, which passes by a filter that does not know it.
const X32: i64 = 0x4000_0000;

fn filter(network: Network, version: u32) -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> = std::collections::BTreeMap::new();
    let mut close = |number: libc::c_long, conditions: Vec<SeccompRule>| {
        rules.insert(number, conditions.clone());
        if cfg!(target_arch = "x86_64") {
            rules.insert(number | X32, conditions);
        }
    };
    CLOSED.iter().for_each(|number| close(*number, Vec::new()));
    if version < 3 {
        // Landlock does not see it before its third version.
        close(libc::SYS_truncate, Vec::new());
    }
    close(libc::SYS_socket, sockets(network)?);
    let arch = if cfg!(target_arch = "aarch64") { TargetArch::aarch64 } else { TargetArch::x86_64 };
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, denied, arch)?.try_into().map_err(seccompiler::Error::from)
}

/// The sockets that stay closed. Those of this computer's other programs always: the keyring, a container engine and we
/// ourselves listen on them. A pair of sockets between own processes is another system call and stays open.
fn sockets(network: Network) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    if network != Network::On {
        return Ok(Vec::new());
    }
    let open = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let others = open.iter().map(|family| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(family.unsigned_abs()))
    });
    Ok(vec![SeccompRule::new(others.collect::<Result<_, _>>()?)?])
}
