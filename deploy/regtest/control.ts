import { randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { z } from 'zod';

/** What a running network can be asked from another terminal. */
export interface ControlActions {
  status(): Promise<object>;
  mine(blocks: number): Promise<object>;
  /** Answers, and then ends. */
  stop(): Promise<object>;
}

/** Another network runs in the same folder. */
export interface ControlClient {
  /** @throws Error with what went wrong there */
  ask(action: keyof ControlActions, blocks?: number): Promise<unknown>;
}

const FILE = 'control.json';
const fileSchema = z.object({ port: z.int(), token: z.string() });
const aliveSchema = z.object({ alive: z.literal(true) });
const MAX_BLOCKS = 1_000;
const TIMEOUT_MS = 120_000;

/** Listens on loopback; the token is in a file that only this user can read. */
export async function serveControl(dir: string, actions: ControlActions): Promise<{ close(): void }> {
  const token = randomBytes(24).toString('hex');
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    const reply = (status: number, body: object): void => {
      response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
      response.end(JSON.stringify(body));
    };
    if (!matches(request.headers.authorization, token)) return reply(403, { error: 'wrong token' });
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    const work = run(actions, url?.pathname ?? '', Number(url?.searchParams.get('blocks') ?? 1));
    if (work === undefined) return reply(404, { error: 'unknown action' });
    work.then(
      (body) => reply(200, body),
      (error: unknown) => reply(500, { error: error instanceof Error ? error.message : String(error) }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const file = path.join(dir, FILE);
  writeFileSync(file, JSON.stringify({ port, token }), { mode: 0o600 });
  return {
    close() {
      rmSync(file, { force: true });
      server.close();
    },
  };
}

/** The network that runs in a folder; `undefined` when none answers there. */
export async function findControl(dir: string): Promise<ControlClient | undefined> {
  const known = readFile(dir);
  if (known === undefined) return undefined;
  const client: ControlClient = {
    async ask(action, blocks) {
      const query = blocks === undefined ? '' : `?blocks=${blocks}`;
      const response = await fetch(`http://127.0.0.1:${known.port}/${action}${query}`, {
        headers: { Authorization: `Bearer ${known.token}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const body: unknown = await response.json();
      if (response.ok) return body;
      throw new Error(
        z.object({ error: z.string() }).safeParse(body).data?.error ?? `HTTP ${response.status}`,
      );
    },
  };
  return (await isAlive(known)) ? client : undefined;
}

/** One that stops has nothing else to say any more. Another program may have the port by now. */
async function isAlive({ port, token }: z.infer<typeof fileSchema>): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/alive`, {
      headers: { Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return aliveSchema.safeParse(await response.json()).success;
  } catch {
    return false;
  }
}

function run(actions: ControlActions, action: string, blocks: number): Promise<object> | undefined {
  if (action === '/alive') return Promise.resolve({ alive: true });
  if (action === '/status') return actions.status();
  if (action === '/stop') return actions.stop();
  if (action !== '/mine' || !Number.isInteger(blocks) || blocks < 1 || blocks > MAX_BLOCKS) return undefined;
  return actions.mine(blocks);
}

function readFile(dir: string): z.infer<typeof fileSchema> | undefined {
  try {
    return fileSchema.parse(JSON.parse(readFileSync(path.join(dir, FILE), 'utf8')));
  } catch {
    return undefined;
  }
}

function matches(header: string | undefined, token: string): boolean {
  const [given, wanted] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${token}`)];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
