//! A phone that lost its keys: what is on it goes to the mission as it lies.

use std::rc::Rc;

use sealed::{
    bundle::{Head, Writer},
    rescue::Copy,
};
use sync_core::client::home::pack_as_it_lies;

use super::{checks::at_once, disk::Disk, files::SimFiles, fuse::Fuse, pocket::secrets};

/// The bundle of a home whose keys are gone, by the mission's copy of the data key.
pub(super) fn pack(
    copy: &Copy,
    disk: &Disk,
    files: &SimFiles,
    chance: [u8; 32],
) -> Option<Vec<u8>> {
    // Whatever the phone was to die of, it does not die of this.
    let fuse = Rc::new(Fuse::default());
    let disk = Disk::new(disk.copy(), fuse.clone());
    let files = SimFiles::new(files.copy(), fuse);
    let head = Head {
        v: 1,
        mission: None,
        app: "sim/1".into(),
    };
    let (to, key) = (copy.recipient()?, copy.wrapped()?);
    let mut writer = Writer::new(Vec::new(), &to, &secrets(chance), &head).ok()?;
    writer.key(&key).ok()?;
    at_once(pack_as_it_lies(&disk, &files, &mut writer))?.ok()?;
    writer.finish().ok()
}
