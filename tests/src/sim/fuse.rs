//! Where a phone may die: every call to its store, its files and its vault passes
//! a fuse.

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    task::Poll,
};

/// How a phone dies at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The call took effect first.
    pub done: bool,
    /// What was not synced is lost.
    pub power: bool,
}

/// How calls that write fail while the phone lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No room is left.
    Full,
    /// An error, and nothing was written.
    Broken,
    /// An error, and it was written all the same.
    Doubtful,
}

/// See the module.
#[derive(Default)]
pub struct Fuse {
    left: Cell<Option<(u32, Cut)>>,
    blown: Cell<Option<Cut>>,
    trouble: Cell<Option<(u32, Trouble)>>,
    /// Calls take turns with other work on the phone.
    slow: Cell<bool>,
    yielded: Cell<bool>,
}

impl Fuse {
    pub(super) fn die_after(&self, calls: u32, cut: Cut) {
        self.left.set(Some((calls, cut)));
    }

    pub(super) fn fail(&self, calls: u32, trouble: Trouble) {
        self.trouble.set(Some((calls, trouble)));
    }

    pub(super) fn slow(&self, slow: bool) {
        self.slow.set(slow);
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&self) {
        self.left.set(None);
        self.trouble.set(None);
        self.slow.set(false);
    }

    /// Whether the phone died; resets it.
    pub(super) fn take_blown(&self) -> Option<Cut> {
        self.blown.take()
    }

    /// Whether something gave way since the last time.
    pub(super) fn take_yielded(&self) -> bool {
        self.yielded.take()
    }

    /// Passes a point. If the phone dies here, `work` may still take effect, and
    /// this never returns.
    pub(super) async fn pass<T>(&self, work: impl FnOnce() -> T) -> T {
        self.give_way().await;
        let Some((calls, cut)) = self.left.get() else {
            return work();
        };
        if calls > 0 {
            self.left.set(Some((calls - 1, cut)));
            return work();
        }
        self.left.set(None);
        if cut.done {
            work();
        }
        self.blown.set(Some(cut));
        pending().await
    }

    /// What goes wrong with this write, if anything.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let (calls, trouble) = self.trouble.get()?;
        self.trouble
            .set((calls > 1).then_some((calls.saturating_sub(1), trouble)));
        Some(trouble)
    }

    async fn give_way(&self) {
        if !self.slow.get() {
            return;
        }
        let mut first = true;
        poll_fn(|_| {
            if std::mem::take(&mut first) {
                self.yielded.set(true);
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}
