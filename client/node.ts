/**
 * The parts of the client that need Node: a token store in a file, and the play-money wallet that is found in the data
 * folder.
 * @module
 */
export { createFileTokenStore, type FileTokenStoreOptions, TokenFileError } from './file-token-store.ts';
export { openSimulatedWallet, type SimulatedWalletOptions } from './wallets/simulated.ts';
