// What is heard on the telephone, kept in this browser until the server has answered: a
// cut line, a reload or a session that ends loses nothing.

import type { components } from '../api/schema';

export type TellingRequest = components['schemas']['TellingRequest'];

/** What the form holds, as typed. */
export interface Told {
  category: string;
  severity: string;
  text: string;
  station: string;
  /** In the mission's zone, as the field has it. */
  observed: string;
  /** Latitude and longitude. */
  place: string;
  contact: string;
}

export interface Call {
  /** The report's id: sent twice, it is entered once. */
  id: string;
  caller: 'observer' | 'citizen';
  accreditation: string;
  told: Told;
}

export const NOTHING: Told = {
  category: '',
  severity: '',
  text: '',
  station: '',
  observed: '',
  place: '',
  contact: '',
};

export function newCall(): Call {
  return { id: crypto.randomUUID(), caller: 'observer', accreditation: '', told: { ...NOTHING } };
}

/** What was kept; what another version of this page wrote counts as nothing. */
export function keptCall(key: string): Call {
  const fresh = newCall();
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<Call>;
    return { ...fresh, ...kept, told: { ...fresh.told, ...kept.told } };
  } catch {
    return fresh;
  }
}

export function keepCall(key: string, call: Call): void {
  localStorage.setItem(key, JSON.stringify(call));
}

export function forgetCall(key: string): void {
  localStorage.removeItem(key);
}

/** What a clock in a zone shows at an instant, as a date field has it. */
export function wall(instant: number, zone: string | undefined): string {
  const format = new Intl.DateTimeFormat('sv-SE', {
    dateStyle: 'short',
    timeStyle: 'medium',
    ...(zone && { timeZone: zone }),
  });
  return format.format(new Date(instant)).replace(' ', 'T').slice(0, 16);
}

/** The instant at which a clock in a zone shows this. */
function instant(field: string, zone: string | undefined): string {
  const guess = Date.parse(`${field}Z`);
  const ahead = Date.parse(`${wall(guess, zone)}Z`) - guess;
  return new Date(guess - ahead).toISOString();
}

/** The form's fields as the server takes them. */
export function telling(told: Told, zone: string | undefined): TellingRequest {
  const [lat, lon] = told.place.split(',').map(Number);
  return {
    category: told.category,
    text: told.text,
    ...(told.severity && { severity: told.severity as NonNullable<TellingRequest['severity']> }),
    ...(told.station.trim() && { station: told.station.trim() }),
    ...(told.observed && { observed_at: instant(told.observed, zone) }),
    ...(told.place.trim() && lat !== undefined && lon !== undefined && { place: { lat, lon } }),
    ...(told.contact.trim() && { contact: told.contact }),
  };
}
