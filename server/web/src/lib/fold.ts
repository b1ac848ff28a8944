// Text as it is searched, folded as the server folds it (server/src/domain/text.rs).

const ALIKE: Record<string, string> = {
  I: 'i',
  İ: 'i',
  ı: 'i',
  ё: 'е',
  Ё: 'е',
  آ: 'ا',
  أ: 'ا',
  إ: 'ا',
  ى: 'ي',
  ة: 'ه',
  '\0': '\u{fffd}',
};

/** NFKC, lower case, and what is written differently in one word made alike. */
export function fold(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/[\u0640\u064b-\u0652]/g, '')
    .replace(/[IİıёЁآأإىة\0]/g, (char) => ALIKE[char] ?? char)
    .toLowerCase();
}
