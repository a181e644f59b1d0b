/**
 * What a manifest's schema for the configuration may cost: whoever wrote it decides how much work it is, and the kernel's thread has others
 * to see to.
 */
import { describe, expect, test } from 'vitest'
import { type PluginConfigSources, resolvePluginConfig } from '#src/kernel/config/plugin-config.js'
import { node } from '../../../support/command.js'
import { built } from '../../../support/few-descriptors.js'
import { thrown } from '../../../support/thrown.js'

const resolve = (schema: object, defaults: object = {}, sources: Partial<PluginConfigSources> = {}) =>
  resolvePluginConfig({
    name: 'evil',
    declaration: { schema, defaults } as never,
    manifestPath: '/plugins/evil/plugin.json',
    env: {},
    mayRead: () => true,
    ...sources,
  })

const ENDLESS = `${'a'.repeat(40)}!`

describe('a pattern that never comes to an end', () => {
  test.each([
    ['of a value', { properties: { x: { pattern: '^(a+)+$' } } }, { x: ENDLESS }, 'x'],
    ['of a name', { patternProperties: { '^(a+)+$': { type: 'string' } } }, { [ENDLESS]: 1 }, `["${ENDLESS}"]`],
    ['of all names', { propertyNames: { pattern: '^(a+)+$' } }, { [ENDLESS]: 1 }, `["${ENDLESS}"]`],
    [
      'in a list',
      { properties: { x: { items: { type: 'object', properties: { y: { pattern: '^(a+)+$' } } } } } },
      { x: [{ y: ENDLESS }] },
      'x[0].y',
    ],
  ])('%s is ended, and named with plugin, field and time', async (_, schema, defaults, field) => {
    const error = await thrown(() => resolve(schema, defaults))
    expect(error).toMatchObject({
      code: 'MANIFEST_INVALID',
      plugin: 'evil',
      details: { file: '/plugins/evil/plugin.json', limit: 1_000, pattern: '^(a+)+$', field },
    })
    expect(error.message).toMatch(/config\.schema: the pattern '\^\(a\+\)\+\$' of plugin 'evil' took more than 1000 ms/)
  })

  test('holds nobody else up afterwards, and does no harm to a value it takes', async () => {
    const schema = { properties: { x: { pattern: '^(a+)+$' } } }
    await thrown(() => resolve(schema, { x: ENDLESS }))
    expect(await resolve(schema, { x: 'aaa' })).toEqual({ x: 'aaa' })
    const error = await thrown(() => resolve(schema, { x: 'b' }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining("x: must match ^(a+)+$, not 'b'") as string })
  })

  test('is ended where the value is what updateConfig was given', async () => {
    const error = await thrown(() => resolve({ properties: { x: { pattern: '^(a+)+$' } } }, {}, { override: { x: ENDLESS } }))
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', details: { field: 'x' } })
  })
})

test('patterns of one schema are each tried for themselves', async () => {
  const schema = { properties: { a: { pattern: '^a$' }, b: { pattern: '^b$' } } }
  expect(await resolve(schema, { a: 'a', b: 'b' })).toEqual({ a: 'a', b: 'b' })
  const error = await thrown(() => resolve(schema, { a: 'b', b: 'a' }))
  expect(error.details?.['problems']).toHaveLength(2)
})

test('a pattern that is too long is refused before it is read', async () => {
  const error = await thrown(() => resolve({ properties: { x: { pattern: '\\p{L}'.repeat(20_000) } } }))
  expect(error).toMatchObject({
    code: 'MANIFEST_INVALID',
    message: expect.stringContaining('has 100000 characters, more than 1000') as string,
  })
})

test('references that double at each step are ended', async () => {
  const step = (to: number) => ({ allOf: [{ $ref: `#/definitions/of${to}` }, { $ref: `#/definitions/of${to}` }] })
  const definitions = { ...Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`of${i}`, step(i + 1)])), of40: { type: 'object' } }
  const error = await thrown(() => resolve({ definitions, $ref: '#/definitions/of0' }))
  expect(error).toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'evil', details: { limit: 1_000 } })
  expect(error.message).toContain("to check the configuration of plugin 'evil' took more than 1000 ms")
})

test('a short schema is held to a long configuration for a time only', async () => {
  const schema = { properties: { a: { items: { allOf: Array(1_250).fill(false) } } } }
  const error = await thrown(() => resolve(schema, {}, { override: { a: Array(100_000).fill(0) } }))
  expect(error).toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'evil', details: { limit: 1_000 } })
})

test('defaults that double at each step are ended', async () => {
  const step = (items: object) => ({ properties: { a: { default: [{}, {}, {}, {}], items } } })
  let schema: object = {}
  for (let i = 0; i < 20; i++) schema = step(schema)
  const error = await thrown(() => resolve(schema))
  expect(error).toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'evil', details: { limit: 1_000 } })
  expect(error.message).toContain("to check the configuration of plugin 'evil' took more than 1000 ms")
})

