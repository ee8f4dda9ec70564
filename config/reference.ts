import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { configJsonSchema, type JsonSchema, jsonSchemaText } from './json-schema.ts';

const ROOT = path.join(import.meta.dirname, '..');

const INTRODUCTION = `<!-- Made by \`npm run docs\` from config/schema.ts. Change that, not this. -->

# Configuration reference

Sluice reads one YAML file: \`--config FILE\`, else \`./sluice.yaml\`, else it sells a demo. Flags win over the file.
\`sluice init\` writes a file, \`sluice check-config\` checks one and prints every mistake with its line, \`sluice routes GET URL\` says
which service answers. Examples are in \`config/examples/\`. For completion and hints in an editor begin the file with the path of
\`config/sluice.schema.json\` (\`sluice init\` does):

    # yaml-language-server: $schema=path/to/config/sluice.schema.json

**Values.** Time: \`500ms\`, \`30s\`, \`10m\`, \`24h\`, \`30 days\`. Size: \`512 bytes\`, \`16KB\`, \`1MB\`, \`1GB\` (KB is 1,000 bytes).
Amount: \`1 sat\`, \`1500 msat\`. Price: [prices.md](../prices.md). Address: \`127.0.0.1:8402\`, \`[::1]:8402\`, \`:8402\` for every address.
Keys that are not known are refused, with the nearest that is.

**Secrets.** \`\${NAME}\` takes a value from the environment, \`\${NAME:-default}\` has a default, \`\${file:/path}\` takes the content of a
file without its last line break, and \`$\${\` stands for a plain \`\${\`. They work inside every text value and can only give text: what a
variable holds is never read as YAML. Messages never show it. Inside \`{ }\` and \`[ ]\` they need quotes, as YAML wants.

**Reload.** SIGHUP, or a change of the file or of a secret file, loads everything again: all of it or, when something is wrong, nothing, and
the log says what. \`listen\`, \`admin\`, \`data\`, \`store\`, \`workers\`, \`node\` and \`masterKeys\` need a restart; a change of them is said in the log.
`;

/** The text of docs/reference/configuration.md, made from the schema. */
export function referenceText(): string {
  const sections: string[] = [INTRODUCTION];
  writeSection(sections, 'Keys', '', configJsonSchema());
  return `${sections.join('\n')}`;
}

/** A table of an object's keys, then a section for each key that has keys of its own. */
function writeSection(sections: string[], title: string, description: string, schema: JsonSchema): void {
  const rows = Object.entries(schema.properties ?? {}).map(([key, value]) =>
    row(key, value, schema.required ?? []),
  );
  sections.push(
    `## ${title}\n`,
    ...(description === '' ? [] : [`${description}\n`]),
    ['| Key | Value | Default | |', '|---|---|---|---|', ...rows].join('\n'),
    '',
  );
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    const prefix = title === 'Keys' ? '' : `${title.replaceAll('`', '')}.`;
    for (const [name, inner] of innerObjects(`${prefix}${key}`, value)) {
      writeSection(sections, `\`${name}\``, inner.description ?? '', inner);
    }
  }
}

/** The objects that a key may hold, each with the name of its section. */
function innerObjects(name: string, schema: JsonSchema): readonly (readonly [string, JsonSchema])[] {
  if (schema.properties !== undefined) {
    const { type: { const: type } = {} }: { type?: JsonSchema } = schema.properties;
    return [[type === undefined ? name : `${name} (${String(type)})`, schema]];
  }
  if (schema.items !== undefined) return innerObjects(`${name}[]`, schema.items);
  const forms = formsOf(schema);
  const list = forms.find(({ items }) => items !== undefined);
  return list === undefined ? forms.flatMap((form) => innerObjects(name, form)) : innerObjects(name, list);
}

function formsOf({ anyOf = [], oneOf = [] }: JsonSchema): readonly JsonSchema[] {
  return [...anyOf, ...oneOf];
}

function row(key: string, schema: JsonSchema, required: readonly string[]): string {
  const example = schema.default === undefined ? schema.examples?.[0] : undefined;
  const cells = [
    `\`${key}\``,
    kindOf(schema),
    defaultOf(key, schema, required),
    `${schema.description ?? ''}${example === undefined ? '' : ` Example: ${code(example)}`}`,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
}

function defaultOf(key: string, schema: JsonSchema, required: readonly string[]): string {
  if (schema.default === undefined) return required.includes(key) ? '**required**' : '';
  const text = code(schema.default);
  return text === '`{}`' ? '' : text;
}

/** What a value is, in words. */
function kindOf(schema: JsonSchema): string {
  if (schema.kind !== undefined) return schema.kind;
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum !== undefined) return schema.enum.map(code).join(', ');
  if (schema.items !== undefined) return `list of ${kindOf(schema.items)}`;
  const list = formsOf(schema).find(({ items }) => items !== undefined)?.items;
  if (list !== undefined) return `${kindOf(list)}, or a list`;
  const forms = [...new Set(formsOf(schema).map(kindOf))];
  if (forms.length > 0) return forms.join(' or ');
  if (schema.properties !== undefined) return 'keys';
  if (typeof schema.additionalProperties === 'object')
    return `names and ${kindOf(schema.additionalProperties)}`;
  return [schema.type ?? 'any'].flat().map(plainType).join(' or ');
}

function plainType(type: string): string {
  return type === 'string' ? 'text' : type;
}

function code(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

/** Every generated file: its path from the top of the repository, and what it should hold. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['config/sluice.schema.json', jsonSchemaText()],
    ['docs/reference/configuration.md', referenceText()],
  ]);
}

/** The generated files that are not current. */
export function staleFiles(): readonly string[] {
  return [...generatedFiles()].filter(([name, text]) => read(name) !== text).map(([name]) => name);
}

function read(name: string): string | undefined {
  try {
    return readFileSync(path.join(ROOT, name), 'utf8');
  } catch {
    return undefined;
  }
}

function main(argument: string | undefined): void {
  if (argument === '--write') {
    for (const [name, text] of generatedFiles()) {
      mkdirSync(path.dirname(path.join(ROOT, name)), { recursive: true });
      writeFileSync(path.join(ROOT, name), text);
    }
  } else if (argument === '--check') {
    const stale = staleFiles();
    for (const name of stale) process.stderr.write(`${name} is not current: run npm run docs\n`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    process.stderr.write('usage: node config/reference.ts --write | --check\n');
    process.exitCode = 2;
  }
}

if (import.meta.main) main(process.argv[2]);
