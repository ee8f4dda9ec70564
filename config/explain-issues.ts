import type { z } from 'zod';
import { nearestWord } from '../gateway/pricing/nearest.ts';
import { schemasAt } from './json-schema.ts';
import type { Finding, KeyPath } from './problem.ts';

const SEE_REFERENCE = 'see docs/reference/configuration.md';

type Issue = z.core.$ZodIssue;
type UnionIssue = Extract<Issue, { code: 'invalid_union' }>;

/** Turns what the schema refuses into words for the person who wrote it. Never repeats a value. */
export function explainIssues(issues: readonly Issue[], value: unknown): readonly Finding[] {
  return issues.flatMap((issue) => explainIssue(issue, [], value));
}

function explainIssue(issue: Issue, parent: KeyPath, value: unknown): readonly Finding[] {
  const path: KeyPath = [...parent, ...issue.path.filter((step) => typeof step !== 'symbol')];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(path, key));
    case 'invalid_union':
      return explainUnion(issue, path, value);
    case 'invalid_key':
      return issue.issues
        .flatMap((inner) => explainIssue(inner, path, value))
        .map((finding) => ({ ...finding, at: 'key' }));
    case 'invalid_value':
      return [oneOf(path, issue.values.map(String), value)];
    case 'invalid_type':
      return [wrongType(path, value)];
    case 'too_small':
      return [{ path, problem: 'is empty', remedy: exampleOf(path) ?? 'write at least one entry' }];
    case 'too_big':
      return [{ path, problem: 'has too many entries', remedy: `keep to ${issue.maximum}` }];
    case 'custom': {
      const { remedy, derived }: { remedy?: unknown; derived?: unknown } = issue.params ?? {};
      const text = typeof remedy === 'string' ? remedy : SEE_REFERENCE;
      return [{ path, problem: issue.message, remedy: text, derived: derived === true }];
    }
    default:
      return [{ path, problem: 'is not valid', remedy: exampleOf(path) ?? SEE_REFERENCE }];
  }
}

/** Of several allowed forms, the one that was meant is the one that got beyond the kind of the whole. */
function explainUnion(issue: UnionIssue, path: KeyPath, value: unknown): readonly Finding[] {
  if ('options' in issue && Array.isArray(issue.options))
    return [oneOf(path, issue.options.map(String), value)];
  const meant = issue.errors.find((errors) => errors.some((error) => !isAboutKind(error)));
  if (meant !== undefined) return meant.flatMap((error) => explainIssue(error, path, value));
  const words = issue.errors
    .flat()
    .flatMap((error) => (error.code === 'invalid_value' ? error.values.map(String) : []));
  const isWord = typeof valueAt(value, path) === 'string';
  return [isWord && words.length > 0 ? oneOf(path, words, value) : wrongType(path, value)];
}

function isAboutKind({ code, path }: Issue): boolean {
  return path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');
}

function unknownKey(path: KeyPath, key: string): Finding {
  const known = schemasAt(path).flatMap((schema) => Object.keys(schema.properties ?? {}));
  const near = nearestWord(key, known);
  const shown = key.length > 64 ? `${key.slice(0, 64)}…` : key;
  return {
    path: [...path, shown],
    at: 'key',
    problem: 'is not a known key',
    remedy:
      near === undefined ? `known here: ${[...new Set(known)].join(', ')}` : `did you mean \`${near}\`?`,
  };
}

function oneOf(path: KeyPath, options: readonly string[], value: unknown): Finding {
  const present = valueAt(value, path);
  if (present === undefined) return wrongType(path, value);
  const near = typeof present === 'string' ? nearestWord(present, options) : undefined;
  const list = options.map((option) => `\`${option}\``).join(', ');
  return { path, problem: `is not one of ${list}`, remedy: `write \`${near ?? options[0]}\`` };
}

function wrongType(path: KeyPath, value: unknown): Finding {
  const present = valueAt(value, path);
  const example = exampleOf(path);
  if (present === undefined) {
    const key = path.at(-1);
    return { path, problem: 'is missing', remedy: example ?? `add \`${key}:\`` };
  }
  if (typeof present === 'number' || typeof present === 'boolean') {
    return { path, problem: `is ${kindOf(present)} to YAML, not text`, remedy: 'put it in quotes' };
  }
  const kinds = schemasAt(path).flatMap(({ type }) => type ?? []);
  const wanted = [...new Set(kinds)].map((kind) => KINDS[kind] ?? kind);
  return {
    path,
    problem: `is ${kindOf(present)}${wanted.length > 0 ? `, not ${wanted.join(' or ')}` : ''}`,
    remedy: example ?? SEE_REFERENCE,
  };
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a group of keys',
};

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  return KINDS[typeof value] ?? 'something else';
}

/** `for example \`price: 10 sat\``, from the schema. */
function exampleOf(path: KeyPath): string | undefined {
  const schemas = schemasAt(path);
  const example =
    schemas.flatMap(({ examples }) => examples ?? [])[0] ??
    schemas.find((schema) => 'default' in schema)?.default;
  if (example === undefined) return undefined;
  const key = path.findLast((step) => typeof step === 'string');
  return `for example \`${key}: ${typeof example === 'string' ? example : JSON.stringify(example)}\``;
}

/** The value at a path; `undefined` when there is none. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  let node = value;
  for (const step of path) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, step)) return undefined;
    node = Reflect.get(node, step);
  }
  return node;
}
