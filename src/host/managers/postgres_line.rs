//! The stream between a client of tokio-postgres and its server. Reads along: tokio-postgres does not show whether a
//! transaction is open. Knows of the protocol where messages begin, and which of them ask for an answer or end one.

extern crate std;

use super::postgres::Spawn;
use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::boxed::Box;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The first message of a client that asks for TLS. The answer is one byte.
const SSL_REQUEST: u32 = 80_877_103;

/// Of so many bytes that wait for the stream, tokio-postgres may hold more back.
const BACKPRESSURE: usize = 8192;

/// What was said on a line.
#[derive(Clone, Default)]
pub(super) struct Traffic {
    /// Questions after which the server has not said that it is ready.
    questions: Cell<u32>,
    /// How many of the last of them only forget statements.
    idle_questions: Cell<u32>,
    /// Whether there was more than that since the last question.
    has_work: Cell<bool>,
    /// Whether the last question was a query in one message.
    is_simple: Cell<bool>,
    /// What the server said last of transactions.
    status: Cell<u8>,
    /// Whether the stream has yet to take more than that.
    is_held_up: Cell<bool>,
}

impl Traffic {
    pub(super) fn is_under_way(&self) -> bool {
        self.is_held_up.get() || self.has_work.get() || self.questions.get() > self.idle_questions.get()
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.status.get() != b'I'
    }

    fn asked(&self, kind: u8) {
        match kind {
            // Query and FunctionCall.
            b'Q' | b'F' => self.ask(true),
            // Sync.
            b'S' => self.ask(self.has_work.get()),
            // Close, Flush and Terminate.
            b'C' | b'H' | b'X' => return,
            _ => return self.has_work.set(true),
        }
        self.has_work.set(false);
        self.is_simple.set(kind == b'Q');
    }

    fn ask(&self, is_work: bool) {
        self.questions.set(self.questions.get() + 1);
        self.idle_questions.set(if is_work { 0 } else { self.idle_questions.get() + 1 });
    }

    fn answered(&self, kind: u8, first: u8) {
        match kind {
            b'Z' => self.status.set(first),
            // A COPY begins. The server ignores the Sync that asked for it, and one more follows the data.
            b'G' if !self.is_simple.get() => self.has_work.set(true),
            _ => return,
        }
        let questions = self.questions.get().saturating_sub(1);
        self.questions.set(questions);
        self.idle_questions.set(self.idle_questions.get().min(questions));
    }
}

/// Finds the messages in what comes in pieces.
#[derive(Clone, Default)]
struct Messages {
    head: [u8; 5],
    /// How much of the head is there.
    had: usize,
    /// How much of the body is to come.
    left: usize,
    is_first: bool,
}

impl Messages {
    /// Calls `seen` with the kind of each message and the first byte of its body.
    fn read(&mut self, mut bytes: &[u8], mut seen: impl FnMut(u8, u8)) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left > 0 {
                if self.is_first {
                    self.is_first = false;
                    seen(self.head[0], first);
                }
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            self.head[self.had] = first;
            self.had += 1;
            bytes = rest;
            if self.had == self.head.len() {
                self.had = 0;
                let [kind, length @ ..] = self.head;
                self.left = (u32::from_be_bytes(length) as usize).saturating_sub(length.len());
                self.is_first = self.left > 0;
                if self.left == 0 {
                    seen(kind, 0);
                }
            }
        }
    }
}

/// What a client sends: at first messages without a kind.
#[derive(Clone, Default)]
struct Sent {
    /// The start of a message without a kind: its length, and a code.
    start: [u8; 8],
    had: usize,
    left: usize,
    has_started: bool,
    messages: Messages,
}

impl Sent {
    /// Returns how many bytes the server answers that are no message.
    fn read(&mut self, mut bytes: &[u8], traffic: &Traffic) -> usize {
        let mut bare = 0;
        while !self.has_started
            && let Some((&first, rest)) = bytes.split_first()
        {
            bytes = rest;
            if self.left > 0 {
                self.left -= 1;
                self.has_started = self.left == 0;
                continue;
            }
            self.start[self.had] = first;
            self.had += 1;
            if self.had < self.start.len() {
                continue;
            }
            self.had = 0;
            let [l0, l1, l2, l3, c0, c1, c2, c3] = self.start;
            if u32::from_be_bytes([c0, c1, c2, c3]) == SSL_REQUEST {
                bare += 1;
                continue;
            }
            self.left = (u32::from_be_bytes([l0, l1, l2, l3]) as usize).saturating_sub(self.start.len());
            self.has_started = self.left == 0;
            // The server says that it is ready once the client is let in.
            traffic.questions.set(1);
        }
        self.messages.read(bytes, |kind, _| traffic.asked(kind));
        bare
    }
}

