// How large a picture says it is, before a browser unpacks it: fifty kilobytes of PNG can
// become gigabytes of pixels.

/** Beyond this, 280 MB once unpacked, a picture is shown on request alone. */
export const MOST_PIXELS = 70_000_000;
/** Bytes read at a time. */
const PIECE = 32_768;
/** How often another piece is read: what stands before a photograph's size can be long. */
const PIECES = 16;

/** Its pixels; `undefined` where the file does not say in a way that is known here. */
export async function pixels(url: string): Promise<number | undefined> {
  try {
    const head = await piece(url, 0);
    return png(head) ?? gif(head) ?? webp(head) ?? avif(head) ?? (await jpeg(url, head));
  } catch {
    // No line, no session, or a file that ends where more was promised.
    return undefined;
  }
}

async function piece(url: string, from: number): Promise<DataView> {
  const answer = await fetch(url, { headers: { range: `bytes=${from}-${from + PIECE - 1}` } });
  if (!answer.ok) throw new Error(`the server said ${answer.status}`);
  return new DataView(await answer.arrayBuffer());
}

/** Letters at a place. */
function letters(view: DataView, at: number, count: number): string {
  const bytes = new Uint8Array(view.buffer, at, Math.min(count, Math.max(0, view.byteLength - at)));
  return String.fromCharCode(...bytes);
}

function png(view: DataView): number | undefined {
  return letters(view, 1, 3) === 'PNG' && letters(view, 12, 4) === 'IHDR' ? view.getUint32(16) * view.getUint32(20) : undefined;
}

function gif(view: DataView): number | undefined {
  return letters(view, 0, 4) === 'GIF8' ? view.getUint16(6, true) * view.getUint16(8, true) : undefined;
}

function webp(view: DataView): number | undefined {
  if (letters(view, 8, 4) !== 'WEBP') return undefined;
  const three = (at: number) => (view.getUint32(at, true) & 0xffffff) + 1;
  // The two other forms end at 16,384 on a side; what they say is in bits.
  if (letters(view, 12, 4) === 'VP8X') return three(24) * three(27);
  if (letters(view, 12, 4) === 'VP8 ') return (view.getUint16(26, true) & 0x3fff) * (view.getUint16(28, true) & 0x3fff);
  const bits = view.getUint32(21, true);
  return ((bits & 0x3fff) + 1) * (((bits >> 14) & 0x3fff) + 1);
}

/** The largest of the sizes that it names: it can hold tiles and a thumbnail. */
function avif(view: DataView): number | undefined {
  if (letters(view, 4, 4) !== 'ftyp') return undefined;
  const sizes: number[] = [];
  const head = letters(view, 0, Math.min(view.byteLength, 4096));
  for (let at = head.indexOf('ispe'); at >= 0; at = head.indexOf('ispe', at + 4)) {
    sizes.push(view.getUint32(at + 8) * view.getUint32(at + 12));
  }
  return sizes.length > 0 ? Math.max(...sizes) : undefined;
}

/** Goes from segment to segment (ISO 10918-1, B.1.1) to the one that tells the size. */
async function jpeg(url: string, head: DataView): Promise<number | undefined> {
  if (head.getUint16(0) !== 0xffd8) return undefined;
  let [view, from, at] = [head, 0, 2];
  for (let read = 0; read < PIECES; ) {
    // The size ends nine bytes behind its marker.
    if (at - from + 9 > view.byteLength) {
      [view, from] = [await piece(url, at), at];
      read += 1;
    }
    const [marker, length] = [view.getUint16(at - from), view.getUint16(at - from + 2)];
    if (marker < 0xff01 || length < 2) return undefined;
    const frame = marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
    if (frame) return view.getUint16(at - from + 5) * view.getUint16(at - from + 7);
    at += 2 + length;
  }
  return undefined;
}
