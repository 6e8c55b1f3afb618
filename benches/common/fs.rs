//! Files in the page cache: a large one read and written in pieces of 64 KiB, and 10,000 small ones.
//!
//! The disk is left out on purpose. It would take its time from both sides alike, and what is to be seen is the way to the
//! blocking pool and back. So the files lie in a file system in memory, where there is one (`/dev/shm`), and are written
//! before they are read. The large file is written over, not anew: to give a new one its pages is the kernel's work, and takes
//! it longer than all the rest. Called by `benches/fs.rs` and by `peers fs`. The programs are the same on one thread and on
//! several: their tasks are `Send`.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tempfile::TempDir;

const PIECE: usize = 64 << 10;
/// Pieces in the large file: 32 MiB.
const PIECES: u64 = 512;
/// Small files, of 1 KiB each.
const SMALL: u64 = 10_000;
const SMALL_LENGTH: usize = 1 << 10;
/// Tasks that read small files at the same time.
const AT_ONCE: u64 = 32;
/// Small files that are written.
const WRITTEN: u64 = 1_000;

/// What is done with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The large file, piece by piece.
    ReadLarge,
    /// Small ones, one after the other.
    ReadSmall,
    /// Small ones, by 32 tasks.
    ReadSmallAtOnce,
    /// A large file that is there, piece by piece, and a flush at the end.
    WriteLarge,
    /// Small ones, one after the other.
    WriteSmall,
}

impl Work {
    /// Pieces, or files.
    pub(crate) fn operations(self) -> u64 {
        match self {
            Self::ReadLarge | Self::WriteLarge => PIECES,
            Self::ReadSmall | Self::ReadSmallAtOnce => SMALL,
            Self::WriteSmall => WRITTEN,
        }
    }
}

/// The files, in a directory that goes with them.
#[derive(Debug)]
pub(crate) struct Files {
    directory: TempDir,
    marks: AtomicU64,
}

impl Files {
    pub(crate) fn new() -> Arc<Self> {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let directory = directory.expect("there is room for a directory");
        let files = Self { directory, marks: AtomicU64::new(0) };
        let pieces: Vec<u8> = (0..PIECES).flat_map(piece).collect();
        for path in [files.large(), files.written_large()] {
            fs::write(path, &pieces).expect("there is room for a large file");
        }
        for number in 0..SMALL {
            fs::write(files.small(number), small(number)).expect("there is room for small files");
        }
        Arc::new(files)
    }

    fn large(&self) -> PathBuf {
        self.directory.path().join("large")
    }

    fn small(&self, number: u64) -> PathBuf {
        self.directory.path().join(format!("small-{number}"))
    }

    fn written_large(&self) -> PathBuf {
        self.directory.path().join("written-large")
    }

    fn written_small(&self, number: u64) -> PathBuf {
        self.directory.path().join(format!("written-{number}"))
    }

    /// Whether all of the large file was written: each piece begins with its number, and `mark` above that.
    fn check_large(&self, mark: u64) {
        let file = fs::File::open(self.written_large()).expect("it was written");
        assert_eq!(file.metadata().expect("it is there").len(), PIECES * PIECE as u64);
        for number in 0..PIECES {
            let mut start = [0; 8];
            file.read_exact_at(&mut start, number * PIECE as u64).expect("it is as long");
            assert_eq!(u64::from_le_bytes(start), mark + number);
        }
    }

    fn check_small(&self) {
        for number in (0..WRITTEN).step_by(10) {
            let path = self.written_small(number);
            check_text(&fs::read_to_string(&path).expect("it was written"), number);
            fs::remove_file(path).expect("it is ours");
        }
    }

    /// Another one each time, so that what was written the time before is not taken for what is written now.
    fn mark(&self) -> u64 {
        (1 + self.marks.fetch_add(1, Relaxed)) << 32
    }
}

/// A piece of the large file: it begins with its number.
fn piece(number: u64) -> Vec<u8> {
    let mut piece = vec![b'x'; PIECE];
    piece[..8].copy_from_slice(&number.to_le_bytes());
    piece
}

