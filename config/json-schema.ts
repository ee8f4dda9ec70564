import { z } from 'zod';
import type { KeyPath } from './problem.ts';
import { fileSchema } from './schema.ts';

/** As much of JSON Schema as the configuration needs. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
  /** What a value is, in a word for people; not part of JSON Schema. */
  readonly kind?: string;
}

let made: JsonSchema | undefined;

/** JSON Schema of sluice.yaml, made from the one schema, with the kinds of values. */
export function configJsonSchema(): JsonSchema {
  made ??= readable(z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7' }));
  return made;
}

/** The text of config/sluice.schema.json, for editors. */
export function jsonSchemaText(): string {
  const plain = JSON.parse(
    JSON.stringify(configJsonSchema(), (key, value: unknown) => (key === 'kind' ? undefined : value)),
  );
  return `${JSON.stringify({ title: 'sluice.yaml', ...plain }, undefined, 2)}\n`;
}

/**
 * Zod leaves `examples` and `default` out where a value is transformed, because they might be of the other side; ours are in `written`
 * and `usual`.
 */
function readable(schema: z.core.JSONSchema.BaseSchema): JsonSchema {
  const text = JSON.stringify(schema, (key, value: unknown) => {
    if (!isObject(value) || !('written' in value || 'usual' in value) || key === 'properties') return value;
    const { written, usual, ...others } = value;
    return {
      ...others,
      ...(written !== undefined && { examples: written }),
      ...(usual !== undefined && { default: usual }),
    };
  });
  return JSON.parse(text);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Every schema that a value at a path may have: several where there are several forms. */
export function schemasAt(path: KeyPath): readonly JsonSchema[] {
  let schemas: readonly JsonSchema[] = forms(configJsonSchema());
  for (const step of path) {
    schemas = schemas.flatMap((schema) => {
      const next = typeof step === 'number' ? schema.items : (schema.properties?.[step] ?? extra(schema));
      return next === undefined ? [] : forms(next);
    });
  }
  return schemas;
}

function extra({ additionalProperties }: JsonSchema): JsonSchema | undefined {
  return typeof additionalProperties === 'object' ? additionalProperties : undefined;
}

function forms(schema: JsonSchema): readonly JsonSchema[] {
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  return [schema, ...inner.flatMap(forms)];
}
