//! The workspace crate on real repositories.

#[cfg(test)]
mod support;

#[cfg(test)]
mod cycle;
#[cfg(test)]
mod files;
#[cfg(test)]
mod planted;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod shapes;
