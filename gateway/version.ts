import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The version of this program, from package.json: beside the sources, or one folder up from `dist`. */
export const VERSION: string = readVersion();

function readVersion(): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(
        readFileSync(fileURLToPath(new URL(place, import.meta.url)), 'utf8'),
      );
      if (isPackage(parsed)) return parsed.version;
    } catch {
      // Not there: the next place.
    }
  }
  return 'unknown';
}

function isPackage(value: unknown): value is { name: 'sluice'; version: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    value.name === 'sluice' &&
    'version' in value &&
    typeof value.version === 'string'
  );
}
