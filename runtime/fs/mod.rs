//! Files and directories.
//!
//! ```text
//! calls.rs      std's functions, each as one call beside the loop
//! file.rs       an open file: read, written and moved about in through a buffer
//! open.rs       how it is opened
//! directory.rs  what is in a directory
//! error.rs      the path in an error
//! ```
//!
//! The kernel never says that a file is *not ready*: epoll refuses a file, and a read of one blocks until the disk has
//! answered. So all of this runs on the threads of the blocking pool, and what it costs is the way there and back, some
//! microseconds each time. The answer is to go rarely: a whole file is read or written in one call, a directory is
//! listed in batches, and an open [`File`] has a buffer, so that many small writes go there in one.
//!
//! Temporary files come from the crate `tempfile`: [`File::from_std`] takes what it makes.
//!
//! **Alternative:** io_uring, where the kernel itself completes reads of files. A buffer must then belong to the kernel
//! until it is done, also when the future that wanted it is dropped; it is not to be had everywhere (containers often
//! forbid it); and it would be a second reactor beside the first.

mod calls;
mod directory;
mod error;
mod file;
mod open;

pub use self::{
    calls::{
        FileCall, canonicalize, copy, create_dir, create_dir_all, exists, hard_link, metadata,
        read, read_link, read_to_string, remove_dir, remove_dir_all, remove_file, rename,
        set_permissions, symlink, symlink_metadata, write,
    },
    directory::{DirEntry, NextEntry, ReadDir, read_dir},
    error::PathError,
    file::File,
    open::OpenOptions,
};
