// The page's language: chosen, remembered, and loaded when it is needed.

import { en, type Messages } from './en';

export const LANGUAGES = {
  en: { name: 'English', direction: 'ltr', load: async () => en },
  az: { name: 'Azərbaycanca', direction: 'ltr', load: async () => (await import('./az')).az },
  ru: { name: 'Русский', direction: 'ltr', load: async () => (await import('./ru')).ru },
} as const satisfies Record<string, { name: string; direction: string; load: () => Promise<Messages> }>;

export type Language = keyof typeof LANGUAGES;
const KEPT = 'language';

function isLanguage(text: string | null | undefined): text is Language {
  return text != null && text in LANGUAGES;
}

class I18n {
  language = $state<Language>('en');
  t = $state.raw<Messages>(en);

  /** Takes the language that was chosen last, or the browser's. */
  async start(): Promise<void> {
    const kept = localStorage.getItem(KEPT);
    const spoken = navigator.languages.map((tag) => tag.split('-')[0]);
    await this.choose(isLanguage(kept) ? kept : (spoken.find(isLanguage) ?? 'en'));
  }

  async choose(language: Language): Promise<void> {
    this.t = await LANGUAGES[language].load();
    this.language = language;
    localStorage.setItem(KEPT, language);
    document.documentElement.lang = language;
    document.documentElement.dir = LANGUAGES[language].direction;
  }
}

export const i18n = new I18n();
