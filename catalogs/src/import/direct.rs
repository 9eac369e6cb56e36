//! Files on the local disk that are written once, end to end, and then read once.
//!
//! They go past the page cache where the file system lets them: to copy rows there costs more than to write them, and
//! crowds out what others read. Whole blocks at aligned addresses are handed to a thread that writes them while the next
//! is filled. Where a file system does not take that, the same blocks go the usual way.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

use arrow::buffer::Buffer;

/// What addresses, offsets and lengths are multiples of: no disk asks for more.
const ALIGN: usize = 4096;
/// Bytes written at once.
const BLOCK: usize = 2 << 20;
/// Blocks of a file that are being filled and written.
const BLOCKS: usize = 3;

/// Bytes at an aligned address.
struct Block {
    bytes: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Block {
    fn new(length: usize) -> Self {
        let bytes = vec![0; length + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { bytes, start, filled: 0 }
    }

    /// Takes of these bytes as many as there is room for.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(BLOCK - self.filled);
        let end = self.start + self.filled;
        self.bytes[end..end + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        taken
    }

    /// Goes on with zeros to where a block may end.
    fn pad(&mut self) {
        let end = self.filled.next_multiple_of(ALIGN);
        self.bytes[self.start + self.filled..self.start + end].fill(0);
        self.filled = end;
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.filled]
    }
}

/// A file that is written from its beginning.
pub(super) struct DirectWriter {
    file: Arc<File>,
    block: Block,
    /// Where the block goes.
    offset: u64,
    writing: Option<Writing>,
}

impl DirectWriter {
    /// Writes a new file, or over one that is there.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Self::new)
    }

    /// Writes to an empty file.
    pub(super) fn new(file: File) -> Self {
        set_direct(&file, true);
        Self { file: Arc::new(file), block: Block::new(BLOCK), offset: 0, writing: None }
    }

    /// Bytes that were taken so far.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.block.filled as u64
    }

    /// Gives the block to the thread, and takes another.
    fn pass_on(&mut self) -> io::Result<()> {
        let file = &self.file;
        let writing = self.writing.get_or_insert_with(|| Writing::begin(Arc::clone(file)));
        let filled = self.block.filled as u64;
        let passed = writing.empty_block().and_then(|empty| {
            let full = std::mem::replace(&mut self.block, empty);
            writing.full.send((self.offset, full)).ok()
        });
        if passed.is_none() {
            self.wait()?;
            return Err(io::Error::other("it could not be written")); // the thread ends early only with an error
        }
        self.offset += filled;
        Ok(())
    }

    /// Waits until what the thread was given is written.
    fn wait(&mut self) -> io::Result<()> {
        let Some(Writing { full, thread, .. }) = self.writing.take() else { return Ok(()) };
        drop(full);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Writes everything, and what is missing to a whole block as zeros. Then the file can be read.
    pub(super) fn settle(&mut self) -> io::Result<DirectFile> {
        self.wait()?;
        self.block.pad();
        write_at(&self.file, &self.block, self.offset)?;
        self.offset += self.block.filled as u64;
        self.block.filled = 0;
        Ok(DirectFile(Arc::clone(&self.file)))
    }

    /// Ends the file where the last byte is.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let length = self.position();
        self.settle()?;
        self.file.set_len(length)
    }
}

impl Write for DirectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.filled == BLOCK {
            self.pass_on()?;
        }
        Ok(self.block.fill(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // a block is written when it is full, or the file ends
    }
}

/// The thread that writes blocks.
struct Writing {
    full: SyncSender<(u64, Block)>,
    empty: Receiver<Block>,
    /// Blocks that there are.
    blocks: usize,
    thread: JoinHandle<io::Result<()>>,
}

impl Writing {
    fn begin(file: Arc<File>) -> Self {
        let (full, to_write) = sync_channel(BLOCKS);
        let (written, empty) = channel();
        let thread = thread::spawn(move || write_all(&file, &to_write, &written));
        Self { full, empty, blocks: 1, thread }
    }

    /// A block that may be filled; none if the thread has ended.
    fn empty_block(&mut self) -> Option<Block> {
        if let Ok(block) = self.empty.try_recv() {
            return Some(block);
        }
        if self.blocks < BLOCKS {
            self.blocks += 1;
            return Some(Block::new(BLOCK));
        }
        self.empty.recv().ok()
    }
}

fn write_all(file: &File, full: &Receiver<(u64, Block)>, written: &Sender<Block>) -> io::Result<()> {
    for (offset, mut block) in full {
        write_at(file, &block, offset)?;
        block.filled = 0;
        let _ = written.send(block); // nobody needs another one at the end
    }
    Ok(())
}

fn write_at(file: &File, block: &Block, offset: u64) -> io::Result<()> {
    or_by_the_cache(file, || file.write_all_at(block.filled(), offset))
}

/// Does something with a file, once more by way of the page cache if the file system refuses.
fn or_by_the_cache(file: &File, mut act: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    match act() {
        Err(error) if error.kind() == ErrorKind::InvalidInput && set_direct(file, false) => act(),
        done => done,
    }
}

/// Whether the file could be told to go past the page cache, or not to.
#[cfg(target_os = "linux")]
fn set_direct(file: &File, direct: bool) -> bool {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let told = fcntl_getfl(file).and_then(|mut flags| {
        flags.set(OFlags::DIRECT, direct);
        fcntl_setfl(file, flags)
    });
    told.is_ok()
}

#[cfg(not(target_os = "linux"))]
fn set_direct(_: &File, _: bool) -> bool {
    false
}

/// A file that [`DirectWriter`] wrote.
#[derive(Clone)]
pub(super) struct DirectFile(Arc<File>);

impl DirectFile {
    /// Reads bytes, and what is around them up to whole blocks.
    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Buffer> {
        let before = (offset % ALIGN as u64) as usize;
        let whole = (before + length).next_multiple_of(ALIGN);
        let mut block = Block::new(whole);
        let room = &mut block.bytes[block.start..block.start + whole];
        or_by_the_cache(&self.0, || self.0.read_exact_at(room, offset - before as u64))?;
        Ok(Buffer::from_vec(block.bytes).slice_with_length(block.start + before, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        (0..length as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
    }

    #[test]
    fn what_was_written_is_read_wherever_blocks_end() {
        for length in [0, 1, ALIGN, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77] {
            let bytes = noise(length);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let mut writer = DirectWriter::create(&path).unwrap();
            bytes.chunks(100_003).for_each(|chunk| writer.write_all(chunk).unwrap());
            assert_eq!(writer.position(), length as u64);
            writer.finish().unwrap();
            assert!(std::fs::read(&path).unwrap() == bytes, "{length} bytes");
            let mut writer = DirectWriter::new(tempfile::tempfile_in(&folder).unwrap());
            writer.write_all(&bytes).unwrap();
            let file = writer.settle().unwrap();
            for (offset, part) in [(0, length), (length / 3, length / 2), (length.saturating_sub(5), length.min(5))] {
                assert!(file.read(offset as u64, part).unwrap().as_slice() == &bytes[offset..offset + part]);
            }
        }
    }

    #[test]
    fn a_disk_that_takes_no_more_is_told() {
        let Ok(full) = File::options().write(true).open("/dev/full") else {
            println!("skipped: there is no /dev/full here");
            return;
        };
        let mut writer = DirectWriter::new(full);
        let bytes = noise(BLOCK);
        let written = (0..9).try_for_each(|_| writer.write_all(&bytes)).and_then(|()| writer.finish());
        assert_eq!(written.unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
