//! The server's model: one machine whose time goes half to connections and half to
//! requests that were let in, and wholly to one of them when the other has nothing.
//! Who is let in the real admission decides, by the lane alone.

use std::collections::VecDeque;

use protocol::exchange::Lane;
use scrutineer::{
    clock::Micros,
    domain::admission::{Admission, Later, Turn},
};

/// What the server's time is counted in, in microseconds.
pub(super) const TICK: i64 = 5_000;
/// What a request on an open connection takes before it is let in or turned away.
const HEAD: i64 = 50;

/// A request that has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) phone: usize,
    /// Which of the phone's tries: one that it has given up is not answered.
    pub(super) attempt: u32,
    pub(super) lane: Lane,
    pub(super) connected: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answered {
    /// The connection is made, and the request let in.
    LetIn(Asked),
    Served(Asked),
    TurnedAway(Asked, Later),
}

/// See the module.
pub(super) struct Server<'a> {
    admission: &'a Admission,
    /// Microseconds of a request that is let in, and of a new connection.
    request: i64,
    connection: i64,
    coming: VecDeque<Asked>,
    inside: VecDeque<(Asked, Turn<'a>)>,
    /// Time spent in advance by what was begun in an earlier tick.
    debts: (i64, i64),
}

impl<'a> Server<'a> {
    pub(super) fn new(admission: &'a Admission, rate: u64, connection: i64) -> Self {
        Self {
            admission,
            request: 1_000_000 / i64::try_from(rate.max(1)).unwrap_or(i64::MAX),
            connection,
            coming: VecDeque::new(),
            inside: VecDeque::new(),
            debts: (0, 0),
        }
    }

    pub(super) fn ask(&mut self, asked: Asked) {
        self.coming.push_back(asked);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.coming.is_empty() && self.inside.is_empty()
    }

    pub(super) fn is_pressed(&self) -> bool {
        self.admission.is_pressed()
    }

    /// When a phone that was served is asked to come back.
    pub(super) fn later(&self, now: Micros) -> Later {
        self.admission.later(Lane::News, now)
    }

    /// Works for one tick. `gave_up` tells whether a phone waits no more.
    pub(super) fn work(
        &mut self,
        now: Micros,
        gave_up: impl Fn(&Asked) -> bool,
        answers: &mut Vec<Answered>,
    ) {
        let left = self.connect(TICK / 2, now, &gave_up, answers);
        let left = self.serve(TICK / 2 + left, answers);
        self.connect(left, now, &gave_up, answers);
    }

    /// Answers the time that is left.
    fn connect(
        &mut self,
        time: i64,
        now: Micros,
        gave_up: &impl Fn(&Asked) -> bool,
        answers: &mut Vec<Answered>,
    ) -> i64 {
        let mut left = time - std::mem::take(&mut self.debts.0);
        while left > 0 {
            let Some(asked) = self.coming.pop_front() else {
                return left;
            };
            left -= if asked.connected {
                HEAD
            } else {
                self.connection
            };
            if gave_up(&asked) {
                continue;
            }
            match self.admission.enter(asked.lane, now) {
                Ok(turn) => {
                    self.inside.push_back((asked, turn));
                    answers.push(Answered::LetIn(asked));
                }
                Err(later) => answers.push(Answered::TurnedAway(asked, later)),
            }
        }
        self.debts.0 = -left;
        0
    }

    fn serve(&mut self, time: i64, answers: &mut Vec<Answered>) -> i64 {
        let mut left = time - std::mem::take(&mut self.debts.1);
        while left > 0 {
            let Some((asked, turn)) = self.inside.pop_front() else {
                return left;
            };
            left -= self.request;
            drop(turn);
            answers.push(Answered::Served(asked));
        }
        self.debts.1 = -left;
        0
    }
}
