import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import OpenAI, { APIError } from 'openai';
import { compileModelRates, type PresetTerms, USAGE_DEFAULTS } from '../../gateway/meter/usage/index.ts';
import { type Msat, msat } from '../../node/msat.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, type TestGateway } from '../support/gateway.ts';
import { openScene, type Upstream } from './scene.ts';
import { metricOf, settled } from './streams-scene.ts';

/* The official client, as it comes: it knows a base URL and an API key. Input costs 1 sat/1k, output 3 sat/1k: 1 and 3 msat a token. */

const PATH = '/v1/chat/completions';
const rate = (amountMsat: number): { amountMsat: Msat; per: number } => ({
  amountMsat: msat(amountMsat),
  per: 1,
});

const TERMS: PresetTerms = {
  kind: 'preset',
  preset: 'openai',
  unitName: 'tokens',
  models: compileModelRates({ 'gpt-test': { input: rate(1), output: rate(3) } }),
  bound: 'rewrite',
  capUnits: 1_000,
  estimateUnits: 500,
  inputBytesPerUnit: USAGE_DEFAULTS.inputBytesPerUnit,
  referenceUnits: USAGE_DEFAULTS.referenceUnits,
  maxRequestBytes: 10_000,
};

/** What these tests look at of a request. */
interface Body {
  readonly model: string;
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly stream_options?: { readonly include_usage?: boolean };
}

type Answer = (body: Body, res: ServerResponse, req: IncomingMessage) => void;

interface Shop {
  readonly gateway: TestGateway;
  readonly upstream: Upstream;
  /** An `Authorization: L402` value, for the account's sake. */
  readonly credential: string;
  readonly client: OpenAI;
  answer: Answer;
  /** The body of the latest request, as the upstream got it. */
  asked(): Body;
  clientWith(apiKey: string): OpenAI;
}

async function openShop(t: TestContext, depositMsat = 10_000): Promise<Shop> {
  const scene = openScene(t);
  const shop = { answer: complete(12, 5) };
  const upstream = await scene.upstream((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => shop.answer(JSON.parse(Buffer.concat(chunks).toString()), res, req));
  });
  const gateway = await scene.gateway([
    {
      name: 'llm',
      path: '/v1/*',
      price: '3 sat/1k tokens',
      upstream: upstream.origin,
      metering: { depositMsat: msat(depositMsat), usage: TERMS, holdMs: 300, sliceMs: 200 },
    },
  ]);
  const { macaroon, invoice } = await askChallenge(gateway.url + PATH, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-test', messages: [], max_tokens: 16 }),
  });
  const key = `${macaroon}:${await gateway.pay(invoice)}`;
  const clientWith = (apiKey: string): OpenAI =>
    new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
  return Object.assign(shop, {
    gateway,
    upstream,
    credential: `L402 ${key}`,
    client: clientWith(key),
    clientWith,
    asked: () => JSON.parse(upstream.seen.at(-1)?.body ?? '{}'),
  });
}

function complete(prompt: number, completion: number, content = 'hello'): Answer {
  return (body, res) => {
    res.writeHead(200, { 'Content-Type': 'application/json' }).end(
      JSON.stringify({
        id: 'c',
        object: 'chat.completion',
        created: 1,
        model: body.model,
        choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
        usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
      }),
    );
  };
}

const WORDS = ['one ', 'two ', 'three'];

function piece(model: unknown, rest: object): string {
  return `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model, ...rest })}\n\n`;
}

const word = (content: string) => ({
  choices: [
    {
      index: 0,
      delta: { role: 'assistant', content },
      finish_reason: content === WORDS.at(-1) ? 'stop' : null,
    },
  ],
});

/** Streams as the API does: the usage comes on a chunk without choices, and only when it was asked for. */
const streamed: Answer = (body, res) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (const content of WORDS) res.write(piece(body.model, word(content)));
  if (body.stream_options?.include_usage === true) {
    const usage = { prompt_tokens: 20, completion_tokens: 30, total_tokens: 50 };
    res.write(piece(body.model, { choices: [], usage }));
  }
  res.end('data: [DONE]\n\n');
};

const MESSAGES = [{ role: 'user' as const, content: 'Say hello.' }];
const CHAT = { model: 'gpt-test', messages: MESSAGES, max_tokens: 100 };

async function spent({ gateway, credential }: Shop): Promise<number> {
  return (await settled(gateway.store, credential)).spentMsat;
}

test('a chat is billed by the tokens of its answer, and the upstream gets neither the key nor a changed request', async (t) => {
  const shop = await openShop(t);
  const answer = await shop.client.chat.completions.create(CHAT);
  assert.equal(answer.choices[0]?.message.content, 'hello');
  assert.equal(answer.usage?.total_tokens, 17);
  assert.equal(await spent(shop), 12 * 1 + 5 * 3);
  assert.deepEqual(shop.asked(), CHAT);
  assert.equal(shop.upstream.seen[0]?.headers.authorization, undefined);
});

test('a stream without include_usage: it is asked for, billed, and its chunk is not seen', async (t) => {
  const shop = await openShop(t);
  shop.answer = streamed;
  const stream = await shop.client.chat.completions.create({ ...CHAT, stream: true });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.deepEqual(
    chunks.map(({ choices }) => choices[0]?.delta.content),
    WORDS,
  );
  assert.ok(chunks.every(({ usage }) => usage === undefined || usage === null));
  assert.deepEqual(shop.asked().stream_options, { include_usage: true });
  assert.equal(await spent(shop), 20 * 1 + 30 * 3);
});

