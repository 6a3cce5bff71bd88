//! What every command takes.

use clap::{Args, ColorChoice, ValueEnum};

use super::Target;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For `kubectl apply -f -`.
    Yaml,
}

/// Options that every command takes, before or after its name.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Which cluster, and which namespace in it.
    #[command(flatten)]
    pub target: Target,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Colours; `auto` means on a terminal and without NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

impl Global {
    /// Makes everything that is printed from now on follow `--color`.
    pub fn choose_colors(&self) {
        match self.color {
            // Leaves NO_COLOR, CLICOLOR and the terminal to decide.
            ColorChoice::Auto => {}
            ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
            ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}
