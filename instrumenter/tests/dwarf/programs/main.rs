use std::collections::BTreeMap;

#[inline]
fn digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

fn words(text: &str) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    for word in text.split_whitespace() {
        *words.entry(word.to_lowercase()).or_default() += 1 + digits(word);
    }
    words
}

fn main() {
    let text: String = std::env::args().chain(["a b2 a 33".to_owned()]).collect();
    for (word, count) in words(&text) {
        println!("{word} {count}");
    }
}
