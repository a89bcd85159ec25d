//! What `doctor` prints: as text for people, as JSON for programs.

use std::fmt;

use serde::Serialize;
use serde_json::json;

use crate::channel::control::FileAccess;
use crate::process::jail::layers::Layer;
use crate::process::jail::rights::{Judgement, Right, Verdict};
use crate::process::jail::{self};

/// Something about the machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Item {
    /// Its name in JSON.
    name: &'static str,
    #[serde(skip)]
    title: &'static str,
    /// Whether it is as it should be; nothing for a mere fact.
    given: Option<bool>,
    value: Option<String>,
    /// What to do, where it is not as it should be.
    remedy: Option<&'static str>,
}

impl Item {
    /// Something that should be there.
    pub(super) fn check(name: &'static str, title: &'static str, given: bool, remedy: &'static str) -> Self {
        Self { name, title, given: Some(given), value: None, remedy: (!given).then_some(remedy) }
    }

    /// Something that is as it is.
    pub(super) fn fact(name: &'static str, title: &'static str, value: String) -> Self {
        Self { name, title, given: None, value: Some(value), remedy: None }
    }

    /// With what was found.
    pub(super) fn with_value(self, value: String) -> Self {
        Self { value: Some(value), ..self }
    }

    fn of_layer(layer: Layer, jail: &jail::Report) -> Self {
        let item = Self::check(layer.key(), layer.name(), jail.layers.has(layer), layer.remedy());
        match (layer, jail.landlock_abi) {
            (Layer::LandlockFiles, abi @ 1..) => item.with_value(format!("ABI {abi}")),
            _ => item,
        }
    }
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub(super) struct Report {
    jail: jail::Report,
    machine: Vec<Item>,
}

impl Report {
    /// What came of a confinement, and what the machine gives besides.
    pub(super) fn new(jail: jail::Report, machine: Vec<Item>) -> Self {
        Self { jail, machine }
    }

    /// How well a worker is confined.
    pub(super) fn verdict(&self, directories: FileAccess) -> Verdict {
        self.judgement(directories).verdict()
    }

    /// One JSON object on one line.
    pub(super) fn json(&self) -> String {
        let judgement = self.judgement(FileAccess::None);
        let right = |right: Right| {
            let layers: Vec<&str> = judgement.holding(right).map(Layer::key).collect();
            json!({ "name": right.key(), "taken_by": layers })
        };
        let report = json!({
            "verdict": self.verdict(FileAccess::None).name(),
            "verdict_with_directories": self.verdict(FileAccess::Granted).name(),
            "confinement_us": u64::try_from(self.jail.time.as_micros()).unwrap_or(u64::MAX),
            "landlock_abi": self.jail.landlock_abi,
            "layers": self.layers().collect::<Vec<_>>(),
            "rights": Right::ALL.map(right),
            "machine": self.machine,
        });
        report.to_string()
    }

    fn judgement(&self, directories: FileAccess) -> Judgement {
        Judgement::of(self.jail.layers, directories)
    }

    fn layers(&self) -> impl Iterator<Item = Item> {
        Layer::ALL.into_iter().map(|layer| Item::of_layer(layer, &self.jail))
    }

    /// What the verdict means, for the rights that made it so.
    fn meaning(&self) -> String {
        let judgement = self.judgement(FileAccess::None);
        let named =
            |rights: Vec<Right>| rights.iter().map(|right| right.name()).collect::<Vec<_>>().join(", ");
        match judgement.verdict() {
            Verdict::Full => "every right is taken away, by every layer that there is for it".to_owned(),
            Verdict::Reduced => {
                let thin = Right::ALL.into_iter().filter(|right| judgement.is_thin(*right));
                format!("every right is taken away, but by a single layer: {}", named(thin.collect()))
            }
            Verdict::Insecure => {
                let missing = named(judgement.missing().collect());
                format!("nothing takes away the right to {missing}; modules run with --insecure only")
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "layers that confine a worker:")?;
        self.layers().try_for_each(|item| write_item(f, &item))?;
        writeln!(f, "rights, and what takes them from a worker:")?;
        let judgement = self.judgement(FileAccess::None);
        for right in Right::ALL {
            let layers: Vec<&str> = judgement.holding(right).map(Layer::name).collect();
            let layers = if layers.is_empty() { "nothing".to_owned() } else { layers.join(", ") };
            writeln!(f, "  {:<48} {layers}", right.name())?;
        }
        writeln!(f, "the machine:")?;
        self.machine.iter().try_for_each(|item| write_item(f, item))?;
        let milliseconds = self.jail.time.as_secs_f64() * 1e3;
        writeln!(f, "confinement: {}: {}", self.verdict(FileAccess::None).name(), self.meaning())?;
        writeln!(f, "  with granted directories: {}", self.verdict(FileAccess::Granted).name())?;
        writeln!(f, "  took {milliseconds:.2} ms of the trial's start")
    }
}

fn write_item(f: &mut fmt::Formatter<'_>, item: &Item) -> fmt::Result {
    let state = match item.given {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    let rest = [item.value.as_deref(), item.remedy].into_iter().flatten().collect::<Vec<_>>().join("; ");
    writeln!(f, "{}", format!("  {state:<4}{:<26} {rest}", item.title).trim_end())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::jail::layers::Layers;

    fn report(missing: &[Layer], landlock_abi: u32) -> Report {
        let layers: Layers = Layer::ALL.into_iter().filter(|layer| !missing.contains(layer)).collect();
        let jail = jail::Report { layers, landlock_abi, time: Duration::from_micros(250) };
        let machine = vec![
            Item::check("pidfd", "process descriptors", false, "use Linux 5.4"),
            Item::fact("cores", "cores for workers", "2".to_owned()),
        ];
        Report::new(jail, machine)
    }

    #[test]
    fn text_says_what_is_there_and_what_to_do() {
        let text = report(&[Layer::LandlockScopes], 5).to_string();
        for line in [
            "  yes Landlock files             ABI 5",
            "  no  Landlock scopes            use Linux 6.12 or later with Landlock",
            "  send signals to other processes                  seccomp filter",
            "  no  process descriptors        use Linux 5.4",
            "      cores for workers          2",
            "confinement: reduced: every right is taken away, but by a single layer: send signals to other processes",
            "  with granted directories: reduced",
            "  took 0.25 ms of the trial's start",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing:\n{text}");
        }
    }

    #[test]
    fn json_says_the_same() {
        let json: serde_json::Value = serde_json::from_str(&report(&[Layer::Filter], 7).json()).unwrap();
        assert_eq!(json["verdict"], "insecure");
        assert_eq!(json["confinement_us"], 250);
        assert_eq!(json["landlock_abi"], 7);
        let named = |list: &serde_json::Value, name: &str| {
            list.as_array().unwrap().iter().find(|item| item["name"] == name).cloned().unwrap()
        };
        assert_eq!(named(&json["layers"], "seccomp")["given"], false);
        assert!(
            named(&json["layers"], "seccomp")["remedy"].as_str().unwrap().contains("CONFIG_SECCOMP_FILTER")
        );
        assert_eq!(named(&json["rights"], "rare_doors")["taken_by"], json!([]));
        assert_eq!(named(&json["rights"], "files")["taken_by"], json!(["landlock_files", "no_descriptors"]));
        assert_eq!(named(&json["machine"], "cores")["value"], "2");
    }
}
