//! The proxy in front of a server that speaks HTTP in all the ways that an object store might.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::{Fault, FaultProxy};

/// Starts a server that gives each connection to a function. Returns where it listens.
fn server(
    serve: impl Fn(BufReader<TcpStream>) -> std::io::Result<()> + Send + Sync + 'static,
) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = serve(BufReader::new(stream));
        }
    });
    Ok(endpoint)
}

/// Answers every request in the same way, once its head is there.
fn answering(answer: &'static str) -> Result<FaultProxy> {
    let endpoint = server(move |mut stream| {
        read_head(&mut stream)?;
        stream.get_mut().write_all(answer.as_bytes())
    })?;
    FaultProxy::start(&endpoint)
}

fn read_head(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn connect(proxy: &FaultProxy) -> Result<TcpStream> {
    let stream = TcpStream::connect(proxy.endpoint().trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// Sends something over a connection of its own and returns all that comes back.
fn ask(proxy: &FaultProxy, sent: &str) -> Result<String> {
    let mut stream = connect(proxy)?;
    stream.write_all(sent.as_bytes())?;
    let mut came = String::new();
    stream.read_to_string(&mut came)?;
    Ok(came)
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[test]
fn answers_come_as_they_are() -> Result<()> {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        "HTTP/1.1 200 OK\r\nx: y\r\n\r\nhello world",
    ] {
        let proxy = answering(answer)?;
        assert_eq!(ask(&proxy, GET)?, answer);
        assert_eq!((proxy.requests()[0].status, proxy.requests()[0].down), (Some(200), 11));
    }
    for (request, answer) in [
        ("HEAD /a HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"),
        (GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 11\r\n\r\n"),
    ] {
        assert_eq!(ask(&answering(answer)?, request)?, answer);
    }
    Ok(())
}

#[test]
fn chunked_answers_fail_as_others_do() -> Result<()> {
    let proxy = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n",
    )?;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    proxy.fault_at(0, Fault::CutBody);
    assert_eq!(ask(&proxy, GET)?, format!("{head}4\r\nabcd\r\n"));
    proxy.fault_at(0, Fault::GarbleBody);
    assert_eq!(ask(&proxy, GET)?, format!("{head}8\r\nabcddfgh\r\n0\r\n\r\n"));
    Ok(())
}

#[test]
fn a_connection_serves_many_requests() -> Result<()> {
    let proxy = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
    proxy.fault_at(1, Fault::Status(503));
    let mut stream = connect(&proxy)?;
    // All at once, one of them with a body in chunks.
    let all = format!(
        "GET /1 HTTP/1.1\r\n\r\nPUT /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n{GET}"
    );
    stream.write_all(all.as_bytes())?;
    let mut came = String::new();
    stream.read_to_string(&mut came)?;
    assert_eq!(came.matches("HTTP/1.1 200 OK").count(), 2, "{came}");
    assert_eq!(came.matches("HTTP/1.1 503 SlowDown").count(), 1, "{came}");
    assert!(came.ends_with("\r\n\r\nok"));
    let told: Vec<_> = proxy.requests().into_iter().map(|request| (request.number, request.target)).collect();
    assert_eq!(told, [(0, "/1".to_owned()), (1, "/2".to_owned()), (2, "/a".to_owned())]);
    Ok(())
}

#[test]
fn requests_with_bodies_in_chunks_are_cut_too() -> Result<()> {
    let (send, receive) = std::sync::mpsc::channel();
    let endpoint = server(move |mut stream| {
        let mut came = String::new();
        stream.read_to_string(&mut came)?;
        send.send(came).map_err(std::io::Error::other)
    })?;
    let proxy = FaultProxy::start(&endpoint)?;
    proxy.fault_at(0, Fault::CutUpload);
    let head = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let came = ask(&proxy, &format!("{head}6\r\nabcdef\r\n0\r\n\r\n"))?;
    assert_eq!(came, "");
    assert_eq!(receive.recv()?, format!("{head}3\r\nabc\r\n"));
    Ok(())
}

#[test]
fn a_client_may_wait_for_a_word_before_it_sends_a_body() -> Result<()> {
    const HEAD: &str =
        "PUT /a HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    const DONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // A server that knows of this, and one that does not.
    for knows in [true, false] {
        let endpoint = server(move |mut stream| {
            read_head(&mut stream)?;
            if knows {
                stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            stream.read_exact(&mut [0; 5])?;
            stream.get_mut().write_all(DONE.as_bytes())
        })?;
        let proxy = FaultProxy::start(&endpoint)?;
        let mut stream = BufReader::new(connect(&proxy)?);
        stream.get_mut().write_all(HEAD.as_bytes())?;
        assert_eq!(read_head(&mut stream)?, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.get_mut().write_all(b"hello")?;
        let mut came = String::new();
        stream.read_to_string(&mut came)?;
        assert_eq!(came, DONE);
        assert_eq!(proxy.requests()[0].up, 5);
    }
    // A server that refuses, and a proxy that does.
    let proxy = answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")?;
    assert!(ask(&proxy, HEAD)?.starts_with("HTTP/1.1 403 Forbidden"));
    proxy.fault_at(0, Fault::Status(412));
    assert!(ask(&proxy, HEAD)?.starts_with("HTTP/1.1 412 PreconditionFailed"));
    Ok(())
}

#[test]
fn an_early_answer_reaches_the_client() -> Result<()> {
    let endpoint = server(|mut stream| {
        read_head(&mut stream)?;
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        // Not read to its end, but long enough for the answer not to be lost.
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    })?;
    let proxy = FaultProxy::start(&endpoint)?;
    let body = "x".repeat(100_000);
    let came = ask(&proxy, &format!("PUT /a HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()))?;
    assert!(came.starts_with("HTTP/1.1 403 Forbidden"), "{came}");
    Ok(())
}

#[test]
fn the_proxy_ends_whatever_is_under_way() -> Result<()> {
    let endpoint = server(|mut stream| {
        read_head(&mut stream)?;
        std::thread::sleep(Duration::from_secs(30));
        Ok(())
    })?;
    let proxy = FaultProxy::start(&endpoint)?;
    proxy.fault_at(2, Fault::Slow(Duration::from_secs(30)));
    let (mut waiting, _idle, mut half, mut late) =
        (connect(&proxy)?, connect(&proxy)?, connect(&proxy)?, connect(&proxy)?);
    waiting.write_all(GET.as_bytes())?;
    half.write_all(b"PUT /a HTTP/1.1\r\nContent-Length: 10\r\n\r\nx")?;
    while proxy.count() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    late.write_all(GET.as_bytes())?;
    while proxy.count() < 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begun = Instant::now();
    drop(proxy);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(waiting.read(&mut [0; 9]).unwrap_or(0), 0);
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_a_connection_that_ends() -> Result<()> {
    let endpoint = format!("http://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let proxy = FaultProxy::start(&endpoint)?;
    assert_eq!(ask(&proxy, GET)?, "");
    assert_eq!(proxy.requests()[0].status, None);
    Ok(())
}
