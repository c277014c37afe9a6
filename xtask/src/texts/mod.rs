//! Every text that users can see, printed for reading from top to bottom.
//!
//! What the code keeps in tables is asked of it, what it says in between is read from its source, and the rest is what
//! the program answers. A chapter without a line is a mistake of this command.

mod catalogue;
mod program;
mod source;

use anyhow::ensure;

/// Texts of one kind.
struct Chapter {
    title: &'static str,
    lines: Vec<String>,
}

/// Prints them all.
pub(crate) fn print() -> anyhow::Result<()> {
    let chapters = [catalogue::chapters(), source::chapters()?, program::chapters()?];
    for chapter in chapters.into_iter().flatten() {
        ensure!(!chapter.lines.is_empty(), "no text found for: {}", chapter.title);
        crate::say(&format!("\n# {}\n", chapter.title));
        for line in chapter.lines {
            crate::say(&line);
        }
    }
    Ok(())
}
