//! Columns that line up.

/// Lays rows out under their headings; the last column is not padded.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let head = line(headings.to_vec());
    rows.iter().fold(head, |text, row| {
        text + &line(row.iter().map(String::as_str).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["cp-1".into(), "Ready".into()],
            vec!["worker-12".into(), "NotReady".into()],
        ];
        insta::assert_snapshot!(table(&["NODE", "STATE"], &rows), @r"
        NODE       STATE
        cp-1       Ready
        worker-12  NotReady
        ");
    }
}
