import { type Dialect, type Findings, isError, note, unitsOfText } from './dialect.ts';
import { atPath, member } from './json-path.ts';

/*
 * Anthropic's Messages, from its API reference. `usage` has input_tokens (what came neither from the cache nor went into it),
 * cache_read_input_tokens, cache_creation_input_tokens and output_tokens. A stream begins with message_start, whose
 * message holds the input and a first output count; message_delta carries the cumulative totals; ping events say nothing; an error event has `error`.
 */

const USAGE = ['usage'];
const START_USAGE = ['message', 'usage'];
const ERROR = ['error'];
const TYPE = ['type'];
const DELTA = ['delta'];

/** Reads the answers of Anthropic's Messages API. */
export const anthropic: Dialect = {
  paths: [USAGE, START_USAGE, ERROR, TYPE],
  read(view, findings) {
    const type = view.at(TYPE);
    if (type === 'error' || isError(view.at(ERROR))) {
      findings.failed = true;
      return;
    }
    if (type === 'message_start') {
      readUsage(view.at(START_USAGE), findings);
      return;
    }
    if (type === 'content_block_delta') {
      const delta = atPath(view.document, DELTA);
      findings.produced += unitsOfText(
        member(delta, 'text'),
        member(delta, 'thinking'),
        member(delta, 'partial_json'),
      );
      return;
    }
    // Of the rest only message_delta and a whole message speak of usage.
    if (type !== undefined && type !== 'message_delta' && type !== 'message') return;
    readUsage(view.at(USAGE), findings);
  },
};

function readUsage(usage: unknown, findings: Findings): void {
  if (usage === undefined || usage === null) return;
  if (typeof usage !== 'object') findings.malformed = true;
  note(findings, 'input', member(usage, 'input_tokens'));
  note(findings, 'cachedInput', member(usage, 'cache_read_input_tokens'));
  note(findings, 'cacheWrite', member(usage, 'cache_creation_input_tokens'));
  note(findings, 'output', member(usage, 'output_tokens'));
}
