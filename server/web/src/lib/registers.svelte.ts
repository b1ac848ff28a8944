// What puts the server's codes into words: categories and colleagues of the mission.

import { api, ask } from '../api/client';
import type { components } from '../api/schema';

type Category = components['schemas']['Category'];
type Station = components['schemas']['Station'];
type Colleague = components['schemas']['Colleague'];

class Registers {
  categories = $state.raw<Category[]>([]);
  stations = $state.raw<Station[]>([]);
  colleagues = $state.raw<Colleague[]>([]);
  #labels = $derived(new Map(this.categories.map((one) => [one.code, one.labels])));
  #emails = $derived(new Map(this.colleagues.map((one) => [one.id, one.email])));

  #read: Promise<void> | undefined;

  /** Reads them, unless that was done or is being done. */
  ensure(): Promise<void> {
    this.#read ??= this.load().catch((error: unknown) => {
      this.#read = undefined;
      throw error;
    });
    return this.#read;
  }

  async load(): Promise<void> {
    const [categories, colleagues] = await Promise.all([
      ask(api.GET('/v1/categories')),
      ask(api.GET('/v1/colleagues')),
    ]);
    this.categories = categories.categories;
    this.colleagues = colleagues.colleagues;
  }

  /** The stations, which only some pages need. */
  async loadStations(): Promise<void> {
    if (this.stations.length === 0) this.stations = (await ask(api.GET('/v1/stations'))).stations;
  }

  /** A category's name in a language, or in English, or its code. */
  category(code: string, language: string): string {
    const labels = this.#labels.get(code);
    return labels?.[language] ?? labels?.['en'] ?? code;
  }

  /** An account's address; somebody of another time stands as the id. */
  person(id: string): string {
    return this.#emails.get(id) ?? id;
  }

  /** Whom a report can be given to. */
  get reviewers(): Colleague[] {
    return this.colleagues.filter(
      (one) => one.enabled && one.roles.some((role) => role === 'coordinator' || role === 'lead'),
    );
  }
}

export const registers = new Registers();
