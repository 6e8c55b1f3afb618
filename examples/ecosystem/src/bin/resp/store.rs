//! What is stored, and the commands on it, each with Redis's answers.
//!
//! A key that has expired is removed before the next command runs; their deadlines are in a set beside the keys, so that
//! this costs nothing while none has.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use whirligig::time::Instant;

use crate::protocol::{Answers, number};

#[derive(Default)]
pub(crate) struct Store {
    entries: HashMap<Vec<u8>, Entry>,
    /// Each key with a deadline.
    deadlines: BTreeSet<(Instant, Vec<u8>)>,
}

struct Entry {
    value: Value,
    deadline: Option<Instant>,
}

enum Value {
    Text(Vec<u8>),
    List(VecDeque<Vec<u8>>),
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";
const SYNTAX: &str = "ERR syntax error";

type Outcome = Result<(), String>;

impl Store {
    /// Runs a command, which has at least one word, and answers it.
    pub(crate) fn run(&mut self, command: &[&[u8]], now: Instant, answers: &mut Answers) {
        self.expire(now);
        let name = String::from_utf8_lossy(command[0]).to_ascii_lowercase();
        let before = answers.bytes.len();
        if let Err(error) = self.try_run(&name, &command[1..], now, answers) {
            answers.bytes.truncate(before);
            answers.error(&error);
        }
    }

