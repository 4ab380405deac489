//! A runtime whose time stands still until a test passes it. It runs tasks in the order in which they were woken.

extern crate std;

use super::runtime::{Anywhere, Runtime, Task, millis};
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

/// A runtime for tests. A clone is the same runtime.
///
/// ```
/// use edgepool::{Runtime, VirtualTime};
///
/// let time = VirtualTime::new();
/// assert_eq!(time.run_until(time.sleep(3_600_000)), Some(()));
/// assert_eq!(time.now_ms(), 3_600_000.0);
/// // A future that waits for nothing that comes.
/// assert_eq!(time.run_until(std::future::pending::<()>()), None);
/// ```
#[derive(Clone, Default)]
pub struct VirtualTime(Rc<Clock>);

#[derive(Default)]
struct Clock {
    now_ms: Cell<f64>,
    tasks: RefCell<Vec<Option<Task>>>,
    ready: Arc<Ready>,
    sleepers: RefCell<Vec<Rc<Sleeper>>>,
    readings: Cell<u32>,
}

struct Sleeper {
    until_ms: f64,
    waker: RefCell<Waker>,
}

/// The tasks that were woken, by number.
#[derive(Default)]
struct Ready(Mutex<VecDeque<usize>>);

impl Ready {
    fn push(&self, task: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
    }

    fn pop(&self) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

struct TaskWaker {
    task: usize,
    ready: Arc<Ready>,
}

impl std::task::Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.task);
    }
}

impl VirtualTime {
    /// A runtime at time 0 with nothing to do.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs every task that can run now.
    pub fn run(&self) {
        while let Some(number) = self.0.ready.pop() {
            let task = self.0.tasks.borrow_mut().get_mut(number).and_then(Option::take);
            let Some(mut task) = task else { continue };
            let waker = Waker::from(Arc::new(TaskWaker { task: number, ready: self.0.ready.clone() }));
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.0.tasks.borrow_mut()[number] = Some(task);
            }
        }
    }

    /// Passes time: runs what is due at each moment until then.
    pub fn pass(&self, time: Duration) {
        let end_ms = self.0.now_ms.get() + millis(time);
        self.run();
        while let Some(next_ms) = self.next_ms().filter(|&next_ms| next_ms <= end_ms) {
            self.ring(next_ms);
        }
        self.0.now_ms.set(end_ms);
        self.run();
    }

    /// Runs every task that can run, and then passes the time until the next sleep ends. Returns whether there is one.
    pub fn step(&self) -> bool {
        self.run();
        let Some(next_ms) = self.next_ms() else { return false };
        self.ring(next_ms);
        true
    }

    /// Passes time in which nothing runs, as if the thread were busy.
    pub fn block(&self, time: Duration) {
        self.0.now_ms.set(self.0.now_ms.get() + millis(time));
    }

    /// Runs a future to its end, and passes as much time as it waits for. `None`: it waits for nothing that comes.
    pub fn run_until<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let number = self.add(None);
        let waker = Waker::from(Arc::new(TaskWaker { task: number, ready: self.0.ready.clone() }));
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(value);
            }
            self.run();
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(value);
            }
            let next_ms = self.next_ms()?;
            self.ring(next_ms);
        }
    }

    /// Polls a future once, as a runtime would.
    pub fn poll_once<T>(&self, future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// The time, in milliseconds.
    pub fn now_ms(&self) -> f64 {
        self.0.now_ms.get()
    }

    /// How many sleeps are under way.
    pub fn timers(&self) -> usize {
        self.0.sleepers.borrow().len()
    }

    /// How often the clock was read.
    pub fn readings(&self) -> u32 {
        self.0.readings.get()
    }

    fn next_ms(&self) -> Option<f64> {
        self.0.sleepers.borrow().iter().map(|sleeper| sleeper.until_ms).min_by(f64::total_cmp)
    }

    fn ring(&self, now_ms: f64) {
        self.0.now_ms.set(now_ms.max(self.0.now_ms.get()));
        let due: Vec<Rc<Sleeper>> =
            self.0.sleepers.borrow_mut().extract_if(.., |sleeper| sleeper.until_ms <= now_ms).collect();
        for sleeper in due {
            sleeper.waker.borrow().wake_by_ref();
        }
        self.run();
    }

    fn add(&self, task: Option<Task>) -> usize {
        let mut tasks = self.0.tasks.borrow_mut();
        tasks.push(task);
        tasks.len() - 1
    }
}

impl Runtime for VirtualTime {
    type Sleep = Sleep;
    type Place = Anywhere;

    fn now(&self) -> f64 {
        self.0.readings.set(self.0.readings.get() + 1);
        self.0.now_ms.get()
    }

    fn sleep(&self, ms: u32) -> Sleep {
        Sleep { clock: self.0.clone(), until_ms: self.now_ms() + f64::from(ms), sleeper: None }
    }

    fn spawn(&self, task: Task) {
        let number = self.add(Some(task));
        self.0.ready.push(number);
    }

    fn place(&self) -> Option<Anywhere> {
        Some(Anywhere)
    }
}

/// A sleep on virtual time. One of no length ends after a turn.
pub struct Sleep {
    clock: Rc<Clock>,
    until_ms: f64,
    sleeper: Option<Rc<Sleeper>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(sleeper) = &self.sleeper {
            if self.clock.now_ms.get() >= self.until_ms {
                return Poll::Ready(());
            }
            let before = sleeper.waker.replace(context.waker().clone());
            drop(before);
            return Poll::Pending;
        }
        let sleeper = Rc::new(Sleeper { until_ms: self.until_ms, waker: RefCell::new(context.waker().clone()) });
        self.clock.sleepers.borrow_mut().push(sleeper.clone());
        self.sleeper = Some(sleeper);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(own) = &self.sleeper {
            self.clock.sleepers.borrow_mut().retain(|sleeper| !Rc::ptr_eq(sleeper, own));
        }
    }
}
