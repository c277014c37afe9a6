//! Sending content: compressed as it lies in the store, a quarter of a megabyte at a time, behind everything else.

use std::pin::Pin;
use std::sync::Arc;

use kubewright_core::resource::Digest;
use kubewright_core::wire::frame::encode_data;
use kubewright_core::wire::{MAX_DATA_BYTES, ToAgent};
use tokio::io::AsyncReadExt;

use super::connection::Shared;
use crate::transport::Reader;

/// How many blobs may be on their way to one node at once.
const AT_ONCE: usize = 32;

/// Content that cannot be had, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("content {}: {cause}", sha256.short())]
pub struct NoBlob {
    /// Which content.
    pub sha256: Digest,
    /// Why it cannot be had.
    pub cause: String,
}

/// What [`Blobs::open_zstd`] returns.
pub type BlobOpening<'a> = Pin<Box<dyn Future<Output = Result<Reader, NoBlob>> + Send + 'a>>;

/// Knows content by its digest.
pub trait Blobs: Send + Sync {
    /// Opens content as a zstd stream.
    fn open_zstd(&self, sha256: Digest) -> BlobOpening<'_>;
}

impl Shared {
    pub(super) fn serve_blob(self: &Arc<Self>, sha256: Digest) -> Result<(), String> {
        let services = self.services()?;
        {
            let mut state = self.state();
            if !state.planned.has_blob(sha256) {
                return Err(format!("it asks for content {} of another node", sha256.short()));
            }
            if state.blobs >= AT_ONCE {
                return Err(format!("it asks for more than {AT_ONCE} blobs at once"));
            }
            state.blobs += 1;
        }
        let shared = self.clone();
        tokio::spawn(async move {
            if let Err(error) = shared.send_blob(services.blobs.as_ref(), sha256).await {
                shared.give_up(error.to_string());
            }
            shared.state().blobs -= 1;
        });
        Ok(())
    }

    /// Sends a blob; the end of the connection ends it without error.
    async fn send_blob(&self, blobs: &dyn Blobs, sha256: Digest) -> Result<(), NoBlob> {
        let failed = |cause: String| NoBlob { sha256, cause };
        let mut content = blobs.open_zstd(sha256).await?;
        let stream = self.new_stream();
        if self
            .say("send content", &ToAgent::Blob { stream, sha256 })
            .is_err()
        {
            return Ok(());
        }
        let mut buffer = vec![0; MAX_DATA_BYTES];
        loop {
            let count = fill(&mut content, &mut buffer)
                .await
                .map_err(|error| failed(error.to_string()))?;
            let frame = encode_data(stream, &buffer[..count]).map_err(|error| failed(error.to_string()))?;
            let is_end = count == 0;
            if self.blob_frames.send(frame).await.is_err() || is_end {
                return Ok(());
            }
            self.mark_active();
        }
    }
}

/// Reads until the buffer is full or the content ends.
async fn fill(content: &mut Reader, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]).await? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