    fn try_run(
        &mut self,
        name: &str,
        words: &[&[u8]],
        now: Instant,
        answers: &mut Answers,
    ) -> Outcome {
        match (name, words) {
            ("ping", []) => answers.simple("PONG"),
            ("ping" | "echo", [text]) => answers.bulk(text),
            ("set", [key, value, options @ ..]) => {
                return self.set("set", (key, value), options, now, answers);
            }
            ("setex", [key, after, value]) => {
                return self.set("setex", (key, value), &[b"ex", after], now, answers);
            }
            ("psetex", [key, after, value]) => {
                return self.set("psetex", (key, value), &[b"px", after], now, answers);
            }
            ("get", [key]) => match self.text(key)? {
                Some(text) => answers.bulk(text),
                None => answers.nothing(),
            },
            ("append", [key, more]) => {
                let text = self.text_to_change(key)?;
                text.extend_from_slice(more);
                answers.integer(text.len() as i64);
            }
            ("strlen", [key]) => answers.integer(self.text(key)?.map_or(0, <[u8]>::len) as i64),
            ("mset", [_, _, ..]) if words.len().is_multiple_of(2) => {
                for pair in words.chunks(2) {
                    self.put(pair[0], Value::Text(pair[1].to_vec()), None);
                }
                answers.simple("OK");
            }
            ("mget", [_, ..]) => {
                answers.array(words.len());
                for key in words {
                    match self.text(key) {
                        Ok(Some(text)) => answers.bulk(text),
                        _ => answers.nothing(),
                    }
                }
            }
            ("incr", [key]) => answers.integer(self.add(key, 1)?),
            ("decr", [key]) => answers.integer(self.add(key, -1)?),
            ("incrby", [key, by]) => {
                let by = number(by).ok_or(NO_INTEGER)?;
                answers.integer(self.add(key, by)?);
            }
            ("del" | "unlink", [_, ..]) => {
                let gone = words.iter().filter(|key| self.remove(key)).count();
                answers.integer(gone as i64);
            }
            ("exists", [_, ..]) => {
                let there = words.iter().filter(|key| self.entries.contains_key(**key)).count();
                answers.integer(there as i64);
            }
            ("expire", [key, after]) => self.expire_in(key, after, 1000, now, answers)?,
            ("pexpire", [key, after]) => self.expire_in(key, after, 1, now, answers)?,
            ("persist", [key]) => {
                let had = self.entries.get(*key).is_some_and(|entry| entry.deadline.is_some());
                self.set_deadline(key, None);
                answers.integer(had.into());
            }
            ("ttl", [key]) => {
                answers.integer(match self.entries.get(*key).map(|entry| entry.deadline) {
                    None => -2,
                    Some(None) => -1,
                    // Rounded, as Redis has it.
                    Some(Some(at)) => ((at.duration_since(now).as_millis() + 500) / 1000) as i64,
                })
            }
            ("type", [key]) => {
                answers.simple(match self.entries.get(*key).map(|entry| &entry.value) {
                    None => "none",
                    Some(Value::Text(_)) => "string",
                    Some(Value::List(_)) => "list",
                })
            }
            ("lpush" | "rpush", [key, items @ ..]) if !items.is_empty() => {
                let list = self.list_to_change(key)?;
                for item in items {
                    match name {
                        "lpush" => list.push_front(item.to_vec()),
                        _ => list.push_back(item.to_vec()),
                    }
                }
                answers.integer(list.len() as i64);
            }
            ("lpop" | "rpop", [key]) => {
                if self.list(key)?.is_none() {
                    answers.nothing();
                    return Ok(());
                }
                let list = self.list_to_change(key)?;
                let item = if name == "lpop" { list.pop_front() } else { list.pop_back() };
                let is_empty = list.is_empty();
                answers.bulk(&item.expect("an empty list is not stored"));
                if is_empty {
                    self.remove(key);
                }
            }
            ("llen", [key]) => answers.integer(self.list(key)?.map_or(0, VecDeque::len) as i64),
            ("lrange", [key, from, to]) => {
                let (from, to) = (number(from).ok_or(NO_INTEGER)?, number(to).ok_or(NO_INTEGER)?);
                let empty = VecDeque::new();
                let list = self.list(key)?.unwrap_or(&empty);
                let length = list.len() as i64;
                // Below 0 it is counted from the end.
                let place = |n: i64| if n < 0 { n.saturating_add(length) } else { n };
                let (from, to) = (place(from).max(0), place(to).min(length - 1));
                let count = to.saturating_sub(from).saturating_add(1).max(0) as usize;
                answers.array(count);
                list.iter().skip(from as usize).take(count).for_each(|item| answers.bulk(item));
            }
            ("dbsize", []) => answers.integer(self.entries.len() as i64),
            ("flushall", []) => {
                *self = Self::default();
                answers.simple("OK");
            }
            // What clients ask of a server that they do not know: there are no settings, and no list of commands.
            ("config" | "command", [_, ..]) => answers.array(0),
            ("client" | "select", [_, ..]) => answers.simple("OK"),
            _ if KNOWN.contains(&name) => {
                return Err(format!("ERR wrong number of arguments for '{name}' command"));
            }
            _ => return Err(format!("ERR unknown command '{name}'")),
        }
        Ok(())
    }

