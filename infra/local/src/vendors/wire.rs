//! A TLS connection, with the two things in HTTP/2 frames that no server library can say.
//!
//! The `h2` server announces `MAX_CONCURRENT_STREAMS` once, before the first request, and cannot
//! change it; and it cannot put text into a GOAWAY. So both are written into the frames on their
//! way out: into the first SETTINGS frame the limit at first, into every later one the limit
//! after that, and into a GOAWAY the reason. Everything else passes untouched.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_rustls::server::TlsStream;

use super::vendor::Protocols;

/// Bytes that may wait for the socket before more are taken.
const HIGH_WATER: usize = 64 * 1024;

/// A client that does not end a connection that we have ended is not waited for any longer.
const LONGEST_LINGER: Duration = Duration::from_secs(2);

pub(super) struct Wire {
    io: TlsStream<TcpStream>,
    rewriter: Option<Rewriter>,
    waiting: Vec<u8>,
    reset: ResetSwitch,
    /// For how long the client's end is still waited for, once ours has come.
    lingers: Option<Pin<Box<Sleep>>>,
}

/// Makes the connection end with a TCP reset instead of an orderly close, once it is dropped.
#[derive(Clone, Default)]
pub(super) struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    pub(super) fn pull(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_pulled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wire {
    /// A connection whose bytes are left alone.
    pub(super) fn plain(io: TlsStream<TcpStream>, reset: ResetSwitch) -> Self {
        Self { io, rewriter: None, waiting: Vec::new(), reset, lingers: None }
    }

    /// A connection that speaks HTTP/2.
    pub(super) fn http2(io: TlsStream<TcpStream>, reset: ResetSwitch, protocols: Protocols) -> Self {
        let mut wire = Self::plain(io, reset);
        wire.rewriter = Some(Rewriter::new(protocols));
        wire
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut written = 0;
        let result = loop {
            if written == self.waiting.len() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.io).poll_write(cx, &self.waiting[written..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => written += n,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.waiting.drain(..written);
        result
    }
}

impl Wire {
    /// Reads what the client still has to say, up to its own end. Closed without that, the socket would answer it with a
    /// reset, at which the client's machine throws away answers that it has not read.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reset.is_pulled() {
            return Poll::Ready(());
        }
        let lingers = self.lingers.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST_LINGER)));
        if lingers.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let mut rest = [0; 1024];
            let mut rest = ReadBuf::new(&mut rest);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut rest));
            if read.is_err() || rest.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.waiting.len() >= HIGH_WATER {
            ready!(self.poll_drain(cx))?;
        }
        let this = &mut *self;
        match &mut this.rewriter {
            Some(rewriter) => {
                rewriter.feed(buf, &mut this.waiting);
                Poll::Ready(Ok(buf.len()))
            }
            None => Pin::new(&mut this.io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        self.poll_linger(cx).map(Ok)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.is_pulled() {
            // It can only fail on a socket that is gone, which is what is wanted.
            let _ = self.io.get_ref().0.set_zero_linger();
        }
    }
}

const FRAME_HEADER: usize = 9;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const GOAWAY: u8 = 7;
/// A GOAWAY of only a stream id and a code: the library had nothing to say itself.
const BARE_GOAWAY: usize = 8;
const MAX_CONCURRENT_STREAMS: u16 = 3;

struct Rewriter {
    streams_next: u32,
    streams_later: u32,
    goaway_text: Option<String>,
    /// The frame being collected: its header, and its payload if the frame is one that changes.
    frame: Vec<u8>,
    /// Bytes of the present frame's payload that pass without being looked at.
    passing: usize,
}

impl Rewriter {
    fn new(protocols: Protocols) -> Self {
        Self {
            streams_next: protocols.streams_at_first.unwrap_or(protocols.streams),
            streams_later: protocols.streams,
            goaway_text: protocols.goaway_reason.map(|reason| serde_json::json!({ "reason": reason }).to_string()),
            frame: Vec::new(),
            passing: 0,
        }
    }

    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.passing > 0 {
                let (pass, rest) = bytes.split_at(self.passing.min(bytes.len()));
                out.extend_from_slice(pass);
                self.passing -= pass.len();
                bytes = rest;
                continue;
            }
            let missing = self.wanted() - self.frame.len();
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.frame.extend_from_slice(taken);
            bytes = rest;
            if self.frame.len() == FRAME_HEADER && !self.changes() {
                self.passing = self.payload_length();
                out.append(&mut self.frame);
            } else if self.frame.len() >= FRAME_HEADER && self.frame.len() == self.wanted() {
                self.change();
                out.append(&mut self.frame);
            }
        }
    }

    /// The length at which the frame being collected can be judged.
    fn wanted(&self) -> usize {
        if self.frame.len() < FRAME_HEADER { FRAME_HEADER } else { FRAME_HEADER + self.payload_length() }
    }

    fn payload_length(&self) -> usize {
        u32::from_be_bytes([0, self.frame[0], self.frame[1], self.frame[2]]) as usize
    }

    fn changes(&self) -> bool {
        match (self.frame[3], self.frame[4]) {
            (SETTINGS, flags) => flags & ACK == 0,
            (GOAWAY, _) => self.payload_length() == BARE_GOAWAY && self.goaway_text.is_some(),
            _ => false,
        }
    }

    fn change(&mut self) {
        if self.frame[3] == SETTINGS {
            self.frame.extend(MAX_CONCURRENT_STREAMS.to_be_bytes());
            self.frame.extend(self.streams_next.to_be_bytes());
            self.streams_next = self.streams_later;
        } else if let Some(text) = &self.goaway_text {
            self.frame.extend(text.as_bytes());
        }
        let length = (self.frame.len() - FRAME_HEADER) as u32;
        self.frame[..3].copy_from_slice(&length.to_be_bytes()[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Protocols =
        Protocols { alpn: &[], streams: 1000, streams_at_first: Some(1), goaway_reason: Some("Shutdown") };

    #[test]
    fn frames_come_out_the_same_however_they_are_cut() {
        let input = [
            &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0][..],
            &[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0],
            &[0, 0, 3, 0, 1, 0, 0, 0, 1, b'a', b'b', b'c'],
            &[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0, 0, 255, 255],
            &[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        ]
        .concat();
        let expected = [
            &[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1][..],
            &[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0],
            &[0, 0, 3, 0, 1, 0, 0, 0, 1, b'a', b'b', b'c'],
            &[0, 0, 12, SETTINGS, 0, 0, 0, 0, 0],
            &[0, 4, 0, 0, 255, 255, 0, 3, 0, 0, 3, 232],
            &[0, 0, 29, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
            br#"{"reason":"Shutdown"}"#,
        ]
        .concat();
        for size in 1..=input.len() {
            let mut rewriter = Rewriter::new(RULES);
            let mut out = Vec::new();
            for piece in input.chunks(size) {
                rewriter.feed(piece, &mut out);
            }
            assert_eq!(out, expected, "cut every {size} bytes");
        }
    }

    #[test]
    fn a_goaway_that_already_says_something_is_left_alone() {
        let input = [0, 0, 9, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, b'x'];
        let mut out = Vec::new();
        Rewriter::new(RULES).feed(&input, &mut out);
        assert_eq!(out, input);
    }
}