test('a short schema that a long configuration fits nowhere takes no memory by what it finds', async () => {
  // Of 800,000 errors.
  const outcome = await node(
    [
      '--max-old-space-size=48',
      '--input-type=module',
      '-e',
      `import { resolvePluginConfig } from ${built('kernel/config/plugin-config.js')}
      const schema = { properties: { a: { items: { allOf: Array(400).fill(false) } } } }
      const override = { a: Array(2_000).fill(0) }
      await resolvePluginConfig({ name: 'evil', env: {}, declaration: { schema }, override }).catch((error) => console.log(error.code))`,
    ],
    '.',
  )
  // On a busy machine its time may be over first.
  expect(outcome).toMatchObject({ code: 0, stdout: expect.stringMatching(/^(?:CONFIG|MANIFEST)_INVALID\n$/) as string })
})

test('a choice is made right, however little the other branches fit', async () => {
  const numbers = Array.from({ length: 2_000 }, (_, i) => i)
  const branch = (type: string) => ({ items: { allOf: [{ type }, { $ref: '#/definitions/any' }] } })
  const schema = { definitions: { any: {} }, properties: { a: { anyOf: [branch('string'), branch('number')] } } }
  expect(await resolve(schema, { a: numbers })).toEqual({ a: numbers })
  expect(await thrown(() => resolve(schema, { a: [...numbers, 'x'] }))).toMatchObject({ code: 'CONFIG_INVALID' })
})

test('placeholders become numbers, however many of them there are', async () => {
  const many = 1_200
  const schema = { properties: { a: { items: { type: 'number' } } } }
  const config = await resolve(schema, { a: Array(many).fill('${PORT}') }, { env: { PORT: '80' } })
  expect(config).toEqual({ a: Array(many).fill(80) })
})

test('a reference that leads to itself is told as what it is', async () => {
  const error = await thrown(() => resolve({ $ref: '#' }))
  expect(error).toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'evil' })
  expect(error.message).toContain('config.schema: cannot be used as a JSON Schema')
})

describe.each([
  ['http://json-schema.org/draft-07/schema', 'http://json-schema.org/draft-07/schema#'],
  ['https://json-schema.org/draft/2019-09/schema', 'https://json-schema.org/draft/2019-09/schema'],
  ['https://json-schema.org/draft/2020-12/schema', 'https://json-schema.org/draft/2020-12/schema'],
])('what a schema calls itself or a part, such as %s,', ($id, $schema) => {
  const innocent = () => resolve({ $schema, properties: { port: { type: 'integer' } } }, { port: 1 }, { name: 'innocent' })

  test('changes nothing for the schemas of others', async () => {
    const error = await thrown(() => resolve({ $schema, $id }))
    expect(error).toMatchObject({
      code: 'MANIFEST_INVALID',
      plugin: 'evil',
      message: expect.stringContaining(`its $id '${$id}' is that of JSON Schema itself`) as string,
    })
    await thrown(() => resolve({ $schema, definitions: { x: { $id, not: {} } } }))
    await thrown(() => resolve({ $schema, allOf: [{ $id: `${$id}#/definitions/nonNegativeInteger`, not: {} }] }))
    expect(await innocent()).toEqual({ port: 1 })
    expect(await thrown(() => resolve({ $schema, minLength: -1 }))).toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'evil' })
  })

  test('is what a schema for schemas refers to', async () => {
    const schema = { $schema, properties: { own: { $ref: $schema } } }
    expect(await resolve(schema, { own: { type: 'string' } })).toEqual({ own: { type: 'string' } })
    expect(await thrown(() => resolve(schema, { own: { minLength: 'x' } }))).toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

test('a part that one schema names is not what another refers to by that name', async () => {
  await resolve({ definitions: { port: { $id: 'http://evil/port', type: 'string' } } })
  const error = await thrown(() => resolve({ properties: { port: { $ref: 'http://evil/port' } } }))
  expect(error.message).toContain("the reference 'http://evil/port' leads to nothing")
})

test('of problems without number so many are told', async () => {
  const error = await thrown(() =>
    resolve({ properties: { x: { items: { type: 'string' } } } }, { x: Array.from({ length: 5_000 }, (_, i) => i) }),
  )
  expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
  expect(error.details?.['problems']).toHaveLength(100)
  expect(error.message).toContain('and more')
})

describe('placeholders in a configuration', () => {
  test('that are left open are not read again and again', async () => {
    const open = '${a:-'.repeat(100_000)
    const error = await thrown(() => resolve({}, { x: open }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('is no placeholder') as string })
  })

  test('and their escapes are filled in before and behind the last brace', async () => {
    const config = await resolve({}, { x: 'a $${X} ${X:-b} $${ $${X' })
    expect(config).toEqual({ x: 'a ${X} b ${ ${X' })
  })

  test('may be nested in lists and objects to a depth that is said', async () => {
    let deep: unknown = 1
    for (let i = 0; i < 200; i++) deep = [deep]
    const error = await thrown(() => resolve({}, {}, { override: { x: deep } }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('nested more than 100 levels deep') as string })
  })
})
