//! A reader of JSON, strict: what it takes every other one takes.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Result<Json, String> {
        let mut reader = Reader { rest: text };
        let value = reader.value()?;
        reader.space();
        if reader.rest.is_empty() { Ok(value) } else { reader.fail("something behind the end") }
    }

    /// A member of an object, which has it.
    pub(crate) fn get(&self, key: &str) -> &Json {
        self.find(key).unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.get(key),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Json::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    pub(crate) fn number(&self) -> f64 {
        match self {
            Json::Number(number) => *number,
            other => panic!("no number: {other:?}"),
        }
    }

    pub(crate) fn list(&self) -> &[Json] {
        match self {
            Json::List(list) => list,
            other => panic!("no list: {other:?}"),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn fail<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("{what}: {:?}", self.rest.chars().take(60).collect::<String>()))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn takes(&mut self, words: &str) -> bool {
        let found = self.rest.strip_prefix(words);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn value(&mut self) -> Result<Json, String> {
        self.space();
        match self.rest.chars().next() {
            Some('{') => self.object(),
            Some('[') => self.list(),
            Some('"') => self.text().map(Json::Text),
            Some('-' | '0'..='9') => self.number(),
            _ if self.takes("null") => Ok(Json::Null),
            _ if self.takes("true") => Ok(Json::Bool(true)),
            _ if self.takes("false") => Ok(Json::Bool(false)),
            _ => self.fail("no value"),
        }
    }

    /// Members up to `end`, with commas between them.
    fn members(
        &mut self,
        end: &str,
        mut member: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.rest = &self.rest[1..];
        self.space();
        if self.takes(end) {
            return Ok(());
        }
        loop {
            member(self)?;
            self.space();
            if self.takes(end) {
                return Ok(());
            }
            if !self.takes(",") {
                return self.fail("no comma");
            }
        }
    }

    fn object(&mut self) -> Result<Json, String> {
        let mut members = BTreeMap::new();
        self.members("}", |reader| {
            reader.space();
            let key = reader.text()?;
            reader.space();
            if !reader.takes(":") {
                return reader.fail("no colon");
            }
            let value = reader.value()?;
            match members.insert(key, value) {
                None => Ok(()),
                Some(_) => reader.fail("a key twice"),
            }
        })?;
        Ok(Json::Object(members))
    }

    fn list(&mut self) -> Result<Json, String> {
        let mut list = Vec::new();
        self.members("]", |reader| {
            list.push(reader.value()?);
            Ok(())
        })?;
        Ok(Json::List(list))
    }

    fn text(&mut self) -> Result<String, String> {
        if !self.takes("\"") {
            return self.fail("no text");
        }
        let mut text = String::new();
        loop {
            let Some(letter) = self.rest.chars().next() else {
                return self.fail("no end of a text");
            };
            self.rest = &self.rest[letter.len_utf8()..];
            match letter {
                '"' => return Ok(text),
                '\0'..' ' => return self.fail("a control character"),
                '\\' => text.push(self.escape()?),
                letter => text.push(letter),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        for (name, letter) in [("\"", '"'), ("\\", '\\'), ("/", '/'), ("n", '\n'), ("t", '\t')] {
            if self.takes(name) {
                return Ok(letter);
            }
        }
        let digits = self.rest.get(1..5).filter(|_| self.rest.starts_with('u'));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match number.and_then(char::from_u32) {
            Some(letter) => {
                self.rest = &self.rest[5..];
                Ok(letter)
            }
            None => self.fail("no such escape"),
        }
    }

    fn number(&mut self) -> Result<Json, String> {
        let end = self
            .rest
            .find(|letter| !matches!(letter, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'))
            .unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let zeros = number.trim_start_matches('-');
        let leading = zeros.len() > 1 && zeros.starts_with('0') && !zeros.starts_with("0.");
        match number.parse() {
            Ok(value) if !leading => {
                self.rest = rest;
                Ok(Json::Number(value))
            }
            _ => self.fail("no number"),
        }
    }
}

#[test]
fn reads_what_is_json_and_nothing_else() {
    let good = Json::parse(" {\"a\": [1, -2.5e3, \"\\u00e9\\n\"], \"b\": null} ").expect("JSON");
    assert_eq!(good.get("a").list()[1], Json::Number(-2500.0));
    assert_eq!(good.get("a").list()[2].text(), "é\n");
    for bad in ["", "[1,]", "{\"a\":1,}", "[1 2]", "\"\n\"", "01", "[", "{\"a\":1,\"a\":2}", "1 2"]
    {
        assert!(Json::parse(bad).is_err(), "{bad}");
    }
}
