//! Ends what a test process leaves behind, whatever ends the test process.
//!
//! A shell holds the other end of a pipe. It is told of every process started
//! and ended; when the pipe closes, because we are gone, it ends the rest.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
kills=' ' quits=' ' folders=''
while read -r verb value; do
  case $verb in
    kill) kills="$kills$value " ;;
    quit) quits="$quits$value " ;;
    folder) folders="$folders$value
" ;;
    ended)
      case $kills in *" $value "*) kills="${kills%%" $value "*} ${kills#*" $value "}" ;; esac
      case $quits in *" $value "*) quits="${quits%%" $value "*} ${quits#*" $value "}" ;; esac ;;
  esac
done
for pid in $kills; do kill -KILL "$pid" 2>/dev/null; done
for pid in $quits; do kill -QUIT "$pid" 2>/dev/null; done
for pid in $quits; do
  n=0
  while kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
done
printf '%s' "$folders" | while read -r folder; do rm -rf -- "$folder"; done
"#;

/// The shell and our end of its pipe. It outlives us, so nobody waits for it.
fn pipe() -> &'static Mutex<ChildStdin> {
    static SHELL: OnceLock<(Mutex<ChildStdin>, Child)> = OnceLock::new();
    let (pipe, _) = SHELL.get_or_init(|| {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // what ends our group must not end it
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        (
            Mutex::new(shell.stdin.take().expect("its standard input is a pipe")),
            shell,
        )
    });
    pipe
}

fn say(verb: &str, value: impl std::fmt::Display) {
    let mut pipe = pipe().lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(pipe, "{verb} {value}").expect("the reaper listens");
}

/// A process to be killed.
pub fn kill_later(pid: u32) {
    say("kill", pid);
}

/// A process to be sent SIGQUIT: PostgreSQL's immediate shutdown.
pub fn quit_later(pid: u32) {
    say("quit", pid);
}

/// A process that has been waited for: its number may be another's now.
pub fn ended(pid: u32) {
    say("ended", pid);
}

/// A folder to be removed.
pub fn remove_later(folder: &Path) {
    say("folder", folder.display());
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok(), "there is no kill");
}
