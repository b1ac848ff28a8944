// Which page is shown. Addresses stand behind `#`, so none of them is in a request or a log.

export const PAGES = ['desk', 'telephone', 'quarantine', 'observers', 'messages', 'exports'] as const;
export type Page = (typeof PAGES)[number];

function read(): Page {
  return PAGES.find((page) => location.hash === `#/${page}`) ?? 'desk';
}

const OVERSEE = ['coordinator', 'lead', 'auditor'];
const REVIEW = ['coordinator', 'lead'];
const EXPORT = ['analyst', 'lead', 'auditor'];

/** The pages that these roles may open. */
export function pagesOf(roles: readonly string[]): Page[] {
  const any = (of: string[]) => roles.some((role) => of.includes(role));
  const who = (page: Page) => (page === 'exports' ? EXPORT : page === 'telephone' ? REVIEW : OVERSEE);
  return PAGES.filter((page) => page === 'desk' || any(who(page)));
}

class Route {
  page = $state<Page>(read());

  constructor() {
    window.addEventListener('hashchange', () => (this.page = read()));
  }
}

export const route = new Route();
