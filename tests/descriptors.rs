//! No descriptor is left: those of the process are counted before and after everything that sockets can do, also half
//! of it.
//!
//! One test, for the count is the process's: another that ran at the same time would be counted.

use std::{
    fs, future,
    io::ErrorKind,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use whirligig::{
    EventLoop, Runtime,
    net::{
        Datagram, TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener,
        UnixStream,
    },
    spawn, task,
    time::{sleep, timeout},
};

fn count() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Everything, and each future also dropped: before its first poll, and while it waits.
async fn everything() {
    tcp().await;
    udp().await;
    unix_streams().await;
    unix_datagrams().await;
    // In tasks that are cancelled while they wait.
    for nth in 0..4 {
        let task = spawn(async move {
            match nth {
                0 => tcp().await,
                1 => udp().await,
                2 => unix_streams().await,
                _ => unix_datagrams().await,
            }
            future::pending::<()>().await;
        });
        for _ in 0..nth {
            task::yield_now().await;
        }
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    }
}

/// Gives up at once if it is not ready.
async fn dropped<F: Future>(future: F) {
    let waited = async {
        future.await;
        true
    };
    let gave_up = async {
        task::yield_now().await;
        false
    };
    assert!(!waited.or(gave_up).await, "nothing is there that it could be ready for");
}

async fn tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    dropped(listener.accept()).await;
    drop(TcpStream::connect(address));
    drop(TcpListener::bind(address));
    assert_eq!(TcpListener::bind(address).await.unwrap_err().kind(), ErrorKind::AddrInUse);
    let mut client = TcpStream::connect(("localhost", address.port())).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    dropped(client.read(&mut [0])).await;
    let (mut reader, mut writer) = server.into_split();
    AsyncWriteExt::write_all(&mut client, b"x").await.unwrap();
    AsyncReadExt::read_exact(&mut reader, &mut [0]).await.unwrap();
    writer.write_all(b"y").await.unwrap();
    let clone = listener.try_clone().unwrap();
    drop(clone);
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    assert!(TcpStream::connect([nowhere, nowhere]).await.is_err());
    // The first never answers: the second wins, and the first is dropped. Or both are.
    let full = TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = full.local_addr().unwrap();
    let _full = full.listen(0).unwrap();
    let _first = TcpStream::connect(silent).await.unwrap();
    dropped(TcpStream::connect([silent, silent])).await;
    let limit = Duration::from_millis(260);
    assert!(TcpStream::connect_timeout([silent, silent], limit).await.is_err());
    let _client = TcpStream::connect([silent, address]).await.unwrap();
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 20).unwrap();
    let (server, _) = listener.accept().await.unwrap();
    dropped(server.send_file(&file, ..)).await;
}

async fn udp() {
    let a = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let b = UdpSocket::bind("localhost:0").await.unwrap();
    dropped(a.recv(&mut [0])).await;
    dropped(a.recv_many(&mut [Datagram::with_capacity(8)])).await;
    a.connect(a.local_addr().unwrap()).await.unwrap();
    a.send(b"x").await.unwrap();
    assert_eq!(a.recv(&mut [0; 8]).await.unwrap(), 1);
    drop(b.connect(a.local_addr().unwrap()));
    assert!(UdpSocket::bind(a.local_addr().unwrap()).await.is_err());
}

async fn unix_streams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    assert!(UnixStream::connect(&path).await.is_err());
    let listener = UnixListener::bind(&path).unwrap();
    assert!(UnixListener::bind(&path).is_err());
    dropped(listener.accept()).await;
    drop(UnixStream::connect(&path));
    let client = UnixStream::connect(&path).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let mut fds = Vec::new();
    dropped(server.recv_fds(&mut [0; 8], &mut fds)).await;
    client.send_fds(b"x", &[client.as_fd(), listener.as_fd()]).await.unwrap();
    assert_eq!(server.recv_fds(&mut [0; 8], &mut fds).await.unwrap(), 1);
    assert_eq!(fds.len(), 2);
    // Those that nobody asked for are closed by the kernel, read or not.
    client.send_fds(b"y", &[client.as_fd()]).await.unwrap();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
    client.send_fds(b"z", &[client.as_fd()]).await.unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let _halves = ours.into_split();
    drop(theirs);
    // Full: who connects waits, and is dropped.
    let full = directory.path().join("full");
    let listener = std::os::unix::net::UnixListener::bind(&full).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _first = UnixStream::connect(&full).await.unwrap();
    let waits = timeout(Duration::from_millis(5), UnixStream::connect(&full)).await;
    assert!(waits.is_err());
}

async fn unix_datagrams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let a = UnixDatagram::bind(&path).unwrap();
    assert!(UnixDatagram::bind(&path).is_err());
    let b = UnixDatagram::unbound().unwrap();
    b.send_to(b"x", &path).await.unwrap();
    assert_eq!(a.recv(&mut [0; 8]).await.unwrap(), 1);
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.send_fds(b"x", &[ours.as_fd()]).await.unwrap();
    let mut fds: Vec<OwnedFd> = Vec::new();
    theirs.recv_fds(&mut [0; 8], &mut fds).await.unwrap();
    while b.try_send_to(b"x", &path).is_ok() {}
    dropped(b.send_to(b"x", &path)).await;
    sleep(Duration::from_millis(1)).await;
}

#[test]
fn no_descriptor_is_left() {
    let once = || {
        let event_loop = EventLoop::new().unwrap();
        event_loop.block_on(async { spawn(everything()).await.unwrap() });
        drop(event_loop);
        for workers in [1, 4] {
            let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
            runtime.block_on(async { spawn(everything()).await.unwrap() });
        }
    };
    // What a process opens once for all, such as for the resolver.
    once();
    let before = count();
    once();
    assert_eq!(count(), before);
}
