/** The first value of a header in a flat list of names and values. */
export function headerValue(flat: readonly string[], lowerName: string): string | undefined {
  for (let at = 0; at < flat.length; at += 2) {
    const name = flat[at];
    if (name !== undefined && name.length === lowerName.length && name.toLowerCase() === lowerName)
      return flat[at + 1];
  }
  return undefined;
}
