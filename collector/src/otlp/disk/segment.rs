//! One file of batches, and the file of marks beside it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::format::{
    BadHeader, HEAD, HEADER, Head, Header, MARK, Piece, encode_mark, scan, settled,
};
use crate::stats::Signal;

/// What a segment's file name ends with, after its number.
pub(super) const EXTENSION: &str = "segment";
/// What the file of marks beside it ends with.
pub(super) const MARKS: &str = "settled";
/// What a damaged segment gets, after all of its name.
pub(super) const SET_ASIDE: &str = "corrupt";

/// No file that we write is larger: the size at which the next one is begun, and one frame.
const MAX_FILE: u64 = 128 << 20;

/// How many bytes of marks are read at the end of their file. A mark counts for all before it.
const MARKS_READ: u64 = 64 << 10;

/// A segment of which something is not settled, or that is being written.
pub(super) struct Segment {
    pub(super) number: u64,
    path: PathBuf,
    header: Header,
    /// Where it is written, for as long as it is.
    writer: Option<Arc<File>>,
    reader: Option<File>,
    marks: Option<File>,
    /// The next frame to be read.
    cursor: u64,
    /// All before this is settled.
    settled: u64,
    /// Where the last frame ends.
    end: u64,
    /// What is from the cursor to the end.
    pub(super) items: u64,
    pub(super) batches: u64,
    /// What cannot be read of it, in order.
    damage: VecDeque<Range<u64>>,
    /// Whether it is kept for somebody to look at.
    pub(super) is_damaged: bool,
}

/// What somebody else left.
pub(super) enum Found {
    Segment(Segment),
    /// All of it was settled, or there never was anything.
    Nothing,
    /// It is for a later release to read.
    Later,
    /// Nothing in it can be read.
    Damaged,
}

/// A frame that was read, and where it ends.
pub(super) struct Frame {
    pub(super) body: Vec<u8>,
    pub(super) items: u64,
    pub(super) end: u64,
}

impl Segment {
    pub(super) fn create(dir: &Path, number: u64, signal: Signal, salt: u64) -> io::Result<Self> {
        let path = dir.join(format!("{number:012}.{EXTENSION}"));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let header = Header { signal, salt, created: now.as_secs() };
        let file = private(OpenOptions::new().append(true).create_new(true)).open(&path)?;
        if let Err(error) = (&file).write_all(&header.encode()) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let mut segment = Segment::at(path, number, header);
        segment.writer = Some(Arc::new(file));
        Ok(segment)
    }

    fn at(path: PathBuf, number: u64, header: Header) -> Self {
        let start = HEADER as u64;
        Segment {
            number,
            path,
            header,
            writer: None,
            reader: None,
            marks: None,
            cursor: start,
            settled: start,
            end: start,
            items: 0,
            batches: 0,
            damage: VecDeque::new(),
            is_damaged: false,
        }
    }

    /// What a file holds, which is read once from its beginning to its end. Returns it with the
    /// items that are known to be damaged.
    pub(super) fn find(path: PathBuf, number: u64, signal: Signal) -> io::Result<(Found, u64)> {
        let Some(bytes) = read_from(&mut File::open(&path)?)? else {
            return Ok((Found::Damaged, 0));
        };
        let header = match Header::decode(&bytes) {
            Ok(header) if header.signal == signal => header,
            Ok(_) | Err(BadHeader::Damaged) => return Ok((Found::Damaged, 0)),
            Err(BadHeader::Short) => return Ok((Found::Nothing, 0)),
            Err(BadHeader::Later) => return Ok((Found::Later, 0)),
        };
        let mut segment = Segment::at(path, number, header);
        segment.settled = segment.read_marks().max(HEADER as u64).min(bytes.len() as u64);
        segment.cursor = segment.settled;
        let lost = segment.take_stock(&bytes);
        let nothing = segment.batches == 0 && !segment.is_damaged;
        Ok((if nothing { Found::Nothing } else { Found::Segment(segment) }, lost))
    }

    /// Counts what is from the cursor to the end. Returns the items that are known to be damaged.
    fn take_stock(&mut self, bytes: &[u8]) -> u64 {
        let from = usize::try_from(self.cursor).unwrap_or(usize::MAX);
        let (pieces, end) = scan(bytes, self.header.salt, from);
        (self.items, self.batches, self.end) = (0, 0, end as u64);
        self.damage.clear();
        let mut lost = 0;
        for piece in pieces {
            match piece {
                Piece::Frame { items, .. } => {
                    self.items += u64::from(items);
                    self.batches += 1;
                }
                Piece::Damage { at, items } => {
                    lost += u64::from(items.unwrap_or(0));
                    self.damage.push_back(at);
                    self.is_damaged = true;
                }
            }
        }
        lost
    }

    /// Cuts off what was not written to its end, here and in the marks, so that what is written
    /// next can be read.
    pub(super) fn truncate(&self) -> io::Result<()> {
        let open = |path: &Path| OpenOptions::new().write(true).open(path);
        let file = open(&self.path)?;
        if file.metadata()?.len() > self.end {
            file.set_len(self.end)?;
        }
        match open(&self.marks_path()) {
            Ok(marks) => whole_marks(&marks),
            Err(_) => Ok(()),
        }
    }

