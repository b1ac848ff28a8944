// Light or dark: as the system says, or as somebody chose on this device.

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
const KEPT = 'theme';

class Chosen {
  theme = $state<Theme>('auto');

  constructor() {
    const kept = THEMES.find((theme) => theme === localStorage.getItem(KEPT));
    this.choose(kept ?? 'auto');
  }

  choose(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem(KEPT, theme);
    if (theme === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
  }
}

export const chosen = new Chosen();
