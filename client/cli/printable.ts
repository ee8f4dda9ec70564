/** The text of a stranger for a terminal: it must not move the cursor, end the line or go on for ever. */
export function printable(text: string, maxLength: number): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?').slice(0, maxLength);
}
