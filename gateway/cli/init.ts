import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { upstream as upstreamSchema } from '../../config/schema-service.ts';
import { parseRoutePattern, patternShape } from '../flow/route-pattern.ts';
import { describePrice } from '../pricing/describe-price.ts';
import { parsePrice } from '../pricing/parse-price.ts';
import { PriceError } from '../pricing/price-error.ts';
import { whyNotSellable } from '../pricing/sellable.ts';
import { configText, meteredNote } from './init-text.ts';
import type { OperatorIo } from './io.ts';

interface InitOptions {
  readonly upstream?: string;
  readonly price?: string;
  readonly path?: string;
  readonly name?: string;
  readonly file: string;
  readonly yes?: boolean;
  readonly force?: boolean;
}

/** One thing that init must know. */
interface Question {
  readonly key: 'upstream' | 'price' | 'path';
  readonly text: string;
  readonly usual: string;
  /** Why an answer can't be used; `undefined` when it can. */
  readonly refuse: (answer: string) => string | undefined;
}

const QUESTIONS: readonly Question[] = [
  {
    key: 'upstream',
    text: 'Where is the API that you sell?',
    usual: 'http://127.0.0.1:3000',
    refuse: refuseUpstream,
  },
  {
    key: 'price',
    text: 'What does it cost? (10 sat, 500 sat for 100 calls, 1000 sat for 24h, 100 msat/second)',
    usual: '10 sat',
    refuse: refusePrice,
  },
  { key: 'path', text: 'Which paths? (/* is all of them)', usual: '/*', refuse: refusePath },
];
const MAX_TRIES = 5;

/** `sluice init`: asks what is sold, writes a commented sluice.yaml and says what to do next. Never overwrites without --force. */
export function registerInit(program: Command, io: OperatorIo): void {
  program
    .command('init')
    .description('write a configuration file: asks three questions')
    .option('--upstream <url>', 'the API that is sold')
    .option('--price <price>', 'its price, such as "10 sat"')
    .option('--path <pattern>', 'the paths that are sold, such as "/v1/*"')
    .option('--name <name>', 'name of the service (default: from the path)')
    .option('--file <file>', 'the file to write', 'sluice.yaml')
    .option('-y, --yes', 'ask nothing: what is not given takes its usual value')
    .option('--force', 'overwrite the file')
    .action((options: InitOptions) => init(options, io));
}

async function init(options: InitOptions, io: OperatorIo): Promise<void> {
  const file = path.resolve(io.cwd, options.file);
  if (existsSync(file) && options.force !== true)
    return fail(io, `${options.file} exists. Add --force to overwrite it.`);
  if (options.name !== undefined && !/^[a-z0-9-]{1,64}$/.test(options.name)) {
    return fail(io, '--name: use small letters, digits and `-`, at most 64.');
  }
  const answers = await answerAll(options, io);
  if (answers === undefined) return;
  const text = configText({
    ...answers,
    name: options.name ?? nameFrom(answers.path),
    schema: schemaPath(file),
  });
  try {
    write(file, text, options.force === true);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return fail(
      io,
      code === 'EEXIST'
        ? `${options.file} exists. Add --force to overwrite it.`
        : `${options.file} can not be written (${code}).`,
    );
  }
  io.stdout.write(
    `Wrote ${options.file}: ${answers.path} at ${describePrice(parsePrice(answers.price))}.\n${meteredNote(answers.price)}\n${nextSteps(options.file, file, answers, io.cwd)}`,
  );
}

/** How to start it and to buy. The wallet is in the data folder, which is beside the file. */
function nextSteps(shown: string, file: string, { price, path: pattern }: Answers, cwd: string): string {
  const config = shown === 'sluice.yaml' ? '' : ` --config ${shown}`;
  const folder = path.dirname(file);
  const data = folder === path.resolve(cwd) ? '' : ` --data ${path.join(path.dirname(shown), '.sluice')}`;
  const parsed = parsePrice(price);
  const command = parsed.kind === 'metered' && parsed.unit === 'second' ? 'stream' : 'fetch';
  return `Start it:  npx sluice start${config}
Then buy:  npx sluice ${command} http://127.0.0.1:8402${samplePathOf(pattern)}${data}
`;
}

