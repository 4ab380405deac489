//! A wait inside one thread, on wakers alone.

extern crate std;

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

/// A flag that a task waits for. It may be raised before the task looks.
#[derive(Default)]
pub(super) struct Flag {
    is_raised: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Flag {
    pub(super) fn raise(&self) {
        self.is_raised.set(true);
        // Taken out first: a waker is foreign code.
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Lowers the flag. Returns whether it was raised.
    pub(super) fn take(&self) -> bool {
        self.is_raised.replace(false)
    }

    pub(super) fn is_raised(&self) -> bool {
        self.is_raised.get()
    }

    /// Keeps the waker of the task that is to be woken.
    pub(super) fn watch(&self, context: &Context<'_>) {
        let waker = context.waker();
        if self.waker.borrow().as_ref().is_some_and(|own| own.will_wake(waker)) {
            return;
        }
        // Nothing is borrowed while a waker is cloned or dropped.
        let own = waker.clone();
        let before = self.waker.borrow_mut().replace(own);
        drop(before);
    }
}

/// Ends a [`Waiting`].
pub(super) struct Wake(Rc<Flag>);

/// Ends when its [`Wake`] was called.
pub(super) struct Waiting(Rc<Flag>);

/// Returns the two ends of a wait.
pub(super) fn pair() -> (Wake, Waiting) {
    let flag = Rc::new(Flag::default());
    (Wake(flag.clone()), Waiting(flag))
}

impl Wake {
    pub(super) fn wake(self) {
        self.0.raise();
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.take() {
            return Poll::Ready(());
        }
        self.0.watch(context);
        Poll::Pending
    }
}
