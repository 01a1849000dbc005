//! The folder of one user, and what may lie in it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat, Uid, fchmod, flock, fstat, mkdir,
    mkdirat, open, openat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::turn::Turn;

/// How long a process that waits for another sleeps at a time.
const PAUSE: Duration = Duration::from_millis(5);

/// What others may do with a file or a folder.
const OTHERS: u32 = 0o077;

/// A folder that only its user can look into.
pub struct Folder {
    fd: OwnedFd,
    pub user: Uid,
}

/// What the name of a file in it tells.
enum Name<'a> {
    /// It holds the code of this key.
    Kept(&'a str),
    /// It will, or was to.
    New,
}

impl<'a> Name<'a> {
    /// `None` for what no cache has put there.
    fn parse(name: &'a str) -> Option<Self> {
        let (key, is_new) = match name.strip_suffix(".new") {
            Some(key) => (key, true),
            None => (name, false),
        };
        let is_key = key.len() == 64 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match (is_key, is_new) {
            (true, true) => Some(Self::New),
            (true, false) => Some(Self::Kept(key)),
            (false, _) => None,
        }
    }
}

/// Makes the folder of a cache, unless it is there. One that root makes is open to all, as `/tmp` is: others that nginx runs as have
/// folders of their own in it.
///
/// # Errors
/// It cannot be made, or something else has its name.
pub fn make(dir: &Path) -> io::Result<()> {
    match mkdir(dir, Mode::RWXU) {
        Ok(()) if geteuid().is_root() => {
            let made = open(dir, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            if fstat(&made)?.st_uid == geteuid().as_raw() {
                fchmod(&made, Mode::from_raw_mode(0o1777))?;
            }
            Ok(())
        }
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Ok(open(dir, FOLDER | OFlags::PATH, Mode::empty()).map(drop)?),
        Err(error) => Err(error.into()),
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Folder {
    /// The folder of this user below `dir`. Both are made if they are missing.
    pub fn open(dir: &Path, user: Uid) -> io::Result<Self> {
        make(dir)?;
        let dir = open(dir, FOLDER | OFlags::PATH, Mode::empty())?;
        let name = user.as_raw().to_string();
        match mkdirat(&dir, &name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            // One that cannot be written to may have it all the same.
            Err(error) if statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW).is_err() => {
                return Err(error.into());
            }
            Err(_) => {}
        }
        // Nobody else can have put anything into a folder that is this user's and closed to others, whoever put it there.
        let fd = openat(&dir, &name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        let stat = fstat(&fd)?;
        if stat.st_uid != user.as_raw() {
            return Err(io::Error::other(format!(
                "it belongs to another user, {}",
                stat.st_uid
            )));
        }
        if stat.st_mode & OTHERS != 0 {
            return Err(io::Error::other(format!(
                "other users may use it, by its mode {:o}",
                stat.st_mode & 0o7777
            )));
        }
        Ok(Self { fd, user })
    }

    /// Opens a file without following a link, and without waiting for what is no file.
    pub fn file(&self, name: &str, flags: OFlags) -> Result<File, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(fd))
    }

    /// Whether it is a file of this user's that nobody else can read or write.
    pub fn is_own(&self, stat: &Stat) -> bool {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_uid == self.user.as_raw()
            && stat.st_mode & OTHERS == 0
    }

    /// Waits for the right to write the file of this key. `None` if another process had it until now, and so has written the file or
    /// failed to.
    ///
    /// # Errors
    /// Nothing can be written, or another process takes too long.
    pub fn turn(&self, key: &str, end: Instant) -> io::Result<Option<Turn<'_>>> {
        let name = format!("{key}.new");
        let file = match self.new_file(&name) {
            Ok(Some(file)) => Some(file),
            // No cache has put that there.
            Ok(None) | Err(Errno::LOOP | Errno::ACCESS) => {
                self.remove(&name)?;
                self.new_file(&name)?
            }
            Err(error) => return Err(error.into()),
        };
        let Some(file) = file else {
            return Err(io::Error::other("a file that is made there is not private"));
        };
        lock(&file, end)?;
        if self.is_named(&file, &name) {
            return Ok(Some(Turn::new(self, key, name, file)));
        }
        if Instant::now() >= end {
            return Err(too_long());
        }
        thread::sleep(PAUSE);
        Ok(None)
    }

    /// The file under this name, made if it is missing. `None` if it is not a private one.
    fn new_file(&self, name: &str) -> Result<Option<File>, Errno> {
        let file = self.file(name, OFlags::RDWR | OFlags::CREATE)?;
        Ok(self.is_own(&fstat(&file)?).then_some(file))
    }

    /// Whether the file still has this name.
    fn is_named(&self, file: &File, name: &str) -> bool {
        let (Ok(file), Ok(named)) = (
            fstat(file),
            statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW),
        ) else {
            return false;
        };
        (file.st_dev, file.st_ino) == (named.st_dev, named.st_ino)
    }

    pub fn remove(&self, name: &str) -> Result<(), Errno> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    pub fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to)
    }

    /// Removes what crashes have left behind, and what was not used for longest, until the rest leaves `room` of `size` bytes for the
    /// file of this key.
    pub fn make_room(&self, key: &str, room: u64, size: u64) {
        let Ok(dir) = Dir::read_from(&self.fd) else {
            return;
        };
        let mut kept = Vec::new();
        for entry in dir.flatten() {
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            match Name::parse(name) {
                Some(Name::Kept(other)) if other != key => {
                    if let Ok(stat) = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                        let used = (stat.st_mtime, stat.st_mtime_nsec);
                        kept.push((used, stat.st_size.cast_unsigned(), name.to_owned()));
                    }
                }
                Some(Name::New) if !name.starts_with(key) => self.remove_abandoned(name),
                _ => {}
            }
        }
        kept.sort_unstable();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        for (_, freed, name) in kept {
            if total.saturating_add(room) <= size {
                return;
            }
            if self.remove(&name).is_ok() {
                total -= freed;
            }
        }
    }

    /// Removes a file that was to be written, if nobody writes it any more.
    fn remove_abandoned(&self, name: &str) {
        if let Ok(file) = self.file(name, OFlags::RDWR)
            && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && self.is_named(&file, name)
        {
            // What cannot be removed is tried again.
            let _ = self.remove(name);
        }
    }
}

/// Waits for a lock, which the system lets go when its process ends.
fn lock(file: &File, end: Instant) -> io::Result<()> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(PAUSE),
            Err(Errno::WOULDBLOCK) => return Err(too_long()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn too_long() -> io::Error {
    io::Error::other("another process takes too long to write it")
}
