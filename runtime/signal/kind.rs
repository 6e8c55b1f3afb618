//! Which signal: a number with a name.
//!
//! The numbers differ between systems, and so do the signals there are. The common ones have a function each; any
//! other is made of its number.
//!
//! **Alternative:** an `enum`. It could not name a real-time signal, and each system would have another one.

use std::fmt;

/// A signal's number, to listen for ([`signal`](fn@super::signal)) or to send
/// ([`Child::signal`](crate::process::Child::signal)).
///
/// ```
/// use whirligig::signal::SignalKind;
///
/// assert_eq!(SignalKind::terminate().to_string(), "SIGTERM");
/// assert_eq!(SignalKind::from_raw(9), SignalKind::kill());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalKind(i32);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:ident;)+) => {
        impl SignalKind {
            $($(#[$doc])* pub const fn $name() -> Self { Self(libc::$number) })+
        }
    };
}

kinds! {
    /// `SIGINT`: Ctrl-C on the terminal. Ends the process by default.
    interrupt = SIGINT;
    /// `SIGTERM`: a request to end. Ends the process by default.
    terminate = SIGTERM;
    /// `SIGHUP`: the terminal is gone; to a server, often: read the configuration again. Ends the process by default.
    hangup = SIGHUP;
    /// `SIGQUIT`: Ctrl-\ on the terminal. Ends the process by default, with a core file.
    quit = SIGQUIT;
    /// `SIGKILL`: ends the process. It can be sent, and not be listened for.
    kill = SIGKILL;
    /// `SIGCHLD`: a child ended, or stopped. Ignored by default.
    child = SIGCHLD;
    /// `SIGUSR1`: whatever the program means by it. Ends the process by default.
    user_defined1 = SIGUSR1;
    /// `SIGUSR2`: whatever the program means by it. Ends the process by default.
    user_defined2 = SIGUSR2;
    /// `SIGWINCH`: the terminal has another size. Ignored by default.
    window_change = SIGWINCH;
    /// `SIGALRM`: a timer of the kernel. Ends the process by default.
    alarm = SIGALRM;
    /// `SIGPIPE`: nobody reads what was written. Rust programs ignore it from their start.
    pipe = SIGPIPE;
    /// `SIGSTOP`: stops the process until `SIGCONT`. It can be sent, and not be listened for.
    stop = SIGSTOP;
    /// `SIGTSTP`: Ctrl-Z on the terminal. Stops the process by default.
    terminal_stop = SIGTSTP;
    /// `SIGCONT`: goes on after a stop.
    resume = SIGCONT;
}

impl SignalKind {
    /// The signal of this number.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_hook::low_level::signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalKind({self})")
    }
}
