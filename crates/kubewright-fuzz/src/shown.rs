//! What may reach an operator's terminal.

/// Lines end with a line feed; nothing else that moves a cursor, changes a colour or turns the direction of text.
pub(crate) fn assert_harmless(text: &str, longest: usize) {
    assert!(text.len() <= longest, "{} bytes of text are too many", text.len());
    if let Some(bad) = text.chars().find(|&letter| is_harmful(letter) && letter != '\n') {
        panic!("{bad:?} reaches the terminal in {text:?}");
    }
}

/// The same for what is to be one line.
pub(crate) fn assert_one_harmless_line(text: &str, longest: usize) {
    assert!(!text.contains('\n'), "more than one line: {text:?}");
    assert_harmless(text, longest);
}

fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
