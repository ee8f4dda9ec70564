import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { extname } from 'node:path';

/** The client library as a browser loads it: JavaScript modules by the path that they are served at. */
export interface BrowserModules {
  /** Path of the module that `sluice/client` means. */
  readonly entry: string;
  /** What bare names mean, for an import map: name to path. */
  readonly imports: Readonly<Record<string, string>>;
  /** JavaScript by path. */
  readonly sources: ReadonlyMap<string, string>;
}

/** The top of the source tree, or of the built one. */
const ROOT = new URL('../../', import.meta.url);
const MAX_MODULES = 200;
/** Imports and exports of one statement; types have been taken out before. */
const IMPORT = /^(?:import|export)\b[^;'"]*?\bfrom\s*'([^']+)'|^import\s*'([^']+)'/gm;

/**
 * Loads every module that the client's core imports, and nothing else: what a page may ask for is decided here and not by the path
 * that it asks for. From sources the types are taken out; a built tree has none.
 */
export async function loadBrowserModules(): Promise<BrowserModules> {
  const extension = existsSync(new URL('client/index.ts', ROOT)) ? 'ts' : 'js';
  const entry = `client/index.${extension}`;
  const sources = new Map<string, string>();
  const open = [entry];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (sources.has(path)) continue;
    if (sources.size >= MAX_MODULES) throw new Error('The client has more modules than a page should load.');
    const source = await loadSource(new URL(path, ROOT));
    sources.set(path, source);
    for (const name of importsOf(source)) {
      // The client's core needs no package, and a page has none.
      if (!name.startsWith('.')) throw new Error(`A page can not load ${name}, which ${path} imports.`);
      open.push(new URL(name, new URL(path, 'file:///')).pathname.slice(1));
    }
  }
  return { entry, imports: { 'sluice/client': entry }, sources };
}

async function loadSource(url: URL): Promise<string> {
  const text = await readFile(url, 'utf8');
  return extname(url.pathname) === '.ts' ? stripTypeScriptTypes(text) : text;
}

function importsOf(source: string): readonly string[] {
  return [...source.matchAll(IMPORT)].map(([, from, alone]) => from ?? alone ?? '');
}