    /// Appends a frame. If that fails, the file is as it was, or is written no more.
    pub(super) fn append(&mut self, body: &[u8], head: Head) -> io::Result<()> {
        let Some(file) = &self.writer else { return Err(io::ErrorKind::ReadOnlyFilesystem.into()) };
        let mut out = &**file;
        let head_bytes = head.encode(self.header.salt, self.end);
        if let Err(error) = out.write_all(&head_bytes).and_then(|()| out.write_all(body)) {
            if file.set_len(self.end).is_err() {
                self.writer = None;
            }
            return Err(error);
        }
        self.end += head.frame_len();
        self.items += u64::from(head.items);
        self.batches += 1;
        Ok(())
    }

    /// Where it is written, if it still is.
    pub(super) fn writer(&self) -> Option<&Arc<File>> {
        self.writer.as_ref()
    }

    /// From now on it is only read.
    pub(super) fn seal(&mut self) {
        self.writer = None;
    }

    /// Opens the file to be read, unless it is open.
    pub(super) fn open_reader(&mut self) -> io::Result<()> {
        if self.reader.is_none() {
            self.reader = Some(File::open(&self.path)?);
        }
        Ok(())
    }

    /// Reads the next frame, into a buffer that is used again. `None` if there is no more, an error
    /// if it is damaged or cannot be read: then [`Segment::take_stock_again`] tells what is left.
    pub(super) fn next(&mut self, mut buffer: Vec<u8>) -> io::Result<Option<Frame>> {
        while self.damage.front().is_some_and(|damage| damage.start <= self.cursor) {
            self.cursor = self.damage.pop_front().map_or(self.cursor, |damage| damage.end);
        }
        if self.cursor >= self.end {
            return Ok(None);
        }
        self.open_reader()?;
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut head = [0; HEAD];
        reader.seek(SeekFrom::Start(self.cursor))?;
        reader.read_exact(&mut head)?;
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let head = Head::decode(&head, self.header.salt, self.cursor).ok_or_else(damaged)?;
        buffer.resize(head.len as usize, 0);
        reader.read_exact(&mut buffer)?;
        if !head.is_of(&buffer) {
            return Err(damaged());
        }
        self.cursor += head.frame_len();
        self.batches = self.batches.saturating_sub(1);
        self.items = self.items.saturating_sub(u64::from(head.items));
        Ok(Some(Frame { body: buffer, items: u64::from(head.items), end: self.cursor }))
    }

    /// After a frame that could not be read, counts what can be read behind it. Returns how many
    /// items were lost.
    pub(super) fn take_stock_again(&mut self) -> u64 {
        let before = self.items;
        self.seal();
        let bytes = self.reader.as_mut().and_then(|reader| {
            reader.rewind().ok()?;
            read_from(reader).ok()?
        });
        match bytes {
            Some(bytes) => {
                self.take_stock(&bytes);
            }
            None => (self.items, self.batches, self.end) = (0, 0, self.cursor),
        }
        self.is_damaged = true;
        before.saturating_sub(self.items)
    }

    /// Takes note that all up to an offset is settled.
    pub(super) fn settle(&mut self, offset: u64) -> io::Result<()> {
        self.settled = self.settled.max(offset);
        if self.is_done() && self.writer.is_none() {
            // It will be removed, or set aside, with its marks.
            return Ok(());
        }
        if self.marks.is_none() {
            let mut options = OpenOptions::new();
            let path = self.marks_path();
            self.marks = Some(private(options.append(true).create(true)).open(path)?);
        }
        let Some(marks) = &mut self.marks else { return Ok(()) };
        let written = marks.write_all(&encode_mark(self.header.salt, offset));
        if written.is_err() {
            whole_marks(marks)?;
        }
        written
    }

    /// Whether all that can be read of it is settled.
    pub(super) fn is_done(&self) -> bool {
        self.batches == 0 && self.settled >= self.cursor.min(self.end)
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> u64 {
        self.end
    }

    /// When it was begun, in seconds since 1970.
    pub(super) fn created(&self) -> u64 {
        self.header.created
    }

    /// Removes the files, or renames the segment if it is damaged.
    pub(super) fn remove(self) -> io::Result<()> {
        if self.is_damaged { set_aside(&self.path) } else { remove(&self.path) }
    }

    fn read_marks(&self) -> u64 {
        let last = || {
            let mut file = File::open(self.marks_path())?;
            let marks = file.metadata()?.len() / MARK as u64;
            let skipped = marks.saturating_sub(MARKS_READ / MARK as u64) * MARK as u64;
            file.seek(SeekFrom::Start(skipped))?;
            let mut bytes = Vec::new();
            file.take(MARKS_READ).read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(settled(&bytes, self.header.salt))
        };
        // Without marks, all is sent again.
        last().unwrap_or(0)
    }

    fn marks_path(&self) -> PathBuf {
        self.path.with_extension(MARKS)
    }
}

/// Cuts off a mark that was not written to its end, which would stand in the way of those after it.
fn whole_marks(marks: &File) -> io::Result<()> {
    let len = marks.metadata()?.len();
    marks.set_len(len - len % MARK as u64)
}

/// Removes a segment of which nothing is needed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    // Marks without a segment would do no harm; a segment without marks would be sent again.
    fs::remove_file(path)?;
    let _ = fs::remove_file(path.with_extension(MARKS));
    Ok(())
}

/// Renames a damaged segment, so that nobody reads it but who looks for what went wrong.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(SET_ASIDE);
    fs::rename(path, name)?;
    let _ = fs::remove_file(path.with_extension(MARKS));
    Ok(())
}

/// All of a file; `None` if it is larger than any segment is.
fn read_from(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_FILE).then_some(bytes))
}

/// For nobody but the user: what a guest does may be anything.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
