// Which page is shown. Addresses stand behind `#`, so none of them is in a request or a log.

export const PAGES = [
  'desk', 'map', 'room', 'quarantine', 'observers', 'messages', 'exports', 'mission', 'server',
] as const;
export type Page = (typeof PAGES)[number];

/** The parts of the mission's page: `#/mission/stations`. */
export const TABS = ['stations', 'categories', 'accounts', 'imports', 'erasures', 'audit'] as const;
export type Tab = (typeof TABS)[number];

function read(): [Page, Tab | undefined] {
  const [, page, tab] = location.hash.split('/');
  return [PAGES.find((one) => one === page) ?? 'desk', TABS.find((one) => one === tab)];
}

const OVERSEE = ['coordinator', 'lead', 'auditor'];
const EXPORT = ['analyst', 'lead', 'auditor'];
const READ = [...OVERSEE, 'analyst'];
const MAY: Record<Page, string[]> = {
  desk: READ,
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
  tab = $state<Tab>();

  constructor() {
    const take = () => ([this.page, this.tab] = read());
    take();
    window.addEventListener('hashchange', take);
  }
}

export const route = new Route();
