//! What one caller asks for in place of the pool's settings.

use crate::policy::Span;

/// `timeout`, `deadline` and `priority`. Words of eight bytes: a future that holds it is moved more
/// than once before it is polled, and what was written in halves is slow to read as a whole.
#[derive(Clone, Copy)]
pub(super) struct Own {
    /// A negative number stands for the pool's.
    timeout_ms: f64,
    deadline_ms: f64,
    priority: u64,
}

impl Default for Own {
    #[inline(always)]
    fn default() -> Self {
        Self { timeout_ms: -1.0, deadline_ms: -1.0, priority: 0 }
    }
}

impl Own {
    pub(super) fn new(timeout: Option<Span>, deadline: Option<Span>, priority: u32) -> Self {
        let ms = |span: Option<Span>| match span {
            None => -1.0,
            Some(Span::Millis(ms)) => f64::from(ms),
            Some(Span::Forever) => f64::INFINITY,
        };
        Self { timeout_ms: ms(timeout), deadline_ms: ms(deadline), priority: u64::from(priority) }
    }

    #[inline(always)]
    pub(super) fn asked(self) -> (Option<Span>, Option<Span>, u32) {
        (Span::from_millis(self.timeout_ms), Span::from_millis(self.deadline_ms), self.priority as u32)
    }

    /// Whether it asks for nothing.
    #[inline(always)]
    pub(super) fn is_plain(self) -> bool {
        self.timeout_ms < 0.0 && self.deadline_ms < 0.0 && self.priority == 0
    }
}
