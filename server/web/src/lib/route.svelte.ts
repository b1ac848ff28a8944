// Which page is shown. Addresses stand behind `#`, so none of them is in a request or a log.

export const PAGES = ['desk', 'cases', 'quarantine', 'observers', 'messages', 'exports'] as const;
export type Page = (typeof PAGES)[number];

function read(): Page {
  const name = location.hash.split('/')[1];
  return PAGES.find((page) => page === name) ?? 'desk';
}

/** What is shown on the page: `#/desk/ID` is a report on the desk. */
function shown(): string | undefined {
  return location.hash.split('/')[2] || undefined;
}

const READ: Page[] = ['desk', 'cases'];
const OVERSEE = ['coordinator', 'lead', 'auditor'];
const EXPORT = ['analyst', 'lead', 'auditor'];

/** The pages that these roles may open. */
export function pagesOf(roles: readonly string[]): Page[] {
  const any = (of: string[]) => roles.some((role) => of.includes(role));
  return PAGES.filter((page) => READ.includes(page) || any(page === 'exports' ? EXPORT : OVERSEE));
}

class Route {
  page = $state<Page>(read());
  part = $state<string | undefined>(shown());

  constructor() {
    window.addEventListener('hashchange', () => ([this.page, this.part] = [read(), shown()]));
  }

  /** Another part of the same page, without a step that "back" would have to undo. */
  put(part: string | undefined): void {
    if (part === this.part) return;
    history.replaceState(null, '', `#/${this.page}${part ? `/${part}` : ''}`);
    this.part = part;
  }
}

export const route = new Route();
