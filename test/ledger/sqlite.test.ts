import { storeContract } from '../contract/store.contract.ts';
import { sqliteBackend } from './sqlite-backend.ts';

storeContract('sqlite', sqliteBackend);
