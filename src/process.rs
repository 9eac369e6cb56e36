//! Which process this is, and whether another one is still alive.
//!
//! A name is `host/pid/start`: a number of a process is given out again, but not with the same start. Of a process on
//! another host nothing can be known.

use std::{fs, process};

/// The name of this process.
pub(crate) fn name() -> String {
    let pid = process::id();
    format!("{}/{pid}/{}", host(), start(pid).unwrap_or_default())
}

/// Whether the process of this name is known to have ended.
pub(crate) fn is_dead(name: &str) -> bool {
    let mut parts = name.rsplitn(3, '/');
    let (Some(begun), Some(pid), Some(on)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let (Ok(begun), Ok(pid)) = (begun.parse::<u64>(), pid.parse::<u32>()) else { return false };
    on == host() && start(pid) != Some(begun)
}

/// For people: `process 17 on here`.
pub(crate) fn described(name: &str) -> String {
    let mut parts = name.rsplitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(pid), Some(host)) => format!("process {pid} on {host}"),
        _ => name.to_owned(),
    }
}

/// The host, and which of its boots this is: after another boot no process of before is alive.
fn host() -> String {
    let read = |path| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let boot = read("/proc/sys/kernel/random/boot_id");
    format!("{}:{}", read("/proc/sys/kernel/hostname"), boot.split('-').next().unwrap_or_default())
}

/// When a living process was started, in ticks since the boot.
fn start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold anything; the start is the 20th word behind it.
    let mut words = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = words.next()?;
    if matches!(state, "Z" | "X") { None } else { words.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_that_has_ended_is_dead() {
        assert!(!is_dead(&name()));
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = format!("{}/{}/{}", host(), child.id(), start(child.id()).unwrap());
        assert!(!is_dead(&other));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_dead(&other));
        assert!(is_dead(&format!("{}/{}/1", host(), process::id())), "another one had this number");
    }

    #[test]
    fn of_a_process_elsewhere_nothing_is_known() {
        for name in ["elsewhere/1/1", "", "nonsense", "elsewhere:1/x/y"] {
            assert!(!is_dead(name), "{name}");
        }
        assert!(described("host:12/17/5").starts_with("process 17 on host"));
    }
}