interface Answers {
  readonly upstream: string;
  readonly price: string;
  readonly path: string;
}

/** The answers from flags, questions or usual values; `undefined` when that failed and was said. */
async function answerAll(options: InitOptions, io: OperatorIo): Promise<Answers | undefined> {
  const answers: Record<Question['key'], string> = { upstream: '', price: '', path: '' };
  const open = QUESTIONS.filter(({ key, usual, refuse }) => {
    answers[key] = options[key] ?? usual;
    const refused = options[key] === undefined ? undefined : refuse(options[key]);
    if (refused !== undefined) fail(io, `--${key}: ${refused}`);
    return options[key] === undefined;
  });
  const bad = QUESTIONS.some(
    ({ key, refuse }) => options[key] !== undefined && refuse(options[key]) !== undefined,
  );
  if (bad) return undefined;
  if (options.yes === true || open.length === 0) return answers;
  const lines = createInterface({ input: io.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  try {
    const next = lines[Symbol.asyncIterator]();
    for (const question of open) {
      const answer = await ask(question, next, io);
      if (answer === undefined) return undefined;
      answers[question.key] = answer;
    }
    return answers;
  } finally {
    lines.close();
  }
}

async function ask(
  { key, text, usual, refuse }: Question,
  lines: AsyncIterator<string>,
  io: OperatorIo,
): Promise<string | undefined> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    io.stdout.write(`${text} [${usual}] `);
    const line = await lines.next();
    if (line.done === true) {
      fail(
        io,
        `\nThe answers ended before --${key} was known. Give it as a flag, or take the usual values with --yes.`,
      );
      return undefined;
    }
    const answer = line.value.trim() === '' ? usual : line.value.trim();
    const refused = refuse(answer);
    if (refused === undefined) return answer;
    io.stdout.write(`  ${refused}\n`);
  }
  fail(io, 'That did not work out. Nothing was written.');
  return undefined;
}

function refuseUpstream(answer: string): string | undefined {
  const parsed = upstreamSchema.safeParse(answer);
  if (parsed.success) return undefined;
  return `This ${parsed.error.issues[0]?.message}. Write scheme, host and port, such as http://127.0.0.1:3000.`;
}

function refusePrice(answer: string): string | undefined {
  try {
    return whyNotSellable(parsePrice(answer));
  } catch (error) {
    if (error instanceof PriceError) return error.message;
    throw error;
  }
}

function refusePath(answer: string): string | undefined {
  try {
    parseRoutePattern(answer);
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}

/** The first plain segment of a path that is no version, as a name; else `api`. */
function nameFrom(pattern: string): string {
  const first = parseRoutePattern(pattern).find(
    (part) => part.kind === 'literal' && !/^v\d+$/i.test(part.text),
  );
  const name = (first?.kind === 'literal' ? first.text : '')
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64);
  return name === '' ? 'api' : name;
}

function samplePathOf(pattern: string): string {
  return patternShape(parseRoutePattern(pattern)).replace(/\/:/g, '/1').replace(/\/\*$/, '/');
}

/** Path of the editors' schema from the file, when this installation has it. */
function schemaPath(file: string): string | undefined {
  const candidates = ['../../config/sluice.schema.json', '../../../config/sluice.schema.json'];
  const schema = candidates
    .map((candidate) => path.join(import.meta.dirname, candidate))
    .find((candidate) => existsSync(candidate));
  return schema === undefined ? undefined : path.relative(path.dirname(file), schema);
}

/** A whole file or none: with --force the old one stays until the new one is complete. */
function write(file: string, text: string, force: boolean): void {
  mkdirSync(path.dirname(file), { recursive: true });
  if (!force) {
    writeFileSync(file, text, { flag: 'wx' });
    return;
  }
  const draft = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(draft, text, { flag: 'wx' });
    renameSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}

function fail(io: OperatorIo, message: string): void {
  io.stderr.write(`${message}\n`);
  io.setExitCode(1);
}
