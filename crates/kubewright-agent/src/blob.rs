//! Content that arrives by its digest: decompressed, checked and written in one pass.
//!
//! Nothing is believed before the last byte: size and digest are verified while the content streams to a temporary file or
//! a program, and only then does the file get its name.

use std::io::{self, Read};

use kubewright_core::resource::{Blob, Digest};
use kubewright_core::wire::NodeError;
use sha2::{Digest as _, Sha256};

use crate::fault::{Doing as _, fault};

/// Largest zstd window accepted, as a power of two: 32 MiB, what the highest compression levels ask for.
const WINDOW_LOG: u32 = 25;

/// Reads through, and knows the digest and size of what was read.
pub struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    size: u64,
}

impl<R: Read> Hashing<R> {
    /// Reads through to `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            size: 0,
        }
    }

    /// The digest of what was read.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hasher.clone().finalize().into())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

/// The content of a blob: what `stream` decompresses to, an error at its end if that is not what was asked for.
pub struct Content<R: Read> {
    reader: Hashing<zstd::Decoder<'static, io::BufReader<R>>>,
    wanted: Blob,
}

impl<R: Read> Content<R> {
    /// Reads a blob from its compressed stream.
    ///
    /// # Errors
    /// When the decompressor cannot be set up.
    pub fn new(stream: R, wanted: Blob) -> Result<Self, NodeError> {
        let doing = || format!("receive {}", wanted.sha256.short());
        let mut decoder = zstd::Decoder::new(stream).doing(doing)?;
        decoder.window_log_max(WINDOW_LOG).doing(doing)?;
        Ok(Self {
            reader: Hashing::new(decoder),
            wanted,
        })
    }

    /// Writes the content somewhere, verified: when this is an error, what was written must not be used.
    ///
    /// # Errors
    /// When the stream ends early, is no zstd, or holds anything else than what was asked for.
    pub fn copy_to(mut self, target: &mut impl io::Write) -> Result<(), NodeError> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = self.next(&mut buffer)?;
            if count == 0 {
                return self.verdict();
            }
            let doing = || format!("write {}", self.wanted.sha256.short());
            target.write_all(&buffer[..count]).doing(doing)?;
        }
    }

    /// Reads what is left and tells whether the whole is what was asked for.
    ///
    /// # Errors
    /// When it is not.
    pub fn finish(mut self) -> Result<(), NodeError> {
        let mut buffer = vec![0; 64 << 10];
        while self.next(&mut buffer)? > 0 {}
        self.verdict()
    }

    /// The next bytes, none at the end, which is also where more than was asked for begins.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, NodeError> {
        if self.reader.size > self.wanted.size_bytes {
            return Ok(0);
        }
        let count = self
            .reader
            .read(buffer)
            .doing(|| format!("receive {}", self.wanted.sha256.short()))?;
        Ok(if self.reader.size > self.wanted.size_bytes {
            0
        } else {
            count
        })
    }

    fn verdict(&self) -> Result<(), NodeError> {
        let doing = || format!("receive {}", self.wanted.sha256.short());
        let (size, wanted) = (self.reader.size, self.wanted.size_bytes);
        if size > wanted {
            return Err(fault(doing(), format!("more than {wanted} bytes arrived")));
        }
        if size < wanted {
            return Err(fault(doing(), format!("only {size} of {wanted} bytes arrived")));
        }
        let digest = self.reader.digest();
        if digest != self.wanted.sha256 {
            return Err(fault(doing(), format!("the content's digest is {digest}")));
        }
        Ok(())
    }
}

impl<R: Read> Read for Content<R> {
    /// Reads on; the end is an error when the content is not what was asked for.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.next(buffer).map_err(io::Error::other)?;
        if count == 0 && !buffer.is_empty() {
            self.verdict().map_err(io::Error::other)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
