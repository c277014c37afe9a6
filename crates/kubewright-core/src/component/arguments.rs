//! Command-line arguments of a program: in order, each name once, the user's own on top.

use std::collections::BTreeMap;

/// Arguments of the form `--name=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments(Vec<(String, String)>);

impl Arguments {
    /// Arguments in the order given.
    pub fn new<const N: usize>(arguments: [(&str, &str); N]) -> Self {
        let mut all = Self::default();
        for (name, value) in arguments {
            all.set(name, value);
        }
        all
    }

    /// Sets one, in its place when it is there already, and last when not.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(present, _)| present == name) {
            Some((_, present)) => *present = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Sets the user's own: they replace ours of the same name, the rest comes last, by name.
    pub fn set_all(&mut self, extra: &BTreeMap<String, String>) {
        for (name, value) in extra {
            self.set(name, value.clone());
        }
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(present, _)| *present == name)
            .map(|(_, value)| value)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All as a program takes them: `--name=value`.
    pub fn words(&self) -> Vec<String> {
        self.iter()
            .map(|(name, value)| format!("--{name}={value}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    #[test]
    fn the_users_own_replace_ours_in_place_and_new_ones_come_last_by_name() {
        let mut arguments = Arguments::new([("v", "1"), ("profiling", "false")]);
        let extra = [("zeta", "9"), ("v", "4"), ("event-ttl", "2h")];
        arguments.set_all(
            &extra
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        );
        assert_eq!(
            arguments.words(),
            ["--v=4", "--profiling=false", "--event-ttl=2h", "--zeta=9"]
        );
    }
}
