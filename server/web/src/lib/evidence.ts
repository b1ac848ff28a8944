// Files of evidence: how each is shown, and its name as the field writes it.

import type { components } from '../api/schema';

export type Attached = components['schemas']['ReportEvidence'];
export type ShownFile = components['schemas']['ShownFile'];
export type Way = 'picture' | 'video' | 'audio' | 'file';

/** How a media type is shown. SVG is a document, not a picture: it can hold a script. */
export function way(type: string): Way {
  if (/^image\/(jpeg|png|webp|gif|avif)$/.test(type)) return 'picture';
  if (/^video\//.test(type)) return 'video';
  if (/^audio\//.test(type)) return 'audio';
  return 'file';
}

export function address(file: ShownFile): string {
  return `/v1/evidence/${file.sha256}`;
}

/** SHA-256 in hexadecimal, from base64url. */
export function hex(sha256: string): string {
  const plain = atob(sha256.replaceAll('-', '+').replaceAll('_', '/'));
  return [...plain].map((char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join('');
}

/** 1.4 MB. */
export function size(bytes: number, language: string): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
  const at = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return new Intl.NumberFormat(language, {
    style: 'unit',
    unit: units[at]!,
    unitDisplay: 'short',
    maximumFractionDigits: 1,
  }).format(bytes / 1000 ** at);
}
