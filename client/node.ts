/**
 * The parts of the client that need Node: a token store in a file, the play-money wallet that is found in the data
 * folder, and WebSockets that send their credential in a header.
 * @module
 */
export { connectWithHeader } from './connect-with-header.ts';
export { createFileTokenStore, type FileTokenStoreOptions, TokenFileError } from './file-token-store.ts';
export { openSimulatedWallet, type SimulatedWalletOptions } from './wallets/simulated.ts';
