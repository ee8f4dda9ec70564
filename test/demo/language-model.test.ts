import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { MODEL } from '../../gateway/demo/language-model.ts';
import { type DemoUpstream, startDemoUpstream } from '../../gateway/demo/upstream.ts';

let demo: DemoUpstream;
let openai: OpenAI;
before(async () => {
  demo = await startDemoUpstream({ tokenMs: 0 });
  openai = new OpenAI({ baseURL: `${demo.url}/llm/v1`, apiKey: 'none', maxRetries: 0 });
});
after(() => demo.close());

const QUESTION = { model: MODEL, messages: [{ role: 'user' as const, content: 'Shall I compare thee?' }] };

function words(text: string): number {
  return text.split(/\s+/).filter((word) => word !== '').length;
}

test('the official client is answered, and usage counts what was read and said', async () => {
  const answer = await openai.chat.completions.create(QUESTION);
  const text = answer.choices[0]?.message.content ?? '';
  assert.match(text, /^You said: "Shall I compare thee\?"\. Sonnet/);
  assert.equal(answer.choices[0]?.finish_reason, 'length');
  assert.deepEqual(answer.usage, {
    prompt_tokens: 4,
    completion_tokens: words(text),
    total_tokens: 4 + words(text),
  });
  assert.deepEqual(
    (await openai.models.list()).data.map(({ id }) => id),
    [MODEL],
  );
});

test('a stream says the same, and its usage only when it is asked for', async () => {
  const whole = await openai.chat.completions.create(QUESTION);
  const stream = await openai.chat.completions.create({
    ...QUESTION,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let usage: unknown;
  let finish: unknown;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0]?.message.content);
  assert.deepEqual([usage, finish], [whole.usage, 'length']);
  const plain = await openai.chat.completions.create({ ...QUESTION, stream: true });
  for await (const chunk of plain) assert.ok(!('usage' in chunk));
});

test('max_tokens bounds the answer, to the word', async () => {
  for (const bound of [{ max_tokens: 7 }, { max_completion_tokens: 7 }]) {
    const answer = await openai.chat.completions.create({ ...QUESTION, ...bound });
    assert.deepEqual([answer.usage?.completion_tokens, answer.choices[0]?.finish_reason], [7, 'length']);
  }
  const all = await openai.chat.completions.create({ ...QUESTION, max_tokens: 1_000 });
  assert.equal(all.choices[0]?.finish_reason, 'stop');
});

test('what makes no sense is refused in the words of the API', async () => {
  const refused = async (
    request: object,
    status: number,
    code: string | null,
    param: string | null,
  ): Promise<void> => {
    const response = await fetch(`${demo.url}/llm/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(request),
    });
    const { error } = await response.json();
    assert.deepEqual(
      [response.status, error.code, error.param, error.type],
      [status, code, param, 'invalid_request_error'],
    );
  };
  await refused({ ...QUESTION, model: 'gpt' }, 404, 'model_not_found', 'model');
  await refused({ model: MODEL, messages: [] }, 400, null, 'messages');
  await refused({ ...QUESTION, max_tokens: 0 }, 400, null, 'max_tokens');
  await refused({ padding: 'x'.repeat(300_000) }, 413, null, null);
  const broken = await fetch(`${demo.url}/llm/v1/chat/completions`, { method: 'POST', body: '{' });
  assert.equal(broken.status, 400);
  await broken.text();
  assert.equal((await fetch(`${demo.url}/llm/v1/chat/completions`)).status, 405);
});
