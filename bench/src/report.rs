//! Figures, their goals, and how they are shown.

use anyhow::Result;
use serde::Serialize;

/// One figure.
#[derive(Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// The same measured on the floor, in the same run.
    pub floor: Option<f64>,
    /// Value over floor.
    pub ratio: Option<f64>,
    /// What is to be reached, in words.
    pub goal: Option<&'static str>,
    /// Whether it is.
    pub reached: Option<bool>,
}

/// A goal about a ratio: in words, and as a test.
pub type RatioGoal = (&'static str, fn(f64) -> bool);

/// All figures of a run.
#[derive(Default, Serialize)]
pub struct Report {
    pub figures: Vec<Figure>,
}

impl Report {
    /// A figure by itself.
    pub fn plain(&mut self, name: &str, value: f64, unit: &'static str, goal: Option<(&'static str, bool)>) {
        self.push(name, value, unit, None, goal);
    }

    /// A figure beside its floor; the goal is about the ratio.
    pub fn against(&mut self, name: &str, value: f64, floor: f64, unit: &'static str, goal: Option<RatioGoal>) {
        let ratio = value / floor;
        self.push(name, value, unit, Some(floor), goal.map(|(text, reached)| (text, reached(ratio))));
    }

    fn push(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        floor: Option<f64>,
        goal: Option<(&'static str, bool)>,
    ) {
        let figure = Figure {
            name: name.to_owned(),
            value,
            unit,
            floor,
            ratio: floor.map(|floor| value / floor),
            goal: goal.map(|(text, _)| text),
            reached: goal.map(|(_, reached)| reached),
        };
        eprintln!("{}", line(&figure));
        self.figures.push(figure);
    }

    /// Prints all: a table for a person, or JSON.
    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!("\n{:<58} {:>12} {:>12} {:>7}  goal", "figure", "value", "floor", "ratio");
        for figure in &self.figures {
            println!("{}", line(figure));
        }
        Ok(())
    }
}

fn line(figure: &Figure) -> String {
    let number = |value: f64| if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    let floor = figure.floor.map(number).unwrap_or_default();
    let ratio = figure.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    let goal = match (figure.goal, figure.reached) {
        (Some(goal), Some(true)) => format!("{goal}: reached"),
        (Some(goal), _) => format!("{goal}: NOT REACHED"),
        _ => String::new(),
    };
    format!("{:<58} {:>9} {:<2} {floor:>12} {ratio:>7}  {goal}", figure.name, number(figure.value), figure.unit)
}

/// The median; 0 of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
