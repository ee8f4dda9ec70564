import { type Msat, maxMsat, ZERO_MSAT } from '../../../node/msat.ts';
import { flatValue, formOf } from './answer-head.ts';
import { anthropic } from './anthropic.ts';
import { DecodedCopy } from './decoded-copy.ts';
import { type Dialect, type Findings, noFindings, noteCount } from './dialect.ts';
import { JsonLines } from './json-lines.ts';
import { JsonRecord, type JsonView } from './json-record.ts';
import { ollama } from './ollama.ts';
import { openai, usageChunkVerdict } from './openai.ts';
import type { ExpectedUsage } from './plan-types.ts';
import { usageMsat } from './rates.ts';
import { readCountText } from './read-count.ts';
import { reportAt } from './report.ts';
import { SseEvents } from './sse-events.ts';
import { capUsage } from './usage.ts';
import { type AnswerFacts, billOf, firmUsage, type UsageBill } from './usage-bill.ts';
import type { UsageTerms } from './usage-terms.ts';

/** What an answer comes to while it is under way. */
export interface RunningUsage {
  /** What would be billed if it ended now. It may fall when the upstream's own count comes; keep so much reserved, don't spend it. */
  readonly costMsat: Msat;
  /** What the upstream itself has reported so far. It never falls, so it may be spent. */
  readonly firmMsat: Msat;
}

/** Reads a body in one of the forms. */
interface BodyReader {
  /** @returns the bytes that go on */
  write(bytes: Buffer): Buffer;
  end(): Buffer;
}

const NOTHING = Buffer.alloc(0);
const DIALECTS = { openai, anthropic, ollama };

/**
 * Reads one answer for what it used, as it passes: `head`, then `chunk` for each chunk, `flush` and `trailers` when it is complete, and
 * `end` however it ended. Memory is bounded (about 100 KB), whatever the upstream sends; nothing in it throws.
 */
export class UsageReader {
  readonly #expected: ExpectedUsage;
  readonly #dialect: Dialect | undefined;
  readonly #findings: Findings = noFindings();
  #facts: { -readonly [K in keyof AnswerFacts]: AnswerFacts[K] } = {
    refused: false,
    form: 'head',
    bodyBytes: 0,
    unreadable: false,
  };
  #body: BodyReader | undefined;
  /** A compressed body: its decoder, and the reader of what comes out. */
  #copy: DecodedCopy | undefined;
  #copied: BodyReader | undefined;
  #firmMsat: Msat = ZERO_MSAT;
  #flushed = false;

  /** @param expected - from the plan of the request */
  constructor(expected: ExpectedUsage) {
    this.#expected = expected;
    this.#dialect = dialectOf(expected.terms);
  }

  /** The head of the final response (no 1xx). Headers flat: name, value, name, value. */
  head(status: number, headers: readonly string[]): void {
    const { terms } = this.#expected;
    const success = status >= 200 && status < 300;
    this.#facts.refused = status >= 400 || (terms.kind === 'preset' && !success);
    if (this.#facts.refused) return;
    if (terms.kind === 'report' && terms.place.kind === 'header')
      this.#note(flatValue(headers, terms.place.name));
    if (this.#dialect === undefined) return;
    const encoding = flatValue(headers, 'content-encoding') ?? 'identity';
    const isPlain = ['identity', ''].includes(encoding.trim().toLowerCase());
    const form = formOf(this.#expected, flatValue(headers, 'content-type'));
    this.#facts.form = form;
    // With a length announced no byte may be missing.
    const filters =
      this.#expected.removesUsageChunk && isPlain && flatValue(headers, 'content-length') === undefined;
    const body = bodyReader(form, this.#dialect, this.#findings, filters ? 'filter' : 'watch');
    if (isPlain) {
      this.#body = body;
      return;
    }
    this.#copy = DecodedCopy.open(encoding, (bytes) => {
      this.#facts.bodyBytes += bytes.length;
      body.write(bytes);
    });
    this.#copied = body;
    this.#facts.unreadable = this.#copy === undefined;
  }

  /** The next bytes of the body. @returns the bytes to hand on in their place: the same, or without a chunk that nobody asked for */
  chunk(bytes: Buffer): Buffer {
    if (this.#body !== undefined) {
      this.#facts.bodyBytes += bytes.length;
      return this.#body.write(bytes);
    }
    this.#copy?.write(bytes);
    return bytes;
  }

  /** The body is complete. @returns bytes that were held back and are to be handed on now */
  flush(): Buffer {
    if (this.#flushed) return NOTHING;
    this.#flushed = true;
    return this.#body?.end() ?? NOTHING;
  }

  /** The trailers of a complete response, flat. */
  trailers(trailers: readonly string[]): void {
    const { terms } = this.#expected;
    if (terms.kind === 'report' && terms.place.kind === 'trailer')
      this.#note(flatValue(trailers, terms.place.name));
  }

  /** What it comes to by now. Cheap; compressed answers lag behind. */
  running(): RunningUsage {
    const { costMsat, source } = billOf(this.#expected, this.#findings, this.#facts);
    const firm = capUsage(firmUsage(this.#findings), this.#expected.terms.capUnits);
    if (source !== 'free') this.#firmMsat = maxMsat(this.#firmMsat, usageMsat(this.#expected.rates, firm));
    return { costMsat, firmMsat: this.#firmMsat };
  }

  /**
   * The answer is over, whole or not: what it is billed. (An upstream that failed before its head is billed nothing, without asking here.)
   * Resolves at once unless the answer was compressed.
   */
  async end(): Promise<UsageBill> {
    this.flush();
    if (this.#copy !== undefined) {
      await this.#copy.end();
      this.#copied?.end();
      this.#facts.unreadable ||= this.#copy.failed;
    }
    return billOf(this.#expected, this.#findings, this.#facts);
  }

  #note(text: string | undefined): void {
    noteCount(this.#findings, 'output', readCountText(text));
  }
}

function dialectOf(terms: UsageTerms): Dialect | undefined {
  if (terms.kind === 'preset') return DIALECTS[terms.preset];
  return terms.place.kind === 'json' || terms.place.kind === 'sse' ? reportAt(terms.place.path) : undefined;
}

function bodyReader(
  form: ExpectedUsage['form'],
  dialect: Dialect,
  findings: Findings,
  mode: 'watch' | 'filter',
): BodyReader {
  const read = (view: JsonView) => dialect.read(view, findings);
  if (form === 'sse') {
    return new SseEvents({
      paths: dialect.paths,
      mode,
      onEvent: (view) => {
        read(view);
        return mode === 'filter' ? usageChunkVerdict(view) : 'keep';
      },
    });
  }
  if (form === 'lines') return watching(new JsonLines(dialect.paths, read));
  const record = new JsonRecord(dialect.paths);
  return watching({
    write: (bytes) => record.write(bytes),
    end: () => {
      const view = record.finish();
      if (view !== undefined) read(view);
    },
  });
}

function watching(reader: { write(bytes: Buffer): void; end(): void }): BodyReader {
  return {
    write(bytes) {
      reader.write(bytes);
      return bytes;
    },
    end() {
      reader.end();
      return NOTHING;
    },
  };
}
