// How long what somebody writes may be. `maxlength` would cut what they paste without a
// word; this leaves it whole, says so, and the form is not sent until it is shorter.

import type { Attachment } from 'svelte/attachments';
import { i18n } from '../i18n/i18n.svelte';

export function atMost(most: number): Attachment<HTMLInputElement | HTMLTextAreaElement> {
  return (field) => {
    const check = () => {
      // Characters as the server counts them, not UTF-16's halves.
      const over = [...field.value].length - most;
      field.setCustomValidity(over > 0 ? i18n.t.tooLong(most, over) : '');
    };
    check();
    field.addEventListener('input', check);
    return () => field.removeEventListener('input', check);
  };
}
