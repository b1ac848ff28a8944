//! The phone's end of the network: a call goes out as bytes, and the world brings
//! an answer when it likes.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    task::Poll,
};

use async_trait::async_trait;
use sync_core::transport::{Answer, Call, Transport, Unreachable};

/// See the module. Clones share it.
#[derive(Clone, Default)]
pub struct Line {
    next: Rc<Cell<u64>>,
    out: Rc<RefCell<Vec<(u64, Call)>>>,
    answers: Rc<RefCell<BTreeMap<u64, Result<Answer, Unreachable>>>>,
}

impl Line {
    /// The calls that were made since the last time.
    pub(super) fn take_calls(&self) -> Vec<(u64, Call)> {
        self.out.take()
    }

    pub(super) fn bring(&self, ticket: u64, answer: Result<Answer, Unreachable>) {
        self.answers.borrow_mut().insert(ticket, answer);
    }

    /// The phone died: nobody waits any more.
    pub(super) fn die(&self) {
        self.out.take();
        self.answers.take();
    }
}

#[async_trait(?Send)]
impl Transport for Line {
    async fn send(&self, call: Call) -> Result<Answer, Unreachable> {
        let ticket = self.next.get();
        self.next.set(ticket + 1);
        self.out.borrow_mut().push((ticket, call));
        poll_fn(|_| match self.answers.borrow_mut().remove(&ticket) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }
}
