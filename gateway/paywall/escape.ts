const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for HTML, between tags or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

/** JSON for a `<script>` element: no `</script>`, no `<!--`, no line separator can end it early. */
export function escapeJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** One word for a POSIX shell, whatever is in it. Control characters, which a terminal might act on, are left out. */
export function quoteShell(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to go.
  const printable = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '');
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(printable) ? printable : `'${printable.replaceAll("'", `'\\''`)}'`;
}
