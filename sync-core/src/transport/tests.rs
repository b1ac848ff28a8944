//! The whole client over a real socket, to a server that hangs up in the middle.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use protocol::ids::FileHash;

use super::{Answer, Call, HttpOptions, HttpTransport, Method, Transport as _};
use crate::{
    client::{FileStatus, NewFile, NewReport, home},
    testing::{FakeServer, block_on},
};

/// What the server saw.
#[derive(Default)]
struct Seen {
    files: BTreeMap<FileHash, Vec<u8>>,
    part_bytes: usize,
    parts: usize,
}

/// Hangs up in the middle of every `cut_every`-th part, and keeps what came.
fn serve(cut_every: usize) -> (String, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Seen::default()));
    let told = seen.clone();
    std::thread::spawn(move || {
        let server = FakeServer::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut seen = told.lock().expect("nobody panicked");
            let Some(answer) = take(&mut stream, &server, &mut seen, cut_every) else {
                continue;
            };
            seen.files = server.evidence.borrow().clone();
            drop(seen);
            // The other side may have gone.
            let _ = stream.write_all(&written(&answer));
        }
    });
    (origin, seen)
}

/// Reads one request and answers it; `None` hangs up.
fn take(
    stream: &mut TcpStream,
    server: &std::rc::Rc<FakeServer>,
    seen: &mut Seen,
    cut_every: usize,
) -> Option<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let method = match first.next()? {
        "POST" => Method::Post,
        "HEAD" => Method::Head,
        "PATCH" => Method::Patch,
        other => panic!("{other}"),
    };
    let path = first.next()?;
    let given: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = given
        .get("content-length")
        .map_or(0, |length| length.parse().expect("a number"));
    let cut = if method == Method::Patch {
        seen.parts += 1;
        seen.parts.is_multiple_of(cut_every)
    } else {
        false
    };
    let mut body = vec![0; if cut { length / 2 } else { length }];
    stream.read_exact(&mut body).ok()?;
    if method == Method::Patch {
        seen.part_bytes += length;
    }
    let names = [
        "authorization",
        "content-encoding",
        "content-type",
        "tus-resumable",
        "upload-offset",
    ];
    let headers = names
        .iter()
        .filter_map(|name| Some((*name, given.get(*name)?.clone())))
        .collect();
    let call = Call {
        method,
        url: format!("https://server.test{path}"),
        headers,
        body,
    };
    let answer = block_on(server.send(call)).expect("answers");
    (!cut).then_some(answer)
}

fn written(answer: &Answer) -> Vec<u8> {
    let mut out = format!(
        "HTTP/1.1 {} X\r\ncontent-length: {}\r\nconnection: close\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in [
        ("content-type", &answer.content_type),
        ("tus-resumable", &answer.tus_resumable),
        ("upload-offset", &answer.upload_offset),
        ("upload-length", &answer.upload_length),
        ("evidence-durable", &answer.evidence_durable),
    ] {
        if !value.is_empty() {
            out += &format!("{name}: {value}\r\n");
        }
    }
    if answer.status == 204 {
        out = out.replace("content-length: 0\r\n", "");
    }
    [out.as_bytes(), b"\r\n", &answer.body].concat()
}

#[tokio::test]
async fn a_file_arrives_whole_over_a_link_that_is_cut() {
    let (origin, seen) = serve(3);
    let dir = tempfile::tempdir().expect("a folder");
    let content: Vec<u8> = (0..1_500_000_u32)
        .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let source = dir.path().join("video");
    std::fs::write(&source, &content).expect("writes");
    let open = || async {
        let transport = HttpTransport::new(&HttpOptions::default()).expect("sets up");
        let folder = dir.path().join("home");
        let home = home::open(&folder, Box::new(transport), "test/1").await;
        home.expect("opens").client
    };
    let client = open().await;
    let link = FakeServer::new()
        .link()
        .replace("https://server.test", &origin);
    assert!(client.enrol(&link).await.expect("enrols").enrolled);
    let new = NewReport {
        category: "c".into(),
        ..NewReport::default()
    };
    let filed = client.file(new).await.expect("files");
    let new = NewFile {
        path: source,
        taken_at: None,
    };
    let attached = client.attach(filed.report, &new).await.expect("attaches");
    let mut runs = 0;
    loop {
        let client = open().await;
        let done = client.sync().await;
        let report = client
            .report(filed.report)
            .await
            .expect("reads")
            .expect("there");
        if report.files[0].status == FileStatus::Delivered {
            break;
        }
        assert!(done.is_err() && report.files[0].here);
        runs += 1;
        assert!(runs < 20, "no end");
    }
    let seen = seen.lock().expect("nobody panicked");
    assert_eq!(seen.files[&attached.file.sha256], content);
    let cuts = seen.parts / 3;
    assert!(cuts > 0);
    // Less than half of a part is sent twice for each cut.
    assert!(seen.part_bytes - content.len() < cuts * 512 * 1024);
}
