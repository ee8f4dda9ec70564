import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { storeContract } from '../contract/store.contract.ts';

storeContract('memory', async ({ nowMs }) => ({
  open: async () => createMemoryStore({ nowMs }),
  persistent: false,
  remove: async () => {},
}));
