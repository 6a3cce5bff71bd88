//! When pods run at all.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When the pods run. Outside of these windows there are none; jobs with a schedule run all the same. It is no part of a release.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Uptime {
    /// The time zone of the windows, such as `Europe/London`. Default `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// Whether the app is asleep until somebody wakes it with `drover wake`, whatever its windows say: in one Environment of several that
    /// share a folder, such as that of a test. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<bool>,

    /// The windows. Those that overlap or touch are one. Without any the app is asleep until somebody wakes it with `drover wake`.
    #[schemars(length(max = 32))]
    pub windows: Vec<UptimeWindow>,
}

/// A time of the day in which the pods run.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.from != self.to")
    .message("a window begins and ends at the same time: write two times, or from \"00:00\" to \"24:00\" for whole days"))]
pub struct UptimeWindow {
    /// The days on which it begins. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub days: Vec<Weekday>,

    /// When it begins, such as `"08:00"`. What a clock change skips begins when the clock has changed; what it repeats, the first time.
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')")
        .message("from is written as hours and minutes in quotes, from \"00:00\" to \"23:59\""))]
    pub from: String,

    /// When it ends, such as `"22:00"`, at the latest `"24:00"`. At or before `from` it is a time of the next day.
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')")
        .message("to is written as hours and minutes in quotes, from \"00:00\" to \"24:00\""))]
    pub to: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}
