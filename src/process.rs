//! Which process this is, and whether another one is still alive.
//!
//! A name is `host/pid/start`: a number of a process is given out again, but not with the same start. Of a process on
//! another host or in another container nothing can be known.

use std::{fs, os::unix::fs::MetadataExt, process};

use metadata::Life;

/// The name of this process.
pub(crate) fn name() -> String {
    let pid = process::id();
    format!("{}/{pid}/{}", host(), start(pid).unwrap_or_default())
}

/// What is known of the process of this name.
pub(crate) fn life(name: &str) -> Life {
    let mut parts = name.rsplitn(3, '/');
    let (Some(begun), Some(pid), Some(on)) = (parts.next(), parts.next(), parts.next()) else { return Life::Unknown };
    let (Ok(begun), Ok(pid)) = (begun.parse::<u64>(), pid.parse::<u32>()) else { return Life::Unknown };
    // Where even this process cannot be seen, no other can.
    if on != host() || start(process::id()).is_none() {
        Life::Unknown
    } else if start(pid) == Some(begun) {
        Life::Alive
    } else {
        Life::Dead
    }
}

/// For people: `process 17 on here`.
pub(crate) fn described(name: &str) -> String {
    let mut parts = name.rsplitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(pid), Some(host)) => {
            format!("process {pid} on {}", host.split_once(':').map_or(host, |(name, _)| name))
        }
        _ => name.to_owned(),
    }
}

/// The host, and which of its boots this is: after another boot no process of before is alive. Also which container: the
/// number of a process tells nothing outside of its own.
fn host() -> String {
    let read = |path| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let boot = read("/proc/sys/kernel/random/boot_id");
    let boot = boot.split('-').next().unwrap_or_default();
    let numbering = fs::metadata("/proc/self/ns/pid").map(|namespace| namespace.ino()).unwrap_or_default();
    format!("{}:{boot}:{numbering}", read("/proc/sys/kernel/hostname"))
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
        assert_eq!(life(&name()), Life::Alive);
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = format!("{}/{}/{}", host(), child.id(), start(child.id()).unwrap());
        assert_eq!(life(&other), Life::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(life(&other), Life::Dead);
        assert_eq!(life(&format!("{}/{}/1", host(), process::id())), Life::Dead, "another one had this number");
    }

    #[test]
    fn of_a_process_elsewhere_nothing_is_known() {
        let container = format!("{}0/1/1", host());
        for name in ["elsewhere/1/1", "", "nonsense", "elsewhere:1/x/y", &container] {
            assert_eq!(life(name), Life::Unknown, "{name}");
        }
        assert_eq!(described("host:12:3/17/5"), "process 17 on host");
    }
}
