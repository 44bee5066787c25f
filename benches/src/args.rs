//! What a benchmark is asked for behind `--` on its command line.

/// What a benchmark is asked for behind `--` on its command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// How many rounds to run.
    pub rounds: usize,
    /// In how many processes, one after the other.
    pub processes: usize,
    only: Vec<String>,
}

impl Args {
    /// Reads the command line: a number is that of rounds, one behind `--processes` that
    /// of processes, anything else a part of the name of what to run.
    pub fn read(default_rounds: usize) -> Self {
        Self::of(default_rounds, std::env::args().skip(1))
    }

    fn of(default_rounds: usize, words: impl Iterator<Item = String>) -> Self {
        let mut args = Args { rounds: default_rounds, processes: 1, only: Vec::new() };
        let mut words = words;
        while let Some(word) = words.next() {
            match (word.as_str(), word.parse::<usize>()) {
                ("--processes", _) => {
                    let number = words.next().and_then(|number| number.parse().ok());
                    args.processes = number.unwrap_or(1).max(1);
                }
                (_, Ok(rounds)) => args.rounds = rounds.max(1),
                // Cargo adds `--bench`.
                (option, _) if option.starts_with("--") => {}
                _ => args.only.push(word),
            }
        }
        args
    }

    /// Whether to run what has this name.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    /// The command line that asks one process for the same.
    pub fn for_one_process(&self) -> Vec<String> {
        let mut words = vec![self.rounds.to_string()];
        words.extend(self.only.iter().cloned());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::of(9, line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_are_told_apart() {
        let asked = args("--bench 3 fib --processes 5 gofmt");
        assert_eq!((asked.rounds, asked.processes), (3, 5));
        assert!(asked.wants("small fib") && asked.wants("gofmt") && !asked.wants("ripgrep"));
        assert_eq!(args("--bench"), Args { rounds: 9, processes: 1, only: Vec::new() });
        assert!(args("").wants("anything"));
    }

    #[test]
    fn one_process_is_asked_for_the_same() {
        let asked = args("3 fib --processes 5");
        assert_eq!(args(&asked.for_one_process().join(" ")), Args { processes: 1, ..asked });
    }
}
