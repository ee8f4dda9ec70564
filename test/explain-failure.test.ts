import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { explainFailure } from '../gateway/explain-failure.ts';
import { folder } from './cli/operator.ts';

/** Why a server can't listen there; `undefined` when it does. */
function listen(server: Server, host: string, port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    server.once('error', resolve);
    server.listen(port, host, () => resolve(undefined));
  });
}

test('a port that is taken and an address of another machine are named, with what to do', async (t) => {
  const server = createServer();
  t.after(() => server.close());
  assert.equal(await listen(server, '127.0.0.1', 0), undefined);
  const { port } = server.address() as AddressInfo;
  assert.match(
    explainFailure(await listen(createServer(), '127.0.0.1', port)),
    new RegExp(`^Port ${port} is in use.*--port`),
  );
  // Of a range for documents (RFC 5737): nobody has it.
  assert.match(
    explainFailure(await listen(createServer(), '192.0.2.1', 0)),
    /^192\.0\.2\.1 is no address of this machine\. Listen on 127\.0\.0\.1/,
  );
});

test('a port below 1024 is named as one that the user may not have', () => {
  const refused = Object.assign(new Error('listen EACCES'), { code: 'EACCES', syscall: 'listen', port: 80 });
  assert.match(explainFailure(refused), /^Port 80 is not for this user\. Choose one above 1023/);
});

test('a data folder that is a file, or below one, is named with the way out', (t) => {
  const file = path.join(folder(t), 'taken');
  writeFileSync(file, '');
  const fails = (dir: string): string => {
    try {
      mkdirSync(dir, { recursive: true });
    } catch (error) {
      return explainFailure(error);
    }
    return 'it was made';
  };
  assert.equal(
    fails(file),
    `${file} can not be used: it is a file, and a folder is needed. Mend that, or name another data folder with --data.`,
  );
  assert.match(fails(path.join(file, 'below')), /can not be used: a file stands where a folder is needed\./);
});

test('a bug keeps its stack', () => {
  assert.match(
    explainFailure(new TypeError('nobody thought of it')),
    /TypeError: nobody thought of it\n +at /,
  );
});
