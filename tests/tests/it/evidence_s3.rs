//! Evidence in a bucket: the same as in a folder, on a real S3-speaking server.

use tests::{
    database::Kind,
    on_both_databases,
    phone::Phone,
    s3::S3,
    site::Site,
    upload::{Sample, Way, announced},
};

on_both_databases!(a_bucket_serves_as_a_folder_does);

fn a_bucket_serves_as_a_folder_does(kind: Kind) {
    let s3 = S3::start();
    let mut site = Site::new(kind);
    s3.configure(&mut site);
    let mission = site.small_mission("Bucket");
    let server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    // More than one part of a multipart upload, and no whole number of pieces.
    let sample = Sample::of(7 * 1024 * 1024 + 4_711);
    announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    let (third, half) = (sample.bytes.len() / 3, sample.bytes.len() / 2);
    assert_eq!(way.patch(0, &sample.bytes[..third]).status, 204);
    let rest = sample.bytes.len() - third;
    way.cut(third as u64, rest, &sample.bytes[third..half]);
    let stored = usize::try_from(way.offset()).expect("small");
    assert!((third..=half).contains(&stored));
    let half = stored;
    assert!(!s3.list("uploads/").is_empty());

    // Another server, that knows nothing of this upload but what the bucket tells.
    server.kill();
    let server = site.start();
    assert_eq!(way.offset(), half as u64);
    assert_eq!(
        way.patch(half as u64, &sample.bytes[half..]).status,
        204,
        "{}",
        server.log()
    );
    assert_eq!(way.offset(), sample.file.size);
    assert_eq!(way.get(&[]).body, sample.bytes);
    let part = way.get(&[("range", "bytes=5242870-5242889")]);
    assert_eq!(part.body, &sample.bytes[5_242_870..5_242_890]);
    assert_eq!(s3.list("uploads/"), Vec::<String>::new());
    assert_eq!(s3.list("files/").len(), 1);

    let small = Sample::of(10);
    announced(&mut phone, &small.file);
    let other = Way::of(&phone, &small.file);
    other.patch(0, &[0; 10]).refuses(460, "file_mismatch");
    assert_eq!(s3.list("uploads/"), Vec::<String>::new());
    assert_eq!(s3.list("files/").len(), 1);
    assert_eq!(other.patch(0, &small.bytes).status, 204);

    // The bucket is gone for a while: the phone waits, the reports do not.
    drop(s3);
    let report = phone.file_text("without files");
    assert_eq!(phone.send(&[&report]).short(&report), "stored");
    assert_eq!(other.head().status, 503);
    let faults = tests::http::faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let (_, log) = server.stop();
    assert!(!log.contains("never in a log"), "{log}");
    let shown = site.run(&["config", "show"]).output;
    assert!(!shown.contains("never in a log"), "{shown}");
}
