/** The schemas, the types made from them, and the validators compiled from them say the same. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { describe, expect, test } from 'vitest'
import { validateManifest, validateOptions } from '#src/kernel/schema/schema-validators.generated.js'

const root = fileURLToPath(new URL('../../../..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const schema = (name: string) => JSON.parse(read(`schemas/${name}`)) as Record<string, unknown>

/** Every schema within a schema, with where it is. */
const parts = (value: unknown, path = '#'): [string, Record<string, unknown>][] => {
  if (typeof value !== 'object' || value === null) return []
  const own = value as Record<string, unknown>
  return [[path, own], ...Object.entries(own).flatMap(([key, child]) => parts(child, `${path}/${key}`))]
}

describe('the types', () => {
  test('are those the schemas describe', async () => {
    const generator = new URL('../../../../scripts/schema-types.mjs', import.meta.url).href
    const { schemaTypes } = (await import(generator)) as { schemaTypes: () => string }
    expect(read('src/kernel/schema/schema-types.generated.ts'), 'stale: run `node scripts/schema-types.mjs`').toBe(schemaTypes())
  })
})

describe('the schema files', () => {
  test('resolve by their own ids in plain ajv, whichever is added first', () => {
    const names = ['options.schema.json', 'plugin.schema.json']
    for (const order of [names, names.toReversed()]) {
      const ajv = new Ajv({ strict: false })
      for (const name of order) ajv.addSchema(schema(name))
      expect(ajv.validate('options.schema.json', { name: 'shop', defaults: { limits: { memory: 64 } } })).toBe(true)
      expect(ajv.validate('options.schema.json', { name: 'Shop' })).toBe(false)
      expect(ajv.validate('plugin.schema.json', { name: 'shop' })).toBe(true)
    }
  })
})

describe('the compiled validators', () => {
  test('load nothing', () => {
    const text = read('dist/kernel/schema/schema-validators.generated.js')
    expect(text).not.toMatch(/\brequire\(|^import /m)
  })

  test('agree with ajv on what the schemas say', () => {
    const ajv = new Ajv({ allowUnionTypes: true })
    ajv.addVocabulary(['patternErrorMessage'])
    for (const name of ['plugin.schema.json', 'options.schema.json']) ajv.addSchema(schema(name), name)
    const samples: unknown[] = [
      {},
      { name: 'a' },
      { name: 'A' },
      { name: 'a', limits: { memory: 0 } },
      { name: 'a', tasks: { x: 'y.js' } },
      { name: 'a', tasks: { x: 1 } },
      { name: 'a', activation: ['user.*'] },
      { name: 'a', activation: [1] },
      { plugins: ['a'], defaults: { isolation: 'thread', restart: { backoff: { factor: 1 } } } },
      { plugins: [1] },
      { roles: { reader: [{ resource: 'x', actions: ['read'] }] } },
      { roles: { reader: [{ resource: 'x', actions: [] }] } },
      [],
      null,
    ]
    for (const sample of samples) {
      expect([sample, validateManifest(sample)]).toEqual([sample, ajv.validate('plugin.schema.json', sample)])
      expect([sample, validateOptions(sample)]).toEqual([sample, ajv.validate('options.schema.json', sample)])
    }
  })
})

describe.each(['plugin.schema.json', 'options.schema.json', 'event.schema.json'])('%s', (name) => {
  test('is a valid schema', () => {
    const ajv = new Ajv()
    expect(ajv.validateSchema(schema(name)), JSON.stringify(ajv.errors)).toBe(true)
  })

  test('describes every field for whoever edits it', () => {
    const bare = parts(schema(name)).flatMap(([path, part]) => {
      const fields = path.endsWith('/properties') ? Object.entries(part) : []
      return fields
        .filter(([, field]) => typeof (field as { description?: unknown }).description !== 'string')
        .map(([key]) => `${path}/${key}`)
    })
    expect(bare).toEqual([])
  })

  test('refuses unknown fields, or says that it takes any', () => {
    const open = parts(schema(name)).filter(
      ([, part]) =>
        part['properties'] !== undefined &&
        typeof part['properties'] === 'object' &&
        'type' in part &&
        part['additionalProperties'] !== false,
    )
    expect(open.map(([path]) => path)).toEqual([])
  })
})

describe('an event', () => {
  const ajv = new Ajv()
  formats.default(ajv)
  const validate = ajv.compile(schema('event.schema.json'))
  const event = { id: '1', type: 'user.login', source: 'hello', time: '2026-11-20T12:00:00.000Z', data: { userId: '1' } }

  test.each([
    ['as the bus makes it', event, true],
    ['without data', { ...event, data: undefined }, true],
    ['without a source', { ...event, source: undefined }, false],
    ['with a time that is none', { ...event, time: 'noon' }, false],
    ['with a stranger among its fields', { ...event, extra: 1 }, false],
  ])('%s: %j', (_, value, expected) => {
    expect(validate(JSON.parse(JSON.stringify(value)))).toBe(expected)
  })
})
