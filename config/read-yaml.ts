import { isMap, isNode, isPair, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { KeyPath } from './problem.ts';

/** Where something stands in a file, both from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A YAML text, read. */
export interface YamlText {
  readonly value: unknown;
  /** Where a value (or its key) stands; the nearest thing around it when it does not exist. */
  locate(path: KeyPath, at?: 'key'): Position;
  /** A scalar as it was written; `undefined` for anything else. */
  rawText(path: KeyPath): string | undefined;
}

/** Why a text is not the YAML that we read. */
export interface YamlProblem extends Position {
  readonly problem: string;
}

/** One mistake makes the parser stumble over what follows. */
const MAX_FAULTS = 3;
const TOO_DEEP: YamlProblem = { line: 1, column: 1, problem: 'is nested too deeply' };

/**
 * Reads YAML 1.2: one document, no duplicate keys, no unknown tags, a bounded number of aliases.
 * @returns the text, or everything that is wrong with it.
 */
export function readYaml(text: string): YamlText | readonly YamlProblem[] {
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: true,
      stringKeys: true,
    });
    const faults = [...document.errors, ...document.warnings];
    if (faults.some(({ message }) => message.includes('call stack'))) return [TOO_DEEP];
    if (faults.length > 0) {
      const told = faults.slice(0, MAX_FAULTS);
      return told.map(({ message, pos }) => ({ ...position(lines, pos[0]), problem: firstLine(message) }));
    }
    const top: unknown = document.contents;
    return {
      value: document.toJS({ maxAliasCount: 100 }),
      locate: (path, at) => position(lines, offsetOf(top, path, at)),
      rawText: (path) => {
        const node = nodeAt(top, path);
        return isScalar(node) ? (node.source ?? undefined) : undefined;
      },
    };
  } catch (error) {
    // Thousands of nested brackets exhaust the stack, and a flood of aliases is refused by throwing.
    if (error instanceof RangeError) return [TOO_DEEP];
    return [{ line: 1, column: 1, problem: 'can not be read as YAML' }];
  }
}

/** The parser's messages go on with what was written, which may be a secret: what is wrong comes before it. */
function firstLine(message: string): string {
  return (message.split('\n', 1)[0] ?? '').replace(/:? ".*$/, '').slice(0, 200);
}

function position(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function nodeAt(top: unknown, path: KeyPath): Node | undefined {
  let node = top;
  for (const step of path) {
    if (!isNode(node) || !('getIn' in node) || typeof node.getIn !== 'function') return undefined;
    node = node.getIn([step], true);
  }
  return isNode(node) ? node : undefined;
}

function offsetOf(top: unknown, path: KeyPath, at: 'key' | undefined): number {
  const node = at === 'key' ? undefined : nodeAt(top, path);
  if (node?.range) return node.range[0];
  const parent = nodeAt(top, path.slice(0, -1));
  if (isMap(parent)) {
    const pair = parent.items.find(
      (item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1),
    );
    if (pair !== undefined && isNode(pair.key) && pair.key.range) return pair.key.range[0];
  }
  if (path.length === 0) return 0;
  return offsetOf(top, path.slice(0, -1), undefined);
}
