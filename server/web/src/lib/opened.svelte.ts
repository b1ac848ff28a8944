// A report that another page, or another report, wants the desk to show.

class Opened {
  report = $state<string>();

  show(report: string): void {
    this.report = report;
    location.hash = '/desk';
  }
}

export const opened = new Opened();
