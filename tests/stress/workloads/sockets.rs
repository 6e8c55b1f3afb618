//! An echo server and its clients on the loopback: random sizes, half-closed and aborted connections, reads and
//! accepts that are given up.
//!
//! The law: of each connection that is not aborted, every byte comes back, in order, and then the end; each
//! connection that was accepted is served to its end. (That no descriptor is left is the round's.)

use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use fastrand::Rng;
use futures_lite::AsyncWriteExt;
use socket2::SockRef;
use whirligig::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::Workload;
use crate::{
    census::Kind,
    round::{Round, briefly, demand, pause},
};

pub(crate) struct Sockets;

impl Workload for Sockets {
    fn name(&self) -> &'static str {
        "sockets"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("it listens somewhere");
            // Cancelled at the end: counted with those that may be.
            let server = here.spawn(Kind::Echo, accept(listener, here.clone(), rng.fork()));
            here.lanes(8, &mut rng, |round, mut rng| async move {
                while round.goes_on() {
                    if let Err(error) = visit(&round, &mut rng, address).await {
                        demand!(round, round.is_cut(), "a client's connection: {error}");
                    }
                    pause(&mut rng).await;
                }
            })
            .await;
            server.cancel();
            let cancelled = server.await.is_err_and(|error| error.is_cancelled());
            demand!(here, cancelled, "the server ended before it was cancelled");
        })
    }
}

async fn accept(listener: TcpListener, round: Arc<Round>, mut rng: Rng) {
    loop {
        let accepted = match rng.bool() {
            true => Some(listener.accept().await),
            false => briefly(&mut rng, listener.accept()).await,
        };
        match accepted {
            None => {}
            Some(Ok((stream, _))) => drop(round.spawn(Kind::Echo, echo(stream, rng.fork()))),
            Some(Err(error)) => {
                demand!(round, round.is_cut(), "accept: {error}");
                return;
            }
        }
    }
}

/// Gives back what comes. An error is the client's, which went away.
async fn echo(mut stream: TcpStream, mut rng: Rng) {
    let mut buf = vec![0; rng.usize(1..10_000)];
    while let Ok(n @ 1..) = stream.read(&mut buf).await {
        if stream.write_all(&buf[..n]).await.is_err() {
            return;
        }
    }
    if rng.bool() {
        // Otherwise it is dropped, which is an end as well.
        let _ = stream.shutdown(Shutdown::Write);
    }
}

/// Something that a client may do.
async fn visit(round: &Arc<Round>, rng: &mut Rng, address: SocketAddr) -> io::Result<()> {
    let mut stream = match rng.u8(0..8) {
        0 => match briefly(rng, TcpStream::connect(address)).await {
            None => return Ok(()),
            Some(connected) => connected?,
        },
        _ => TcpStream::connect(address).await?,
    };
    match rng.u8(0..8) {
        0 => {}
        1 => {
            // With a reset, whatever is on its way.
            let _ = briefly(rng, stream.write_all(&[7; 50_000])).await;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        2 => {
            let mut buf = [0; 8];
            let nothing = briefly(rng, stream.read(&mut buf)).await;
            demand!(
                round,
                nothing.is_none() || round.is_cut(),
                "{nothing:?} was read before anything was written"
            );
            exchange(round, rng, stream).await?;
        }
        3 => {
            // One after the other on one task.
            let member = round.enrol(Kind::Connection);
            for _ in 0..rng.u8(1..10) {
                let (key, mut buf) = (rng.u64(..), vec![0; rng.usize(1..500)]);
                let sent: Vec<u8> = (0..buf.len()).map(|at| byte(key, at)).collect();
                stream.write_all(&sent).await?;
                futures_lite::AsyncReadExt::read_exact(&mut stream, &mut buf).await?;
                demand!(round, buf == sent, "{} bytes came back changed", sent.len());
                round.bytes.fetch_add(sent.len() as u64, Relaxed);
            }
            member.complete();
        }
        _ => exchange(round, rng, stream).await?,
    }
    Ok(())
}

/// Writes in one task and reads in another.
async fn exchange(round: &Arc<Round>, rng: &mut Rng, stream: TcpStream) -> io::Result<()> {
    let member = round.enrol(Kind::Connection);
    let (key, length) = (rng.u64(..), rng.usize(0..60_000));
    let (mut reader, mut writer) = stream.into_split();
    let mut choices = rng.fork();
    let writer = round.spawn(Kind::Lane, async move {
        let sent: Vec<u8> = (0..length).map(|at| byte(key, at)).collect();
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(choices.usize(1..=rest.len()));
            if let Err(error) = writer.write_all(now).await {
                return Some(error.to_string());
            }
            rest = later;
            if choices.u8(0..4) == 0 {
                pause(&mut choices).await;
            }
        }
        // The end of its direction: the half is dropped.
        None
    });
    let (mut at, mut buf) = (0, vec![0; rng.usize(1..10_000)]);
    loop {
        let n = futures_lite::AsyncReadExt::read(&mut reader, &mut buf).await?;
        if n == 0 {
            break;
        }
        let changed = (at..).zip(&buf[..n]).find(|&(at, &got)| got != byte(key, at));
        demand!(round, changed.is_none(), "a byte came back changed: {changed:?} of {length}");
        at += n;
    }
    demand!(round, at == length || round.is_cut(), "{at} bytes came back of {length}");
    let failed = writer.await;
    if !round.is_cut() {
        round.expect(failed, None);
    }
    round.bytes.fetch_add(at as u64, Relaxed);
    member.complete();
    Ok(())
}

/// What stands where in a stream.
fn byte(key: u64, at: usize) -> u8 {
    (key.wrapping_add((at as u64).wrapping_mul(0x9e37_79b9)) >> 7) as u8
}
