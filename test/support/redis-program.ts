import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** What to do when there is none. */
export const HOW_TO_GET_REDIS =
  'redis-server is not installed: run `apt-get install redis-server` (or valkey-server), or name one with REDIS_SERVER=/path/to/redis-server';

/** The server that tests run: `REDIS_SERVER`, else redis-server or valkey-server on the PATH; `undefined` when there is none. */
export function findRedisServer(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = env['REDIS_SERVER'];
  if (named !== undefined && named !== '') return isProgram(named) ? named : undefined;
  const folders = (env['PATH'] ?? '').split(path.delimiter);
  return ['redis-server', 'valkey-server']
    .flatMap((name) => folders.map((folder) => path.join(folder, name)))
    .find(isProgram);
}

/** Whether a file can be run. */
export function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main && findRedisServer() === undefined) {
  process.stderr.write(`${HOW_TO_GET_REDIS}\n`);
  process.exitCode = 1;
}
