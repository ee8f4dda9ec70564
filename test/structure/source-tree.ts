import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';

/** The folder of the repository. */
export const ROOT = join(import.meta.dirname, '..', '..');

const SKIPPED = new Set(['node_modules', 'dist', 'coverage', '.git', '.sluice']);

/** Every file of the tree below a folder, as paths from the repository's root with `/`. */
export function listFiles(folder = '.'): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue;
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) found.push(...listFiles(path));
    else if (entry.isFile()) found.push(path);
  }
  return found.sort();
}

/** The text of a file of the tree. */
export function readSource(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** One import statement. */
export interface Import {
  readonly from: string;
  /** A path from the root for a relative import, else the name of a package or `node:` module. */
  readonly to: string;
  readonly relative: boolean;
  /** `import type`: gone when the program runs. */
  readonly typeOnly: boolean;
}

const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g;

/** Every import of a TypeScript file; comments are left out, so that an example in one does not count. */
export function importsOf(path: string): Import[] {
  const code = readSource(path)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/^\s*\/\/.*$/gm, '');
  const imports: Import[] = [];
  for (const [, type, to = ''] of code.matchAll(STATEMENT))
    imports.push(toImport(path, to, type !== undefined));
  for (const [, to = ''] of code.matchAll(DYNAMIC)) imports.push(toImport(path, to, false));
  return imports;
}

function toImport(from: string, to: string, typeOnly: boolean): Import {
  const isRelative = to.startsWith('.');
  const target = isRelative
    ? relative(ROOT, join(ROOT, dirname(from), to))
        .split(sep)
        .join('/')
    : to;
  return { from, to: target, relative: isRelative, typeOnly };
}
