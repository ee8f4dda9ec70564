import { test } from 'node:test';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import type { OpenBackend } from '../contract/store.contract.ts';
import { runModel } from './run-model.ts';
import { sqliteBackend } from './sqlite-backend.ts';

test('memory: the books balance after every step of any sequence of verbs', async () => {
  const memoryBackend: OpenBackend = async ({ nowMs }) => ({
    open: async () => createMemoryStore({ nowMs }),
    persistent: false,
    remove: async () => {},
  });
  await runModel(memoryBackend, 300);
});

test('sqlite: the books balance after every step of any sequence of verbs', async () => {
  await runModel(sqliteBackend, 60);
});
