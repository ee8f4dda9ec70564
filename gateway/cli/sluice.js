#!/usr/bin/env node
// The `sluice` command. Plain JavaScript on purpose: it must start on any Node, and Node refuses to strip types from files
// below node_modules. In a checkout it runs the TypeScript sources, when installed as a dependency the built ones. A Node
// older than 24 hands over to the Node 24 that `npm ci` installed beside it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const WANTED_MAJOR = 24;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const source = here('./sluice.ts');
const built = here('../../dist/gateway/cli/sluice.js');
const program = existsSync(source) ? source : built;

if (Number(process.versions.node.split('.')[0]) >= WANTED_MAJOR) {
  await import(program);
} else {
  const node = here('../../node_modules/node/bin/node');
  if (!existsSync(node)) {
    console.error(
      `sluice needs Node ${WANTED_MAJOR} or newer, and this is ${process.version}. Install it, or run npm ci in the checkout.`,
    );
    process.exit(1);
  }
  const child = spawn(node, [program, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
