// Keys of a page, each with what it does, so that help can list them.

export interface Key {
  /** As `KeyboardEvent.key` has it. */
  key: string;
  does: string;
  run: () => void;
}

/** Whether somebody types into something. */
function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Runs the key that was pressed, unless somebody types or a dialog asks something. */
export function press(event: KeyboardEvent, keys: Key[]): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target) || document.querySelector('dialog[open]')) return;
  const found = keys.find((one) => one.key === event.key);
  if (!found) return;
  event.preventDefault();
  found.run();
}
