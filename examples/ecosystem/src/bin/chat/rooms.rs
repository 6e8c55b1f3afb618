//! Who is in which room, and what is said there.
//!
//! A room is one broadcast channel: each event is made into JSON once, and the members share it. A room begins with
//! its first member, and is gone with its last.
//!
//! What must hold: each who has joined leaves, however its connection ends ([`Seat`] does it when it is dropped). Nobody
//! hears what was said before it joined.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
};

use async_tungstenite::tungstenite::Utf8Bytes;
use serde::Serialize;
use whirligig::sync::broadcast::{self, Receiver, Sender};

/// What a client is told, as JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    Joined {
        name: &'a str,
        present: Vec<&'a str>,
    },
    Left {
        name: &'a str,
        present: Vec<&'a str>,
    },
    Said {
        name: &'a str,
        text: &'a str,
    },
    /// To one client: so many events it has not been sent, because it read too slowly.
    Missed {
        events: u64,
    },
    /// To one client, before it is let go.
    Refused {
        why: &'a str,
    },
}

impl Event<'_> {
    pub(crate) fn json(&self) -> Utf8Bytes {
        serde_json::to_string(self).expect("names and texts are JSON").into()
    }
}

pub(crate) struct Rooms {
    rooms: RefCell<HashMap<String, Room>>,
    backlog: usize,
    said: Cell<u64>,
}

struct Room {
    events: Sender<Utf8Bytes>,
    names: HashSet<Rc<str>>,
}

/// The longest name, in characters.
const LONGEST: usize = 30;

impl Rooms {
    pub(crate) fn new(backlog: usize) -> Self {
        Self { rooms: RefCell::default(), backlog, said: Cell::new(0) }
    }

    /// How many messages there have been.
    pub(crate) fn said(&self) -> u64 {
        self.said.get()
    }

    /// Joins a room, which all in it are told, the new one included.
    pub(crate) fn join<'a>(&'a self, room: &'a str, name: &str) -> Result<Seat<'a>, String> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
            return Err(format!("a name has 1 to {LONGEST} characters"));
        }
        let name: Rc<str> = name.into();
        let mut rooms = self.rooms.borrow_mut();
        let entry = rooms.entry(room.to_owned()).or_insert_with(|| Room {
            events: broadcast::channel(self.backlog).0,
            names: HashSet::new(),
        });
        if !entry.names.insert(Rc::clone(&name)) {
            return Err(format!("{name} is in this room already: take another name"));
        }
        let events = entry.events.subscribe();
        entry.tell(|present| Event::Joined { name: &name, present });
        Ok(Seat { rooms: self, room, name, events })
    }
}

impl Room {
    fn tell<'a>(&'a self, event: impl FnOnce(Vec<&'a str>) -> Event<'a>) {
        let mut present: Vec<&str> = self.names.iter().map(|name| &**name).collect();
        present.sort_unstable();
        // An error is that nobody is there to hear it.
        _ = self.events.send(event(present).json());
    }
}

/// A member's seat in a room.
pub(crate) struct Seat<'a> {
    rooms: &'a Rooms,
    room: &'a str,
    name: Rc<str>,
    pub(crate) events: Receiver<Utf8Bytes>,
}

impl Seat<'_> {
    pub(crate) fn say(&self, text: &str) {
        self.rooms.said.set(self.rooms.said.get() + 1);
        let rooms = self.rooms.rooms.borrow();
        let said = Event::Said { name: &self.name, text }.json();
        _ = rooms[self.room].events.send(said);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut rooms = self.rooms.rooms.borrow_mut();
        let Some(room) = rooms.get_mut(self.room) else { return };
        room.names.remove(&self.name);
        if room.names.is_empty() {
            rooms.remove(self.room);
        } else {
            room.tell(|present| Event::Left { name: &self.name, present });
        }
    }
}
