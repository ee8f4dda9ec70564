import { type Dialect, type Findings, isError, noteCount, unitsOfText } from './dialect.ts';
import { member } from './json-path.ts';
import type { JsonView } from './json-record.ts';
import { type Count, readCount } from './read-count.ts';
import type { EventVerdict } from './sse-events.ts';

/*
 * OpenAI's forms, from its API reference: chat completions and completions (`usage` with prompt_tokens and completion_tokens, in a stream
 * on a last chunk with empty `choices` when `stream_options.include_usage` was asked), embeddings (`usage.prompt_tokens`), and responses
 * (`usage` with input_tokens and output_tokens, in a stream inside the `response` of the last event). Cached tokens are a part of
 * the input tokens; reasoning tokens are a part of the output tokens.
 */

const USAGE = ['usage'];
const RESPONSE_USAGE = ['response', 'usage'];
const ERROR = ['error'];
const RESPONSE_ERROR = ['response', 'error'];
const TYPE = ['type'];

/** Reads OpenAI's answers and those of everything that speaks like it. */
export const openai: Dialect = {
  paths: [USAGE, RESPONSE_USAGE, ERROR, RESPONSE_ERROR, TYPE],
  read(view, findings) {
    const type = view.at(TYPE);
    if (type === 'error' || isError(view.at(ERROR)) || isError(view.at(RESPONSE_ERROR))) {
      findings.failed = true;
      return;
    }
    findings.produced += produced(view.document, type);
    const usage = view.at(USAGE) ?? view.at(RESPONSE_USAGE);
    if (usage !== undefined && usage !== null) readUsage(usage, findings);
  },
};

function readUsage(usage: unknown, findings: Findings): void {
  const input = readCount(either(usage, 'prompt_tokens', 'input_tokens'));
  const output = readCount(either(usage, 'completion_tokens', 'output_tokens'));
  const total = readCount(member(usage, 'total_tokens'));
  if (typeof usage !== 'object' || input.kind === 'malformed' || total.kind === 'malformed')
    findings.malformed = true;
  if (input.kind === 'count') noteInput(findings, input.units, cachedTokens(usage));
  if (output.kind !== 'absent') noteCount(findings, 'output', output);
  // Embeddings have no output.
  else if (input.kind === 'count') findings.output ??= 0;
  // A total alone can't be told apart: it counts as output.
  else if (input.kind === 'absent' && total.kind === 'count') {
    findings.input ??= 0;
    noteCount(findings, 'output', total);
  }
}

/** Cached tokens are a part of the input tokens, whatever the upstream says. */
function noteInput(findings: Findings, inputUnits: number, cached: Count): void {
  if (cached.kind === 'malformed') findings.malformed = true;
  const cachedUnits = cached.kind === 'count' ? Math.min(cached.units, inputUnits) : 0;
  if (inputUnits < (findings.input ?? 0) + (findings.cachedInput ?? 0)) return;
  findings.input = inputUnits - cachedUnits;
  findings.cachedInput = cachedUnits;
}

function cachedTokens(usage: unknown): Count {
  const details = either(usage, 'prompt_tokens_details', 'input_tokens_details');
  return readCount(member(details, 'cached_tokens'));
}

function either(object: unknown, name: string, otherName: string): unknown {
  return member(object, name) ?? member(object, otherName);
}

/** Units of the content that one event of a stream carries; 0 for anything else. */
function produced(document: unknown, type: unknown): number {
  if (typeof type === 'string') {
    return type.startsWith('response.') && type.endsWith('.delta')
      ? unitsOfText(member(document, 'delta'))
      : 0;
  }
  const choices = member(document, 'choices');
  if (!Array.isArray(choices)) return 0;
  let units = 0;
  for (const choice of choices) {
    const delta = member(choice, 'delta');
    units += delta === undefined ? unitsOfText(member(choice, 'text')) : unitsOfDelta(delta);
  }
  return units;
}

function unitsOfDelta(delta: unknown): number {
  const texts = ['content', 'refusal', 'reasoning', 'reasoning_content'].map((name) => member(delta, name));
  const calls = member(delta, 'tool_calls');
  if (Array.isArray(calls)) {
    for (const call of calls) {
      const made = member(call, 'function');
      texts.push(member(made, 'name'), member(made, 'arguments'));
    }
  }
  const called = member(delta, 'function_call');
  return unitsOfText(...texts, member(called, 'name'), member(called, 'arguments'));
}

/**
 * The chunk that `include_usage` adds and nobody else sends: empty `choices` and a `usage` object. (Azure's first chunk has empty
 * `choices` too, but no usage.) A chunk with an error stays.
 */
export function usageChunkVerdict(view: JsonView): EventVerdict {
  const choices = member(view.document, 'choices');
  const usage = member(view.document, 'usage');
  const isUsageChunk =
    Array.isArray(choices) &&
    choices.length === 0 &&
    typeof usage === 'object' &&
    usage !== null &&
    !isError(view.at(ERROR));
  return isUsageChunk ? 'remove' : 'keep';
}
