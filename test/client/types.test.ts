import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, readSource } from '../structure/source-tree.ts';

const TSC = join(ROOT, 'node_modules/.bin/tsc');
const CODE = /^```ts\n([\s\S]*?)^```/gm;

const ENTRIES = ['client/index.ts', 'client/node.ts'];
const BUILD = {
  extends: join(ROOT, 'tsconfig.build.json'),
  compilerOptions: { emitDeclarationOnly: true, typeRoots: [join(ROOT, 'node_modules/@types')] },
  include: [],
};

/** What the examples of the page take for given. */
const GIVEN = `import type { Budget, PayingClient, TokenStore, Wallet } from 'sluice/client';
declare global {
  const wallet: Wallet;
  const budget: Budget;
  const store: TokenStore;
  const client: PayingClient;
}
`;

/** Compiles as a program for Node does that knows nothing of browsers, and checks the declarations too. */
const SETTINGS = {
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: 'es2024',
    lib: ['es2024'],
    types: ['node'],
    module: 'nodenext',
    skipLibCheck: false,
    noEmit: true,
    paths: {
      'sluice/client': ['./dist/client/index.d.ts'],
      'sluice/client/node': ['./dist/client/node.d.ts'],
    },
  },
  include: ['*.ts'],
};

function compile(args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [TSC, ...args], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
}

test('the examples of docs/client.md compile in a strict program without the types of a browser', async () => {
  // Inside the project, so that its dependencies are found.
  const folder = await mkdtemp(join(ROOT, 'node_modules/.types-test-'));
  try {
    const build = join(folder, 'build.json');
    await writeFile(build, JSON.stringify({ ...BUILD, files: ENTRIES.map((entry) => join(ROOT, entry)) }));
    compile(['-p', build, '--rootDir', ROOT, '--outDir', join(folder, 'dist')]);
    const examples = [...readSource('docs/client.md').matchAll(CODE)].map(([, code = '']) => code);
    assert.ok(examples.length >= 3);
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await writeFile(join(folder, 'given.ts'), GIVEN);
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(SETTINGS));
    for (const [at, example] of examples.entries()) {
      await writeFile(join(folder, `example-${at}.ts`), `${example}\nexport {};\n`);
    }
    compile(['-p', folder]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
