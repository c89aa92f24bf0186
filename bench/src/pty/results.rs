//! What was measured, by measure and peer, and the bars that it is held against.

use anyhow::Result;
use serde::Serialize;

/// One figure of one peer.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub measure: &'static str,
    pub peer: String,
    pub name: &'static str,
    /// `None` where it could not be measured; `note` says why.
    pub value: Option<f64>,
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A bar, and whether it is reached; `None` where it was not measured.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub bar: &'static str,
    pub measured: String,
    pub reached: Option<bool>,
}

/// All figures of a run.
#[derive(Default, Serialize)]
pub struct Results {
    /// Peer and version, or that it is not installed.
    pub peers: Vec<(String, String)>,
    pub figures: Vec<Figure>,
    pub verdicts: Vec<Verdict>,
}

impl Results {
    /// Adds a figure.
    pub fn add(&mut self, measure: &'static str, peer: &str, name: &'static str, value: f64, unit: &'static str) {
        self.figures.push(Figure { measure, peer: peer.to_owned(), name, value: Some(value), unit, note: None });
    }

    /// Adds that there is no figure, and why.
    pub fn lack(&mut self, measure: &'static str, peer: &str, name: &'static str, why: impl Into<String>) {
        self.figures.push(Figure {
            measure,
            peer: peer.to_owned(),
            name,
            value: None,
            unit: "",
            note: Some(why.into()),
        });
    }

    /// A figure that was measured.
    pub fn value(&self, measure: &str, peer: &str, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|figure| figure.measure == measure && figure.peer == peer && figure.name == name)
            .and_then(|figure| figure.value)
    }

    /// Prints all: tables for a person, or JSON.
    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!("\npeers");
        for (peer, version) in &self.peers {
            println!("  {peer:<12} {version}");
        }
        let mut measures: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !measures.contains(&figure.measure) {
                measures.push(figure.measure);
            }
        }
        for measure in measures {
            self.print_measure(measure);
        }
        println!("\nbars");
        for verdict in &self.verdicts {
            let word = match verdict.reached {
                Some(true) => "pass",
                Some(false) => "FAIL",
                None => "----",
            };
            println!("  {word}  {:<66} {}", verdict.bar, verdict.measured);
        }
        Ok(())
    }

    fn print_measure(&self, measure: &str) {
        println!("\n{measure}");
        let figures = || self.figures.iter().filter(|figure| figure.measure == measure);
        let (mut names, mut peers): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for figure in figures() {
            if figure.value.is_some() && !names.contains(&figure.name) {
                names.push(figure.name);
            }
            if !peers.contains(&figure.peer.as_str()) {
                peers.push(&figure.peer);
            }
        }
        let head: Vec<String> = names
            .iter()
            .map(|name| {
                let unit = figures()
                    .find(|figure| figure.name == *name && figure.value.is_some())
                    .map_or("", |figure| figure.unit);
                format!("{:>19}", if unit.is_empty() { (*name).to_owned() } else { format!("{name} {unit}") })
            })
            .collect();
        println!("  {:<12}{}", "", head.join(" "));
        for peer in peers {
            let cells: Vec<String> = names
                .iter()
                .map(|name| format!("{:>19}", self.value(measure, peer, name).map_or("-".to_owned(), number)))
                .collect();
            println!("  {peer:<12}{}", cells.join(" "));
            for figure in figures().filter(|figure| figure.peer == peer) {
                if let Some(note) = &figure.note {
                    println!("  {:<12}  {}: {note}", "", figure.name);
                }
            }
        }
    }
}

/// A figure as people read it.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
