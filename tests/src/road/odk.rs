//! The same reports as ODK Collect sends them (OpenRosa form submission): for each
//! a `HEAD`, then a multipart `POST` of one XML instance, over one connection as
//! long as it holds. Whatever breaks off is sent again as a whole, at once (Collect
//! itself would wait a minute).

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use uuid::Uuid;

use super::{Error, reports::Said};

const BOUNDARY: &str = "----scrutineer-road";

/// A server that takes every submission and answers as ODK Central does.
pub(super) fn server() -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks off is what is measured.
            thread::spawn(move || serve(stream).ok());
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    loop {
        let (first, length) = head(&mut lines)?;
        std::io::copy(&mut lines.by_ref().take(length), &mut std::io::sink())?;
        let answer = if first.starts_with("HEAD") {
            "HTTP/1.1 204 No Content\r\nX-OpenRosa-Version: 1.0\r\n\
             X-OpenRosa-Accept-Content-Length: 100000000\r\nLocation: /submission\r\n\r\n"
                .to_owned()
        } else {
            let body = "<OpenRosaResponse xmlns=\"http://openrosa.org/http/response\" items=\"0\">\
                        <message nature=\"\">full submission upload was successful!</message></OpenRosaResponse>";
            format!(
                "HTTP/1.1 201 Created\r\nContent-Type: text/xml\r\nX-OpenRosa-Version: 1.0\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        out.write_all(answer.as_bytes())?;
    }
}

/// Reads a head: its first line, and how long the body is.
fn head(lines: &mut impl std::io::BufRead) -> std::io::Result<(String, u64)> {
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            return Ok((first, length));
        }
    }
}

/// Sends every report until it is taken.
pub(super) fn send(address: SocketAddr, reports: &[Said]) -> Result<(), Error> {
    let mut connection = None;
    for (at, report) in reports.iter().enumerate() {
        let body = submission(at, report);
        while let Err(error) = submit(&mut connection, address, &body) {
            connection = None;
            if error.kind() == std::io::ErrorKind::AddrNotAvailable {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

type Connection = (TcpStream, BufReader<TcpStream>);

fn submit(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    body: &str,
) -> std::io::Result<()> {
    let (out, answers) = match connection {
        Some(open) => open,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            connection.insert((stream.try_clone()?, BufReader::new(stream)))
        }
    };
    let common = "Host: odk\r\nX-OpenRosa-Version: 1.0\r\nDate: Sun, 22 Nov 2026 06:00:00 GMT\r\n\
                  User-Agent: org.odk.collect.android/v2026.1.0 Dalvik/2.1.0\r\nAuthorization: Basic b2JzZXJ2ZXI6c2VjcmV0\r\n";
    write!(out, "HEAD /submission HTTP/1.1\r\n{common}\r\n")?;
    // An answer to HEAD has no body.
    head(answers)?;
    write!(
        out,
        "POST /submission?deviceID=collect%3AAbCdEfGhIjKl HTTP/1.1\r\n{common}\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let (_, length) = head(answers)?;
    let read = std::io::copy(&mut answers.take(length), &mut std::io::sink())?;
    if read == length {
        Ok(())
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

fn submission(at: usize, report: &Said) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let id = Uuid::from_u128(0x5eed_0000_4000_8000_0000_0000_0000_0000 + at as u128);
    let xml = format!(
        "<?xml version='1.0' ?><data id=\"incident\" version=\"2026112201\" xmlns:jr=\"http://openrosa.org/javarosa\" \
         xmlns:orx=\"http://openrosa.org/xforms\"><start>2026-11-22T09:00:00.000+04:00</start>\
         <end>2026-11-22T09:04:00.000+04:00</end><deviceid>collect:AbCdEfGhIjKl</deviceid>\
         <category>{}</category><severity>high</severity><station>{}</station>\
         <place>40.4093 49.8671 0 12</place><text>{}</text>\
         <orx:meta><orx:instanceID>uuid:{id}</orx:instanceID></orx:meta></data>",
        report.category,
        report.station,
        escape(&report.text)
    );
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"xml_submission_file\"; filename=\"incident_{at}.xml\"\r\n\
         Content-Type: text/xml; charset=UTF-8\r\n\r\n{xml}\r\n--{BOUNDARY}--\r\n"
    )
}
