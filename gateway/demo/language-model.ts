import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CHAPTERS } from './content.ts';
import { type DemoRequest, type DemoRoute, sendJson } from './route.ts';

/** The one model of the demo. */
export const MODEL = 'demo-small';

const MAX_BODY_BYTES = 256 * 1024;
const MAX_TOKENS = 2_000;
/** Until a request names a bound of its own. */
const DEFAULT_TOKENS = 120;

/**
 * `/llm/v1/models` and `/llm/v1/chat/completions`: the wire form of OpenAI's API, with a model that recites. Its tokens are words, and
 * `usage` counts exactly what was read and said.
 * @param tokenMs - between two words of a stream
 */
export function languageModelRoutes(tokenMs: number): readonly DemoRoute[] {
  return [
    {
      path: '/llm/v1/models',
      serve: ({ response }) =>
        sendJson(response, 200, {
          object: 'list',
          data: [{ id: MODEL, object: 'model', created: 1_700_000_000, owned_by: 'sluice-demo' }],
        }),
    },
    {
      path: '/llm/v1/chat/completions',
      serve: (request) => void complete(request, tokenMs),
      readsBody: true,
    },
  ];
}

/** What a request asks of the model. */
interface Task {
  readonly prompt: readonly string[];
  readonly answer: readonly string[];
  readonly finishReason: 'stop' | 'length';
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** A request that makes no sense, in the words of OpenAI's API. */
class RequestError extends Error {
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: number, message: string, param: string | null = null, code: string | null = null) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }
}

async function complete({ request, response }: DemoRequest, tokenMs: number): Promise<void> {
  try {
    if (request.method !== 'POST') {
      request.resume();
      throw new RequestError(405, 'Send a POST.');
    }
    const task = readTask(await readJson(request));
    const head = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: MODEL };
    if (task.stream) await streamAnswer(response, task, head, tokenMs);
    else sendJson(response, 200, { ...head, object: 'chat.completion', ...wholeAnswer(task) });
  } catch (error) {
    if (!(error instanceof RequestError) || response.headersSent) {
      response.destroy();
      return;
    }
    const { status, message, param, code } = error;
    sendJson(response, status, { error: { message, type: 'invalid_request_error', param, code } });
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length <= MAX_BODY_BYTES) chunks.push(bytes);
  }
  if (length > MAX_BODY_BYTES) throw new RequestError(413, `The body has more than ${MAX_BODY_BYTES} bytes.`);
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new RequestError(400, 'The body is not JSON.');
  }
}

function readTask(body: unknown): Task {
  const model = field(body, 'model');
  if (model !== MODEL) {
    throw new RequestError(404, `There is no such model here; ask for ${MODEL}.`, 'model', 'model_not_found');
  }
  const messages = field(body, 'messages');
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new RequestError(400, '`messages` must be an array with at least one message.', 'messages');
  }
  const texts = messages.map((message) => textOf(field(message, 'content')));
  const prompt = texts.flatMap(toTokens);
  const bound = readBound(body);
  const full = toTokens(recite(texts.at(-1) ?? ''));
  const length = Math.min(full.length, bound);
  return {
    prompt,
    answer: full.slice(0, length),
    finishReason: length < full.length ? 'length' : 'stop',
    stream: field(body, 'stream') === true,
    includeUsage: field(field(body, 'stream_options'), 'include_usage') === true,
  };
}

function readBound(body: unknown): number {
  const bound = field(body, 'max_completion_tokens') ?? field(body, 'max_tokens') ?? DEFAULT_TOKENS;
  if (typeof bound === 'number' && Number.isSafeInteger(bound) && bound >= 1)
    return Math.min(bound, MAX_TOKENS);
  throw new RequestError(400, '`max_tokens` must be a whole number above 0.', 'max_tokens');
}

/** A message is a text, or parts of which some are texts. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part) => String(field(part, 'text') ?? '')).join(' ');
}

/** The model knows three poems by heart. */
function recite(question: string): string {
  const chapter = CHAPTERS[question.length % CHAPTERS.length];
  return `You said: "${question.trim().slice(0, 200)}". ${chapter?.title ?? ''}\n\n${chapter?.text ?? ''}`;
}

/** Words with the space before them: put together again, they are the text. */
function toTokens(text: string): readonly string[] {
  return text.match(/\s*\S+/g) ?? [];
}

function usageOf({ prompt, answer }: Task): object {
  const said = answer.length;
  return { prompt_tokens: prompt.length, completion_tokens: said, total_tokens: prompt.length + said };
}

function wholeAnswer(task: Task): object {
  const message = { role: 'assistant', content: task.answer.join(''), refusal: null };
  const choice = { index: 0, message, logprobs: null, finish_reason: task.finishReason };
  return { choices: [choice], usage: usageOf(task) };
}

async function streamAnswer(
  response: ServerResponse,
  task: Task,
  head: object,
  tokenMs: number,
): Promise<void> {
  response.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
  });
  const send = async (part: object): Promise<void> => {
    const chunk = {
      ...head,
      object: 'chat.completion.chunk',
      ...(task.includeUsage ? { usage: null } : {}),
      ...part,
    };
    await write(response, `data: ${JSON.stringify(chunk)}\n\n`);
  };
  const choice = (delta: object, finish: string | null): object => ({
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  });
  await send(choice({ role: 'assistant', content: '' }, null));
  for (const token of task.answer) {
    // Whoever is gone is not recited to.
    if (response.destroyed) return;
    await send(choice({ content: token }, null));
    await new Promise((resolve) => setTimeout(resolve, tokenMs));
  }
  await send(choice({}, task.finishReason));
  if (task.includeUsage) await send({ choices: [], usage: usageOf(task) });
  await write(response, 'data: [DONE]\n\n');
  response.end();
}

/** Waits for a reader that is slow; for one that is gone, not at all. */
function write(response: ServerResponse, text: string): Promise<void> {
  if (response.destroyed || response.write(text)) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
