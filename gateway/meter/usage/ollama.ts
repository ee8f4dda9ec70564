import { type Dialect, type Findings, isError, note, unitsOfText } from './dialect.ts';
import { member } from './json-path.ts';
import type { JsonView } from './json-record.ts';

/*
 * Ollama's own API, from its documentation: /api/chat and /api/generate answer with a JSON object a line, or with one object when `stream` is
 * false; the last has `done: true` with prompt_eval_count and eval_count. /api/embed answers with one object that has
 * prompt_eval_count. A counter that is 0 is left out (a prompt that was still in its cache). An error is a text in `error`.
 */

const DONE = ['done'];
const INPUT = ['prompt_eval_count'];
const OUTPUT = ['eval_count'];
const ERROR = ['error'];
const REASON = ['done_reason'];

/** Reads the answers of Ollama's own API. */
export const ollama: Dialect = {
  paths: [DONE, INPUT, OUTPUT, ERROR, REASON],
  read(view, findings) {
    if (isError(view.at(ERROR))) {
      findings.failed = true;
      return;
    }
    findings.produced += produced(view.document);
    const done = view.at(DONE);
    note(findings, 'input', view.at(INPUT));
    note(findings, 'output', view.at(OUTPUT));
    if (done === true) endOfAnswer(view, findings);
    // An answer of /api/embed has no `done`, and no output.
    else if (done === undefined && findings.input !== undefined) findings.output ??= 0;
  },
};

function endOfAnswer(view: JsonView, findings: Findings): void {
  const [input, output, reason] = [view.at(INPUT), view.at(OUTPUT), view.at(REASON)];
  // A request without a prompt only loads the model or unloads it.
  const idle = reason === 'load' || reason === 'unload';
  if (input === undefined && (output !== undefined || idle)) findings.input ??= 0;
  if (output === undefined && (input !== undefined || idle) && findings.produced === 0) findings.output ??= 0;
}

function produced(document: unknown): number {
  const message = member(document, 'message');
  const calls = member(message, 'tool_calls');
  return unitsOfText(
    member(document, 'response'),
    member(document, 'thinking'),
    member(message, 'content'),
    member(message, 'thinking'),
    Array.isArray(calls) && calls.length > 0 ? JSON.stringify(calls) : undefined,
  );
}
