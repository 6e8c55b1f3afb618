//! The options that sockets have in common, written once.
//!
//! Those that a server or client sets every day. For all others, whatever is `AsFd` can be given to
//! `socket2::SockRef::from`.

/// Options of a socket, connected or not.
macro_rules! options {
    ($socket:ty) => {
        /// Options. Others are set by way of `socket2::SockRef::from(&socket)`.
        impl $socket {
            /// Whether small writes go out at once.
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "TCP_NODELAY")]
            pub fn nodelay(&self) -> std::io::Result<bool> {
                socket2::SockRef::from(self).tcp_nodelay()
            }

            /// Has small writes go out at once, without waiting to be joined by others.
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "TCP_NODELAY")]
            pub fn set_nodelay(&self, nodelay: bool) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_tcp_nodelay(nodelay)
            }

            /// Whether the kernel asks a silent peer now and then if it is still there.
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "SO_KEEPALIVE")]
            pub fn keepalive(&self) -> std::io::Result<bool> {
                socket2::SockRef::from(self).keepalive()
            }

            /// Has the kernel ask a silent peer now and then if it is still there.
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "SO_KEEPALIVE")]
            pub fn set_keepalive(&self, keepalive: bool) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_keepalive(keepalive)
            }

            /// How long closing waits. See [`set_linger`](Self::set_linger).
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "SO_LINGER")]
            pub fn linger(&self) -> std::io::Result<Option<std::time::Duration>> {
                socket2::SockRef::from(self).linger()
            }

            /// What closing does with bytes that the peer has not taken yet.
            ///
            /// - `None`, as it is by default: closing returns at once, and the kernel goes on sending.
            /// - `Some(Duration::ZERO)`: closing returns at once, the bytes are lost, and the peer's next
            ///   read fails with `ConnectionReset`.
            /// - `Some` other time (the kernel counts whole seconds): **dropping the socket blocks its
            ///   thread**, and with it the loop and all its tasks, until the peer has taken all or the
            ///   time is over; that the socket is in non-blocking mode changes nothing. Better shut the
            ///   direction of writing down and read until the end; or drop the socket in
            ///   [`spawn_blocking`](crate::task::spawn_blocking).
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "SO_LINGER")]
            pub fn set_linger(&self, linger: Option<std::time::Duration>) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_linger(linger)
            }

            /// Bytes that may wait to be read.
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "SO_RCVBUF")]
            pub fn recv_buffer_size(&self) -> std::io::Result<usize> {
                socket2::SockRef::from(self).recv_buffer_size()
            }

            /// Sets how many bytes may wait to be read. Linux doubles it, for its bookkeeping.
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "SO_RCVBUF")]
            pub fn set_recv_buffer_size(&self, size: usize) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_recv_buffer_size(size)
            }

            /// Bytes that may wait to be sent.
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "SO_SNDBUF")]
            pub fn send_buffer_size(&self) -> std::io::Result<usize> {
                socket2::SockRef::from(self).send_buffer_size()
            }

            /// Sets how many bytes may wait to be sent. Linux doubles it, for its bookkeeping.
            ///
            /// # Errors
            /// What the kernel says.
            #[doc(alias = "SO_SNDBUF")]
            pub fn set_send_buffer_size(&self, size: usize) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_send_buffer_size(size)
            }
        }
    };
}

pub(super) use options;
