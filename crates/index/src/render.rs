//! A project map as compact text, for a prompt or a person.

use std::fmt::Write;

use crate::map::{MapFile, ProjectMap};
use crate::source::Parse;

impl ProjectMap {
    /// The map as Markdown: totals, what was left out, then a line for each file and each symbol.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let files: u64 = self.languages.iter().map(|total| total.files).sum();
        let lines: u64 = self.languages.iter().map(|total| total.lines).sum();
        writeln!(out, "# Project map\n\n{files} files, {lines} lines")?;
        for total in &self.languages {
            let language = total.language.map_or("other", |language| language.as_str());
            writeln!(out, "- {language}: {} files, {} lines", total.files, total.lines)?;
        }
        if !self.omitted.is_empty() {
            writeln!(out, "\nLeft out:")?;
            for omitted in &self.omitted {
                let more = if omitted.count > omitted.examples.len() as u64 { ", ..." } else { "" };
                let examples = omitted.examples.join(", ");
                writeln!(out, "- {} files, {}: {examples}{more}", omitted.count, omitted.reason.as_str())?;
            }
        }
        writeln!(out)?;
        for file in &self.files {
            write_file(out, file)?;
        }
        Ok(())
    }
}

fn write_file(out: &mut String, file: &MapFile) -> std::fmt::Result {
    write!(out, "{} ({} lines", file.path, file.lines)?;
    match file.parse {
        Parse::Partial => write!(out, ", syntax errors")?,
        Parse::GaveUp => write!(out, ", symbols unknown")?,
        Parse::Full | Parse::Unsupported => {}
    }
    writeln!(out, ")")?;
    for symbol in &file.symbols {
        write!(out, "  {}-{} {} ", symbol.line, symbol.end_line, symbol.kind.as_str())?;
        if let Some(parent) = &symbol.parent {
            write!(out, "{parent} > ")?;
        }
        writeln!(out, "{}", symbol.name)?;
    }
    if file.symbols_omitted > 0 {
        writeln!(out, "  and {} more symbols", file.symbols_omitted)?;
    }
    Ok(())
}
