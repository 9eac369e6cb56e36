//! The files of a scan, divided among threads.
//!
//! ```text
//!   ordered     ├─ a ─┼── b ──┼─ b ─┼──── c ────┤     a group a thread, along the sky, equal in bytes
//!   in any      ├─ a ─┼─ b ─┼─ b ─┼ b ┼─ c ─┼─ c ┤     pieces that any thread takes when it is done with one
//! ```
//! A cut falls between row groups: the reader gives each to the piece that its middle lies in.

use datafusion::datasource::{
    listing::PartitionedFile,
    physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder},
};

/// Fewer bytes than this are not divided among threads.
const WORTH_DIVIDING: u64 = 24 << 20;
/// Into how many pieces for each thread a table is divided, so that one that is slow keeps none of the others waiting.
const PIECES_A_THREAD: u64 = 4;
/// A piece of a file is no smaller: each is opened anew.
const SMALLEST_PIECE: u64 = 16 << 20;

/// A file or a part of one, and how many bytes of it are read: at least one.
pub(super) struct Piece {
    pub(super) file: PartitionedFile,
    pub(super) bytes: u64,
}

impl Piece {
    fn whole(file: PartitionedFile) -> Self {
        let (from, to) = extent(&file);
        Self { bytes: (to - from).max(1), file }
    }

    /// The part of it from one of its bytes to another, as they are counted where only what is read is.
    fn part(&self, from: u64, to: u64) -> PartitionedFile {
        if to - from == self.bytes {
            return self.file.clone();
        }
        let (begin, end) = extent(&self.file);
        let place =
            |byte: u64| (begin + (u128::from(end - begin) * u128::from(byte) / u128::from(self.bytes)) as u64) as i64;
        self.file.clone().with_range(place(from), place(to))
    }
}

/// The bytes of a file that are a piece.
fn extent(file: &PartitionedFile) -> (u64, u64) {
    match &file.range {
        Some(range) => (range.start as u64, range.end as u64),
        None => (0, file.object_meta.size),
    }
}

/// Pieces in as many groups as there are threads, equal in what is read of them, in the order of the sky.
///
/// One that reaches over the end of a group is cut there, and one that is large, into pieces that any thread can take.
/// An ordered group holds one piece of a file only.
pub(super) fn groups(files: Vec<Piece>, threads: usize, ordered: bool) -> Vec<FileGroup> {
    let total: u64 = files.iter().map(|piece| piece.bytes).sum();
    let parts = if total < WORTH_DIVIDING { 1 } else { threads as u64 };
    let step = match (parts, ordered) {
        (1, _) => total,
        (_, true) => total.div_ceil(parts),
        (_, false) => (total / (parts * PIECES_A_THREAD)).max(SMALLEST_PIECE),
    };
    let mut groups = vec![Vec::new(); parts as usize];
    let mut done = 0;
    for piece in files {
        let end = done + piece.bytes;
        let cuts = (done / step + 1..end.div_ceil(step)).map(|cut| cut * step);
        let mut from = done;
        for to in cuts.chain([end]) {
            let group = u128::from(from + (to - from) / 2) * u128::from(parts) / u128::from(total);
            groups[group as usize].push(piece.part(from - done, to - done)); // the middle of a piece is before the end of all
            from = to;
        }
        done = end;
    }
    groups.into_iter().filter(|group| !group.is_empty()).map(FileGroup::new).collect()
}

fn all(scan: &FileScanConfig) -> Vec<Piece> {
    scan.file_groups.iter().flat_map(|group| group.files()).cloned().map(Piece::whole).collect()
}

/// How many bytes the files of a scan have, or the parts of them that it may read.
pub(crate) fn bytes_of(scan: &FileScanConfig) -> u64 {
    scan.file_groups.iter().flat_map(|group| group.files()).map(extent).map(|(from, to)| to - from).sum()
}

/// The same scan in as many groups, whose rows come in any order.
pub(crate) fn in_any_order(scan: &FileScanConfig) -> FileScanConfig {
    let anew = groups(all(scan), scan.file_groups.len(), false);
    let builder = FileScanConfigBuilder::from(scan.clone()).with_output_ordering(Vec::new());
    match anew.len() == scan.file_groups.len() {
        true => builder.with_file_groups(anew).build(),
        false => builder.build(), // how many groups there are is settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(sizes: &[u64]) -> Vec<Piece> {
        let named = |(number, size): (usize, &u64)| PartitionedFile::new(format!("{number}"), *size);
        sizes.iter().enumerate().map(named).map(Piece::whole).collect()
    }

    /// The files of each group with the bytes of each piece.
    fn divided(groups: &[FileGroup]) -> Vec<Vec<(String, u64, u64)>> {
        let told = |file: &PartitionedFile| {
            let (from, to) = extent(file);
            (file.object_meta.location.to_string(), from, to)
        };
        groups.iter().map(|group| group.files().iter().map(told).collect()).collect()
    }

    #[test]
    fn every_byte_of_every_file_is_in_one_piece_in_the_order_of_the_files() {
        let sizes = [1 << 20, 200 << 20, 3, 77 << 20, 40_000_001];
        for (threads, ordered) in [(1, true), (2, true), (2, false), (5, true), (5, false), (8, false)] {
            let divided = divided(&groups(pieces(&sizes), threads, ordered));
            assert_eq!(divided.len(), threads, "{divided:?}");
            for group in divided.iter().filter(|_| ordered) {
                let mut files: Vec<&String> = group.iter().map(|(name, ..)| name).collect();
                files.dedup();
                assert_eq!(files.len(), group.len(), "an ordered group has one piece of a file: {group:?}");
            }
            let mut expected = sizes.iter().enumerate().map(|(number, size)| (number.to_string(), *size));
            let mut file = expected.next();
            let mut done = 0;
            for (name, from, to) in divided.into_iter().flatten() {
                let (known, size) = file.clone().unwrap();
                assert_eq!((&name, from), (&known, done), "{threads} {ordered}");
                done = if to == size { 0 } else { to };
                file = if to == size { expected.next() } else { file };
            }
            assert_eq!((file, done), (None, 0));
        }
    }

    #[test]
    fn pieces_that_are_divided_again_are_as_large_as_before() {
        let once = groups(pieces(&[100 << 20, 60 << 20]), 2, true);
        let files = once.iter().flat_map(|group| group.files()).cloned().map(Piece::whole).collect();
        let again = divided(&groups(files, 2, false));
        let bytes: u64 = again.iter().flatten().map(|(_, from, to)| to - from).sum();
        assert_eq!((again.len(), bytes), (2, 160 << 20));
        assert!(again.iter().all(|group| group.len() > 1), "{again:?}");
    }

    #[test]
    fn little_is_not_divided() {
        assert_eq!(groups(pieces(&[1 << 20, 2 << 20]), 4, false).len(), 1);
    }
}