test('a stream with include_usage keeps its chunk', async (t) => {
  const shop = await openShop(t);
  shop.answer = streamed;
  const stream = await shop.client.chat.completions.create({
    ...CHAT,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(chunks.length, WORDS.length + 1);
  assert.equal(chunks.at(-1)?.usage?.total_tokens, 50);
  assert.equal(await spent(shop), 110);
});

test('the client’s stream helper reads a metered stream to its end', async (t) => {
  const shop = await openShop(t);
  shop.answer = streamed;
  const final = await shop.client.chat.completions.stream(CHAT).finalChatCompletion();
  assert.equal(final.choices[0]?.message.content, WORDS.join(''));
  assert.equal(await spent(shop), 110);
});

test('an unknown model is a 404 before anybody pays, with a key and without', async (t) => {
  const shop = await openShop(t);
  for (const client of [shop.client, shop.clientWith('sk-nothing')]) {
    await assert.rejects(client.chat.completions.create({ ...CHAT, model: 'gpt-9' }), (error) => {
      assert.ok(error instanceof APIError);
      assert.equal(error.status, 404);
      assert.equal(error.code, 'unknown-model');
      return true;
    });
  }
  assert.equal(shop.upstream.seen.length, 0);
});

test('a key that does not pay is a 402 that the client shows, with an invoice for what this request needs', async (t) => {
  const shop = await openShop(t);
  await assert.rejects(
    shop.clientWith('sk-nothing').chat.completions.create({ ...CHAT, max_tokens: 900 }),
    (error) => error instanceof APIError && error.status === 402,
  );
  assert.equal(shop.upstream.seen.length, 0);
});

test('max_tokens is lowered to what the balance buys, and set where there is none', async (t) => {
  const shop = await openShop(t, 2_000);
  await shop.client.chat.completions.create({ ...CHAT, max_tokens: 900 });
  const lowered = shop.asked().max_tokens;
  assert.ok(typeof lowered === 'number' && lowered < 640 && lowered > 500, String(lowered));
  assert.equal(await spent(shop), 27);
  await shop.client.chat.completions.create({ model: 'gpt-test', messages: MESSAGES });
  assert.equal(shop.asked().max_completion_tokens, 500, 'the operator’s estimate');
  shop.answer = complete(10, 600);
  await shop.client.chat.completions.create({ ...CHAT, max_tokens: 600 });
  assert.equal((await settled(shop.gateway.store, shop.credential)).balanceMsat, 2_000 - 27 - 27 - 1_810);
  await assert.rejects(
    shop.client.chat.completions.create(CHAT),
    (error) => error instanceof APIError && error.status === 402,
  );
  assert.equal(shop.upstream.seen.length, 3);
});

test('an answer that is an error is free, also one in the middle of a stream', async (t) => {
  const shop = await openShop(t);
  for (const status of [400, 429, 500]) {
    shop.answer = (_body, res) =>
      res
        .writeHead(status, { 'Content-Type': 'application/json' })
        .end('{"error":{"message":"no","code":"x"}}');
    await assert.rejects(
      shop.client.chat.completions.create(CHAT),
      (error) => error instanceof APIError && error.status === status,
    );
  }
  shop.answer = (body, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    res.write(piece(body.model, word('one ')));
    res.end('data: {"error":{"message":"overloaded","type":"server_error"}}\n\n');
  };
  await assert.rejects(async () => {
    for await (const _ of await shop.client.chat.completions.create({ ...CHAT, stream: true }));
  });
  assert.equal(await spent(shop), 0);
});

test('a stream that its client abandons is billed what was produced by then', async (t) => {
  const shop = await openShop(t);
  const gone = Promise.withResolvers<void>();
  shop.answer = (body, res) => {
    res.once('close', () => gone.resolve());
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (let n = 0; n < 10; n += 1) res.write(piece(body.model, word('eight ch')));
  };
  const stream = await shop.client.chat.completions.create({ ...CHAT, stream: true });
  let read = 0;
  for await (const _ of stream) {
    read += 1;
    if (read === 10) break;
  }
  await gone.promise;
  const cost = await eventually(
    () => spent(shop),
    (msats) => msats > 0,
  );
  // Ten pieces of eight bytes are about twenty tokens of output; input is estimated by the request.
  assert.ok(cost >= 60 && cost <= 60 + 100, String(cost));
  assert.equal(
    await metricOf(shop.gateway, 'sluice_usage_reports_total{service="llm",source="estimated"}'),
    1,
  );
});

test('an answer without a report is billed by what was read of it', async (t) => {
  const shop = await openShop(t);
  shop.answer = (body, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const content of WORDS) res.write(piece(body.model, word(content)));
    res.end('data: [DONE]\n\n');
  };
  for await (const _ of await shop.client.chat.completions.create({ ...CHAT, stream: true }));
  const cost = await spent(shop);
  assert.ok(cost > 0 && cost < 200, String(cost));
});

test('an absurd report is held to the cap, and counted', async (t) => {
  const shop = await openShop(t, 50_000);
  shop.answer = complete(5_000_000, 7);
  await shop.client.chat.completions.create(CHAT);
  assert.equal(await spent(shop), 1_000 + 21);
  assert.equal(await metricOf(shop.gateway, 'sluice_usage_reports_total{service="llm",source="capped"}'), 1);
});

test('several chats at once on one key never take more than there is', async (t) => {
  const shop = await openShop(t, 2_000);
  let tokens = 0;
  // As an upstream does it: never more than it may.
  shop.answer = (body, res, req) => {
    const completion = Math.min(100, body.max_tokens ?? 0);
    tokens += completion;
    complete(10, completion)(body, res, req);
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, () => shop.client.chat.completions.create(CHAT)),
  );
  const served = outcomes.filter(({ status }) => status === 'fulfilled').length;
  assert.ok(served >= 1 && served < 12, String(served));
  assert.equal(shop.upstream.seen.length, served);
  assert.equal(await spent(shop), served * 10 + tokens * 3);
});