/// What is in a small file: its number in the first line.
fn small(number: u64) -> String {
    let first = format!("{number}\n");
    let rest = "x".repeat(SMALL_LENGTH - first.len());
    first + &rest
}

fn check_text(text: &str, number: u64) {
    let (first, _) = text.split_once('\n').expect("there is a first line");
    assert_eq!((text.len(), first.parse()), (SMALL_LENGTH, Ok(number)));
}

/// The small files that one of the tasks reads.
fn share(task: u64) -> impl Iterator<Item = u64> {
    (task..SMALL).step_by(AT_ONCE as usize)
}

pub(crate) async fn whirligig(work: Work, files: Arc<Files>) {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use whirligig::fs::{self, File, OpenOptions};

    match work {
        Work::ReadLarge => {
            let mut file = File::open(files.large()).await.unwrap();
            let mut buffer = vec![0; PIECE];
            for number in 0..PIECES {
                file.read_exact(&mut buffer).await.unwrap();
                assert_eq!(buffer[..8], number.to_le_bytes());
            }
            assert_eq!(file.read(&mut buffer).await.unwrap(), 0);
        }
        Work::ReadSmall => {
            for number in 0..SMALL {
                check_text(&fs::read_to_string(files.small(number)).await.unwrap(), number);
            }
        }
        Work::ReadSmallAtOnce => {
            let reader = |task| {
                let files = files.clone();
                whirligig::spawn(async move {
                    for number in share(task) {
                        check_text(&fs::read_to_string(files.small(number)).await.unwrap(), number);
                    }
                })
            };
            let readers: Vec<_> = (0..AT_ONCE).map(reader).collect();
            for reader in readers {
                reader.await.unwrap();
            }
        }
        Work::WriteLarge => {
            let opened = OpenOptions::new().write(true).open(files.written_large()).await;
            let (mut file, mut piece, mark) = (opened.unwrap(), piece(0), files.mark());
            for number in 0..PIECES {
                piece[..8].copy_from_slice(&(mark + number).to_le_bytes());
                file.write_all(&piece).await.unwrap();
            }
            file.flush().await.unwrap();
            files.check_large(mark);
        }
        Work::WriteSmall => {
            for number in 0..WRITTEN {
                fs::write(files.written_small(number), small(number)).await.unwrap();
            }
            files.check_small();
        }
    }
}

pub(crate) async fn tokio(work: Work, files: Arc<Files>) {
    use tokio::{
        fs::{self, File, OpenOptions},
        io::{AsyncReadExt, AsyncWriteExt},
    };

    match work {
        Work::ReadLarge => {
            let mut file = File::open(files.large()).await.unwrap();
            let mut buffer = vec![0; PIECE];
            for number in 0..PIECES {
                file.read_exact(&mut buffer).await.unwrap();
                assert_eq!(buffer[..8], number.to_le_bytes());
            }
            assert_eq!(file.read(&mut buffer).await.unwrap(), 0);
        }
        Work::ReadSmall => {
            for number in 0..SMALL {
                check_text(&fs::read_to_string(files.small(number)).await.unwrap(), number);
            }
        }
        Work::ReadSmallAtOnce => {
            let reader = |task| {
                let files = files.clone();
                tokio::spawn(async move {
                    for number in share(task) {
                        check_text(&fs::read_to_string(files.small(number)).await.unwrap(), number);
                    }
                })
            };
            let readers: Vec<_> = (0..AT_ONCE).map(reader).collect();
            for reader in readers {
                reader.await.unwrap();
            }
        }
        Work::WriteLarge => {
            let opened = OpenOptions::new().write(true).open(files.written_large()).await;
            let (mut file, mut piece, mark) = (opened.unwrap(), piece(0), files.mark());
            for number in 0..PIECES {
                piece[..8].copy_from_slice(&(mark + number).to_le_bytes());
                file.write_all(&piece).await.unwrap();
            }
            file.flush().await.unwrap();
            files.check_large(mark);
        }
        Work::WriteSmall => {
            for number in 0..WRITTEN {
                fs::write(files.written_small(number), small(number)).await.unwrap();
            }
            files.check_small();
        }
    }
}
