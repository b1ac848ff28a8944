//! Who is let in when more come than can be served.
//!
//! After a shutdown of the network all phones come back at once. Each request
//! names its lane in its head, so files wait before news, news before words, and
//! critical reports last: before a body is read, a signature verified or the
//! database asked. Who is turned away gets a time of their own to come back at:
//! the times of a lane are spaced as the server gets work done, so that the
//! crowd comes back as a queue.
//!
//! Says nothing about HTTP and asks no clock, so that a simulation runs it too.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use protocol::exchange::Lane;

use crate::clock::Micros;

/// Requests a second that are assumed before any was measured, and at least.
const RATE_FIRST: f64 = 100.0;
const RATE_LEAST: f64 = 10.0;
/// Microseconds over which the rate is measured.
const WINDOW: i64 = 1_000_000;
/// How much a new window counts against those before it.
const NEWEST: f64 = 0.3;
/// Microseconds until the first time that is given away.
const SOONEST: i64 = 1_000_000;

/// What a lane may have.
struct Share {
    /// Of the requests answered at once, in percent: full beyond it.
    places: usize,
    /// Of the times given away to those who come back, while every lane has some
    /// to give; a lane in which nobody waits leaves its share to the others.
    times: f64,
    /// The longest wait, in microseconds. Who comes back after it asks again.
    longest: i64,
}

fn share(lane: Lane) -> Share {
    let (places, times, minutes) = match lane {
        Lane::Critical => (100, 0.5, 2),
        Lane::Text => (85, 0.35, 15),
        Lane::News => (50, 0.1, 15),
        Lane::Files => (25, 0.05, 15),
    };
    Share {
        places,
        times,
        longest: minutes * 60_000_000,
    }
}

/// Counts who is in, and gives times away.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    inside: AtomicUsize,
    finished: AtomicUsize,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    /// The next free time of each lane.
    next: [i64; 4],
    /// Requests a second, lately.
    rate: f64,
    window: Option<i64>,
}

/// One request's place; gives it back when dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Admission);

/// Not now: seconds until a time of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later(pub u32);