    fn set(
        &mut self,
        name: &str,
        (key, value): (&[u8], &[u8]),
        mut options: &[&[u8]],
        now: Instant,
        answers: &mut Answers,
    ) -> Outcome {
        let (mut after, mut must_be_there) = (None, None);
        while let [option, rest @ ..] = options {
            options = rest;
            match (option.to_ascii_lowercase().as_slice(), rest) {
                (b"nx", _) if must_be_there.is_none() => must_be_there = Some(false),
                (b"xx", _) if must_be_there.is_none() => must_be_there = Some(true),
                (unit @ (b"ex" | b"px"), [count, rest @ ..]) if after.is_none() => {
                    let count = number(count).ok_or(NO_INTEGER)?;
                    let count =
                        u64::try_from(count).ok().filter(|count| *count > 0 && *count < 1 << 40);
                    let invalid = || format!("ERR invalid expire time in '{name}' command");
                    let count = count.ok_or_else(invalid)?;
                    let unit = if unit == b"ex" { 1000 } else { 1 };
                    after = Some(Duration::from_millis(count * unit));
                    options = rest;
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        if must_be_there.is_some_and(|must| must != self.entries.contains_key(key)) {
            answers.nothing();
            return Ok(());
        }
        self.put(key, Value::Text(value.to_vec()), after.map(|after| now + after));
        answers.simple("OK");
        Ok(())
    }

    fn add(&mut self, key: &[u8], by: i64) -> Result<i64, String> {
        let text = self.text(key)?.unwrap_or(b"0");
        let old = number(text).ok_or(NO_INTEGER)?;
        let new = old.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
        *self.text_to_change(key)? = new.to_string().into_bytes();
        Ok(new)
    }

    fn expire_in(
        &mut self,
        key: &[u8],
        after: &[u8],
        unit: u64,
        now: Instant,
        answers: &mut Answers,
    ) -> Outcome {
        let after = number(after).ok_or(NO_INTEGER)?;
        let is_there = self.entries.contains_key(key);
        match u64::try_from(after) {
            Ok(after @ 1..) => {
                let milliseconds = after.saturating_mul(unit).min(1 << 50);
                self.set_deadline(key, Some(now + Duration::from_millis(milliseconds)));
            }
            // In the past.
            _ => _ = self.remove(key),
        }
        answers.integer(is_there.into());
        Ok(())
    }

    fn expire(&mut self, now: Instant) {
        while let Some((deadline, _)) = self.deadlines.first()
            && *deadline <= now
        {
            let (_, key) = self.deadlines.pop_first().expect("it is there");
            self.entries.remove(&key);
        }
    }

    fn text(&self, key: &[u8]) -> Result<Option<&[u8]>, String> {
        match self.entries.get(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::List(_)) => Err(WRONG_TYPE.into()),
        }
    }

    fn text_to_change(&mut self, key: &[u8]) -> Result<&mut Vec<u8>, String> {
        match self.changeable(key, || Value::Text(Vec::new())) {
            Value::Text(text) => Ok(text),
            Value::List(_) => Err(WRONG_TYPE.into()),
        }
    }

    fn list(&self, key: &[u8]) -> Result<Option<&VecDeque<Vec<u8>>>, String> {
        match self.entries.get(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::Text(_)) => Err(WRONG_TYPE.into()),
        }
    }

    fn list_to_change(&mut self, key: &[u8]) -> Result<&mut VecDeque<Vec<u8>>, String> {
        match self.changeable(key, || Value::List(VecDeque::new())) {
            Value::List(list) => Ok(list),
            Value::Text(_) => Err(WRONG_TYPE.into()),
        }
    }

    /// The value, which is made if it is not there.
    fn changeable(&mut self, key: &[u8], make: fn() -> Value) -> &mut Value {
        let entry = self.entries.entry(key.to_vec());
        &mut entry.or_insert_with(|| Entry { value: make(), deadline: None }).value
    }

    fn put(&mut self, key: &[u8], value: Value, deadline: Option<Instant>) {
        self.remove(key);
        self.entries.insert(key.to_vec(), Entry { value, deadline: None });
        self.set_deadline(key, deadline);
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        self.set_deadline(key, None);
        self.entries.remove(key).is_some()
    }

    fn set_deadline(&mut self, key: &[u8], deadline: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Some(old) = std::mem::replace(&mut entry.deadline, deadline) {
            self.deadlines.remove(&(old, key.to_vec()));
        }
        if let Some(new) = deadline {
            self.deadlines.insert((new, key.to_vec()));
        }
    }
}

/// The commands that there are.
const KNOWN: [&str; 33] = [
    "append", "client", "command", "config", "dbsize", "decr", "del", "echo", "exists", "expire",
    "flushall", "get", "incr", "incrby", "llen", "lpop", "lpush", "lrange", "mget", "mset",
    "persist", "pexpire", "ping", "psetex", "rpop", "rpush", "select", "set", "setex", "strlen",
    "ttl", "type", "unlink",
];
