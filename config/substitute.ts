import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Finding, KeyPath } from './problem.ts';
import { formatKey } from './problem.ts';

/** Where `${…}` takes its values from. */
export interface SubstitutionSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative files are under it. */
  readonly baseDir: string;
}

/** A tree with its references replaced. */
export interface Substituted {
  readonly value: unknown;
  readonly findings: readonly Finding[];
  /** Keys (as {@link formatKey} writes them) whose value came from outside: never shown in a message. */
  readonly replaced: ReadonlySet<string>;
  /** Files that were read, absolute. */
  readonly files: readonly string[];
}

const MAX_SECRET_BYTES = 64 * 1024;
const MAX_DEPTH = 50;

/**
 * Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` in string values; `$${` stands for a plain `${`. It works on the parsed
 * tree, so that what a variable holds is only ever text: it can't add keys or entries. What was put in is not searched again.
 */
export function substitute(value: unknown, sources: SubstitutionSources): Substituted {
  const findings: Finding[] = [];
  const replaced = new Set<string>();
  const files: string[] = [];

  const visit = (node: unknown, at: KeyPath): unknown => {
    if (typeof node === 'string') return node.includes('${') ? replaceIn(node, at) : node;
    if (at.length > MAX_DEPTH || typeof node !== 'object' || node === null) return node;
    if (Array.isArray(node)) return node.map((item, index) => visit(item, [...at, index]));
    return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, visit(item, [...at, key])]));
  };

  const replaceIn = (text: string, at: KeyPath): string => {
    const result = text.replaceAll(
      /\$\$\{|\$\{([^}]*)(\}?)/g,
      (whole, inner: string | undefined, closed: string) => {
        if (inner === undefined) return '${';
        replaced.add(formatKey(at));
        const outcome = closed === '}' ? lookUp(inner, sources, files) : UNCLOSED;
        if (typeof outcome === 'string') return outcome;
        findings.push({ path: at, ...outcome });
        return whole;
      },
    );
    return result;
  };

  return { value: visit(value, []), findings, replaced, files };
}

interface Missing {
  readonly problem: string;
  readonly remedy: string;
}

const UNCLOSED: Missing = {
  problem: 'opens a reference and does not close it',
  remedy: 'add the `}`, or write `$${` for a plain `${`',
};

function lookUp(inner: string, { env, baseDir }: SubstitutionSources, files: string[]): string | Missing {
  if (inner.startsWith('file:')) return readSecret(path.resolve(baseDir, inner.slice('file:'.length)), files);
  const parts = /^([A-Za-z_][A-Za-z0-9_]{0,127})(?::-(.*))?$/s.exec(inner);
  const name = parts?.[1];
  if (name === undefined) {
    return {
      problem: 'holds a reference of an unknown form',
      remedy: `write ${['NAME', 'NAME:-default', 'file:/path'].map((form) => `\`\${${form}}\``).join(', ')}, and \`$\${\` for a plain \`\${\``,
    };
  }
  const value = env[name];
  if (value !== undefined && value !== '') return value;
  return (
    parts?.[2] ?? {
      problem: `needs the environment variable ${name}, which is ${value === '' ? 'empty' : 'not set'}`,
      remedy: `set ${name}, or give a default: \`\${${name}:-…}\``,
    }
  );
}

/** The content of a small file, without the line break that editors put at its end. */
function readSecret(file: string, files: string[]): string | Missing {
  const remedy = 'name a readable text file with the value and nothing else';
  files.push(file);
  try {
    const stat = statSync(file);
    if (!stat.isFile()) return { problem: `reads ${file}, which is not a file`, remedy };
    if (stat.size > MAX_SECRET_BYTES) return { problem: `reads ${file}, which is larger than 64 KB`, remedy };
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return { problem: `reads ${file}, which can not be read (${code})`, remedy };
  }
}
