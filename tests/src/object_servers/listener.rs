//! HTTP servers that are part of the tests.

use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::exchange::{Asked, Reply};
use crate::Result;

/// A running server. It takes no more connections when it goes out of scope.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts one that answers like this.
    pub(super) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let is_stopped = Arc::new(AtomicBool::new(false));
        let acceptor = std::thread::spawn({
            let (is_stopped, answer) = (Arc::clone(&is_stopped), Arc::new(answer));
            move || accept(&listener, &is_stopped, &answer)
        });
        Ok(Self { address, is_stopped, acceptor: Some(acceptor) })
    }

    /// Where it answers: `http://127.0.0.1:PORT`.
    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // It waits for a connection, and then sees that it is to end.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Serves each connection in a thread of its own, which ends with the connection.
fn accept<A>(listener: &TcpListener, is_stopped: &AtomicBool, answer: &Arc<A>)
where
    A: Fn(&Asked) -> Reply + Send + Sync + 'static,
{
    for client in listener.incoming() {
        if is_stopped.load(Ordering::SeqCst) {
            break;
        }
        let Ok(client) = client else { continue };
        let answer = Arc::clone(answer);
        std::thread::spawn(move || {
            // The client may go at any time.
            let _ = serve(client, &*answer);
        });
    }
}

fn serve(client: TcpStream, answer: &impl Fn(&Asked) -> Reply) -> Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    while let Some(asked) = Asked::read(&mut client)? {
        answer(&asked).write(client.get_mut(), &asked.method)?;
    }
    Ok(())
}