impl Sent {
    /// Whether there is more in what is about to be sent than to forget statements.
    fn holds_work(&self, bytes: &[u8], traffic: &Traffic) -> bool {
        if bytes.len() >= BACKPRESSURE || !self.has_started {
            return true;
        }
        let ahead = Traffic { is_held_up: Cell::new(false), ..traffic.clone() };
        self.clone().read(bytes, &ahead);
        ahead.is_under_way()
    }
}

/// The stream of a client. Dropped, it is shut down: a socket of Workers does not end with its object.
pub(super) struct Line<S: AsyncRead + AsyncWrite + Unpin + 'static> {
    stream: Option<S>,
    spawn: Spawn,
    traffic: Rc<Traffic>,
    sent: Sent,
    received: Messages,
    /// Bytes to come that are no message.
    bare: usize,
    is_shut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Line<S> {
    pub(super) fn new(stream: S, spawn: Spawn, traffic: Rc<Traffic>) -> Self {
        let (sent, received) = (Sent::default(), Messages::default());
        Self { stream: Some(stream), spawn, traffic, sent, received, bare: 0, is_shut: false }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Drop for Line<S> {
    fn drop(&mut self) {
        // Native streams end by themselves, and their runtime may be gone.
        if cfg!(target_arch = "wasm32")
            && !self.is_shut
            && let Some(mut stream) = self.stream.take()
        {
            (self.spawn)(Box::pin(async move {
                // What was written last may fail, or the stream may be at its end.
                let _ = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
            }));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = self.stream()?.poll_read(context, buffer);
        let Self { traffic, received, bare, .. } = &mut *self;
        let bytes = &buffer.filled()[before..];
        let skipped = bytes.len().min(*bare);
        *bare -= skipped;
        received.read(&bytes[skipped..], |kind, first| traffic.answered(kind, first));
        poll
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = self.stream()?.poll_write(context, bytes);
        let Self { traffic, sent, bare, .. } = &mut *self;
        let taken = if let Poll::Ready(Ok(taken)) = poll { taken } else { 0 };
        *bare += sent.read(&bytes[..taken.min(bytes.len())], traffic);
        let rest = &bytes[taken.min(bytes.len())..];
        traffic.is_held_up.set(!rest.is_empty() && sent.holds_work(rest, traffic));
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    /// Also waits for the server's end: the session is gone then.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(self.stream()?.poll_shutdown(context))?;
            self.is_shut = true;
        }
        loop {
            let mut space = [0; 256];
            let mut buffer = ReadBuf::new(&mut space);
            let Ok(stream) = self.stream() else { return Poll::Ready(Ok(())) };
            let read = ready!(stream.poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                self.stream = None;
            }
        }
    }
}

impl<S: TlsStream + Unpin + 'static> TlsStream for Line<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.as_ref().map_or_else(ChannelBinding::none, TlsStream::channel_binding)
    }
}

/// Reads along within TLS.
#[derive(Clone)]
pub(super) struct Tls<T>(pub(super) T);

impl<S, T> TlsConnect<Line<S>> for Tls<T>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    T: TlsConnect<S, Stream: 'static, Future: 'static>,
{
    type Stream = Line<T::Stream>;
    type Error = Box<dyn core::error::Error + Sync + Send>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>>>>;

    fn connect(self, mut line: Line<S>) -> Self::Future {
        let (spawn, traffic) = (line.spawn.clone(), line.traffic.clone());
        let secured = line.stream.take().map(|stream| self.0.connect(stream));
        Box::pin(async move {
            let Some(secured) = secured else { return Err(io::Error::from(io::ErrorKind::NotConnected).into()) };
            Ok(Line::new(secured.await.map_err(Into::into)?, spawn, traffic))
        })
    }
}