impl Admission {
    /// For a server that answers at most so many requests at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            inside: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            book: Mutex::new(Book {
                next: [0; 4],
                rate: RATE_FIRST,
                window: None,
            }),
        }
    }

    /// Lets a request in, or says when to come back.
    ///
    /// # Errors
    /// [`Later`].
    pub fn enter(&self, lane: Lane, now: Micros) -> Result<Turn<'_>, Later> {
        let room = (self.most * share(lane).places).div_ceil(100);
        // Counted first, so that two cannot take the last place.
        if self.inside.fetch_add(1, Ordering::Relaxed) < room {
            return Ok(Turn(self));
        }
        self.inside.fetch_sub(1, Ordering::Relaxed);
        Err(self.later(lane, now))
    }

    /// A place for what is answered however busy the server is.
    pub fn enter_always(&self) -> Turn<'_> {
        self.inside.fetch_add(1, Ordering::Relaxed);
        Turn(self)
    }

    /// Whether more than half of the places are taken: then phones that were
    /// served are asked not to come back soon.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.inside.load(Ordering::Relaxed) * 2 > self.most
    }

    /// Requests inside.
    #[must_use]
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    /// The next free time of a lane. Also for phones that were served, while
    /// others wait.
    pub fn later(&self, lane: Lane, now: Micros) -> Later {
        let share = share(lane);
        let mut book = self.book();
        book.measure(&self.finished, now);
        let apart = Duration::from_secs_f64(1.0 / (book.rate * book.share(lane, now)));
        let apart = i64::try_from(apart.as_micros()).unwrap_or(share.longest);
        let next = &mut book.next[lane as usize];
        // A clock that was set back must not keep anybody away.
        let latest = now.0.saturating_add(share.longest);
        let mine = (*next).max(now.0.saturating_add(SOONEST)).min(latest);
        *next = mine.saturating_add(apart).min(latest);
        let seconds = mine.saturating_sub(now.0).saturating_add(999_999) / 1_000_000;
        Later(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// What a lane gets of the times: its own share of those of the lanes in which
    /// times to come are given away.
    fn share(&self, lane: Lane, now: Micros) -> f64 {
        let waiting = |other: &Lane| *other == lane || self.next[*other as usize] > now.0;
        let all: f64 = Lane::ALL
            .into_iter()
            .filter(waiting)
            .map(|other| share(other).times)
            .sum();
        share(lane).times / all
    }

    fn measure(&mut self, finished: &AtomicUsize, now: Micros) {
        let since = *self.window.get_or_insert(now.0);
        let passed = now.0.saturating_sub(since);
        if (0..WINDOW).contains(&passed) {
            return;
        }
        let done = finished.swap(0, Ordering::Relaxed);
        self.window = Some(now.0);
        if passed > 0 {
            let rate = done as f64 / (passed as f64 / 1e6);
            self.rate = (self.rate * (1.0 - NEWEST) + rate * NEWEST).max(RATE_LEAST);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
        self.0.finished.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros(1_000_000_000);

    #[test]
    fn the_less_urgent_wait_first() {
        let admission = Admission::new(100);
        let mut inside = Vec::new();
        // Places taken, and who still gets in.
        for (taken, allowed) in [
            (0, &Lane::ALL[..]),
            (24, &Lane::ALL[..]),
            (25, &[Lane::Critical, Lane::Text, Lane::News]),
            (49, &[Lane::Critical, Lane::Text, Lane::News]),
            (50, &[Lane::Critical, Lane::Text]),
            (84, &[Lane::Critical, Lane::Text]),
            (85, &[Lane::Critical]),
            (99, &[Lane::Critical]),
            (100, &[]),
        ] {
            while inside.len() < taken {
                inside.push(admission.enter_always());
            }
            for lane in Lane::ALL {
                let entered = admission.enter(lane, NOW).is_ok();
                assert_eq!(
                    entered,
                    allowed.contains(&lane),
                    "{lane:?} with {taken} inside"
                );
            }
        }
        drop(inside);
        assert_eq!(admission.inside(), 0, "turns come back");
        assert!(Admission::new(1).enter(Lane::Files, NOW).is_ok());
    }

    #[test]
    fn those_turned_away_come_back_as_a_queue() {
        let admission = Admission::new(0);
        let wait = |lane| admission.enter(lane, NOW).err().map(|later| later.0);
        // Somebody waits in every lane.
        for lane in [Lane::Critical, Lane::News, Lane::Files] {
            wait(lane);
        }
        let waits: Vec<u32> = (0..1_000).filter_map(|_| wait(Lane::Text)).collect();
        assert!(waits.is_sorted());
        // 100 a second are assumed, of which words get 35.
        let in_second = |second| waits.iter().filter(|wait| **wait == second).count();
        assert!((30..=40).contains(&in_second(10)), "{}", in_second(10));
        assert!(*waits.last().unwrap() <= 30);
        // Nobody waits behind another lane.
        assert!(wait(Lane::Critical).unwrap() <= 2);
    }

    #[test]
    fn a_lane_in_which_nobody_waits_leaves_its_times_to_the_others() {
        let admission = Admission::new(0);
        let waits: Vec<u32> = (0..1_000)
            .map(|_| admission.later(Lane::Text, NOW).0)
            .collect();
        // 100 a second are assumed, and words get all of them.
        assert!((10..=12).contains(waits.last().unwrap()), "{waits:?}");
        // Once news waits too, words get 35 of 45.
        admission.later(Lane::News, NOW);
        let more: Vec<u32> = (0..1_000)
            .map(|_| admission.later(Lane::Text, NOW).0)
            .collect();
        let takes = more.last().unwrap() - waits.last().unwrap();
        assert!((12..=14).contains(&takes), "{takes}");
    }

    #[test]
    fn nobody_is_sent_away_for_longer_than_a_lane_allows() {
        let admission = Admission::new(0);
        for _ in 0..200_000 {
            let Later(critical) = admission.later(Lane::Critical, NOW);
            let Later(files) = admission.later(Lane::Files, NOW);
            assert!((1..=120).contains(&critical) && (1..=900).contains(&files));
        }
        // The clock is set back by ten years.
        let then = Micros(NOW.0 - 315_360_000_000_000);
        assert!(admission.later(Lane::Critical, then).0 <= 120);
    }

    #[test]
    fn the_spacing_follows_the_work_done() {
        let admission = Admission::new(10);
        let mut now = NOW;
        for _ in 0..60 {
            for _ in 0..2_000 {
                drop(admission.enter_always());
            }
            now = now.plus_seconds(1);
            admission.later(Lane::Files, now);
        }
        let waits: Vec<u32> = (0..7_000)
            .map(|_| admission.later(Lane::Text, now).0)
            .collect();
        // 2,000 a second, of which words get 1,750 while files wait too.
        assert!(
            (4..=7).contains(waits.last().unwrap()),
            "{:?}",
            waits.last()
        );
    }
}
