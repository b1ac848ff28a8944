// What the desk shows, kept while somebody is on another page: the map asks for the same
// reports, and opens one of them there.

import type { Filter } from './filter';

class Shown {
  filter = $state.raw<Filter>({});
  /** The report that is read. */
  report = $state<string>();
  /** How often something was asked to be shown: the desk looks when it changes. */
  asked = $state(0);

  /** Goes to the desk with a filter, and with a report to read. */
  ask(filter: Filter, report?: string): void {
    this.filter = filter;
    this.report = report;
    this.asked += 1;
    location.hash = report ? `/desk/${report}` : '/desk';
  }
}

export const shown = new Shown();
