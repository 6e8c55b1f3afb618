//! What there is to ask, what the other services answer, and how long they take for it.
//!
//! `tasks.rs` and `threads.rs` wait in their own ways, for the latencies that [`Services`] gives; all else about a
//! request is here, so that they cannot differ in it.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};

/// A town as the services know it.
pub(crate) struct Town {
    zip: &'static str,
    country: &'static str,
    name: &'static str,
    latitude: f64,
    longitude: f64,
    /// Of a day in May, in UTC.
    sunrise: &'static str,
    sunset: &'static str,
    sky: &'static str,
    celsius: f64,
}

#[rustfmt::skip]
const TOWNS: [Town; 6] = [
    Town { zip: "97202", country: "us", name: "Portland", latitude: 45.48, longitude: -122.64, sunrise: "12:38:05", sunset: "03:33:41", sky: "light rain", celsius: 14.2 },
    Town { zip: "10001", country: "us", name: "New York", latitude: 40.75, longitude: -73.99, sunrise: "09:38:27", sunset: "00:05:52", sky: "clear", celsius: 19.8 },
    Town { zip: "94103", country: "us", name: "San Francisco", latitude: 37.77, longitude: -122.41, sunrise: "13:00:19", sunset: "03:11:30", sky: "mist", celsius: 13.5 },
    Town { zip: "10115", country: "de", name: "Berlin", latitude: 52.53, longitude: 13.38, sunrise: "03:08:44", sunset: "18:55:10", sky: "few clouds", celsius: 17.1 },
    Town { zip: "75001", country: "fr", name: "Paris", latitude: 48.86, longitude: 2.34, sunrise: "04:09:31", sunset: "19:22:48", sky: "overcast", celsius: 16.0 },
    Town { zip: "60311", country: "de", name: "Frankfurt", latitude: 50.11, longitude: 8.68, sunrise: "03:37:02", sunset: "19:04:25", sky: "clear", celsius: 18.3 },
];

/// Milliseconds that the services took, one call after the other.
const WHERE: [u64; 5] = [191, 206, 184, 223, 197];
const SUN: [u64; 7] = [288, 335, 344, 341, 352, 327, 310];
const WEATHER: [u64; 6] = [412, 455, 389, 520, 433, 407];

/// What is asked of a town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Sun,
    Weather,
}

/// A question that can be one: whether there is such a town is for the services to say.
#[derive(Debug)]
pub(crate) struct Question {
    about: About,
    zip: String,
    country: String,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NoQuestion(String),
    NoTown { zip: String, country: String },
    NoPage(String),
    Method(String),
    Late(Duration),
}

impl Question {
    pub(crate) fn new(about: About, zip: &str, country: &str) -> Result<Self, Failure> {
        if !(3..=10).contains(&zip.len()) || !zip.bytes().all(|byte| byte.is_ascii_digit()) {
            let why = format!("{zip:?} is no postal code: 3 to 10 digits, such as 97202");
            return Err(Failure::NoQuestion(why));
        }
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            let why = format!("{country:?} is no country: two letters, such as us");
            return Err(Failure::NoQuestion(why));
        }
        Ok(Self { about, zip: zip.to_owned(), country: country.to_ascii_lowercase() })
    }

    pub(crate) fn about(&self) -> About {
        self.about
    }

    /// What the service answers that knows where towns are.
    pub(crate) fn find(&self) -> Result<&'static Town, Failure> {
        let town = TOWNS.iter().find(|town| town.zip == self.zip && town.country == self.country);
        town.ok_or_else(|| Failure::NoTown { zip: self.zip.clone(), country: self.country.clone() })
    }
}

impl Town {
    /// What the other one answers, as the client gets it.
    pub(crate) fn answer(&self, about: About) -> Value {
        let mut answer = json!({
            "town": self.name,
            "country": self.country,
            "latitude": self.latitude,
            "longitude": self.longitude,
        });
        match about {
            About::Sun => answer["sun"] = json!({ "rises": self.sunrise, "sets": self.sunset }),
            About::Weather => {
                answer["weather"] = json!({ "sky": self.sky, "celsius": self.celsius });
            }
        }
        answer
    }
}

impl Failure {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NoQuestion(_) => 400,
            Self::NoTown { .. } | Self::NoPage(_) => 404,
            Self::Method(_) => 405,
            Self::Late(_) => 504,
        }
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.to_string(), "status": self.status() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoQuestion(why) => f.write_str(why),
            Self::NoTown { zip, country } => write!(f, "no town is known at {zip}, {country}"),
            Self::NoPage(path) => {
                write!(f, "there is no {path}: ask /api/sun/97202/us or /api/weather/97202/us")
            }
            Self::Method(method) => write!(f, "{method} does not apply here: GET does"),
            Self::Late(limit) => {
                write!(f, "the services asked did not answer within {} s", limit.as_secs_f64())
            }
        }
    }
}

/// The page at `/`.
pub(crate) fn index() -> Value {
    let towns = TOWNS.iter().map(|town| format!("/api/sun/{}/{}", town.zip, town.country));
    json!({ "sun": towns.collect::<Vec<_>>(), "weather": "likewise, at /api/weather" })
}

/// How long the services take.
pub(crate) struct Services {
    divisor: u32,
    /// How long one answer of ours may take in all.
    pub(crate) limit: Duration,
    calls: AtomicUsize,
}

impl Services {
    pub(crate) fn new(divisor: u32, limit: Duration) -> Self {
        Self { divisor, limit, calls: AtomicUsize::new(0) }
    }

    /// Of the next question: to find the town, and to get the rest.
    pub(crate) fn latencies(&self, about: About) -> (Duration, Duration) {
        let call = self.calls.fetch_add(1, Relaxed);
        let of = |recorded: &[u64]| {
            Duration::from_millis(recorded[call % recorded.len()]) / self.divisor
        };
        let rest = match about {
            About::Sun => of(&SUN),
            About::Weather => of(&WEATHER),
        };
        (of(&WHERE), rest)
    }
}
