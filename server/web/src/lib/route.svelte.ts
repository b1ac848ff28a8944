// Which page is shown. Addresses stand behind `#`, so none of them is in a request or a log.

import { leaving } from './leaving.svelte';

export const PAGES = [
  'desk',
  'telephone',
  'cases',
  'map',
  'room',
  'quarantine',
  'observers',
  'messages',
  'exports',
  'mission',
  'server',
] as const;
export type Page = (typeof PAGES)[number];

/** The parts of the mission's page: `#/mission/stations`. */
export const TABS = ['stations', 'categories', 'accounts', 'imports', 'erasures', 'audit'] as const;
export type Tab = (typeof TABS)[number];

/** The page, and what is shown on it: `#/desk/ID` is a report on the desk. */
function read(): [Page, string | undefined] {
  const [, page, part] = location.hash.split('/');
  return [PAGES.find((one) => one === page) ?? 'desk', part || undefined];
}

const OVERSEE = ['coordinator', 'lead', 'auditor'];
const REVIEW = ['coordinator', 'lead'];
const EXPORT = ['analyst', 'lead', 'auditor'];
const READ = [...OVERSEE, 'analyst'];
const MAY: Record<Page, string[]> = {
  desk: READ,
  telephone: REVIEW,
  cases: READ,
  map: READ,
  room: READ,
  quarantine: OVERSEE,
  observers: OVERSEE,
  messages: OVERSEE,
  exports: EXPORT,
  mission: READ,
  server: ['operator'],
};
const MAY_TAB: Record<Tab, string[]> = {
  stations: READ,
  categories: READ,
  accounts: ['lead', 'auditor'],
  imports: ['lead'],
  erasures: ['lead', 'auditor'],
  audit: ['lead', 'auditor'],
};

const any = (roles: readonly string[], of: string[]) => roles.some((role) => of.includes(role));

/** The pages that these roles may open. */
export function pagesOf(roles: readonly string[]): Page[] {
  return PAGES.filter((page) => any(roles, MAY[page]));
}

/** The parts of the mission's page that these roles may open. */
export function tabsOf(roles: readonly string[]): Tab[] {
  return TABS.filter((tab) => any(roles, MAY_TAB[tab]));
}

class Route {
  page = $state<Page>('desk');
  part = $state<string>();
  tab = $derived(TABS.find((tab) => tab === this.part));

  constructor() {
    const take = () => ([this.page, this.part] = read());
    take();
    window.addEventListener('hashchange', () => {
      const to = location.hash;
      if (!leaving.held || read()[0] === this.page) return take();
      history.replaceState(null, '', `#/${this.page}${this.part ? `/${this.part}` : ''}`);
      leaving.ask(() => (location.hash = to));
    });
  }

  /** Another part of the same page, without a step that "back" would have to undo. */
  put(part: string | undefined): void {
    if (part === this.part) return;
    history.replaceState(null, '', `#/${this.page}${part ? `/${part}` : ''}`);
    this.part = part;
  }
}

export const route = new Route();

/** Shows a report on the desk. */
export function openReport(id: string): void {
  location.hash = `/desk/${id}`;
}
