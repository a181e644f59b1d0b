import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type PluginConfigSources, pluginConfigFiles, resolvePluginConfig } from '#src/kernel/config/plugin-config.js'
import { thrown } from '../../../support/thrown.js'
import { tree } from '../../../support/tree.js'

const resolve = (sources: Partial<PluginConfigSources>) => resolvePluginConfig({ name: 'hello', env: {}, mayRead: () => false, ...sources })
const problemsOf = (error: { details?: Record<string, unknown> | undefined }) =>
  error.details?.['problems'] as { path: string; message: string }[]

describe('the configuration of a plugin', () => {
  test('is nothing where nobody says anything', async () => {
    expect(await resolve({})).toEqual({})
    expect(await resolve({ configDir: tree() })).toEqual({})
  })

  test('is the options over the file over the manifest, merged key by key; lists are replaced', async () => {
    const configDir = tree({ 'hello.yaml': 'a: { file: 1, both: file }\nlist: [3]\n' })
    const defaults = { a: { default: 1, both: 'default', file: 0 }, list: [1, 2], kept: true }
    const override = { a: { both: 'options' }, added: null }
    expect(await resolve({ declaration: { defaults }, configDir, override })).toEqual({
      a: { default: 1, file: 1, both: 'options' },
      list: [3],
      kept: true,
      added: null,
    })
  })

  test.each([
    ['hello.yaml', 'message: hi'],
    ['hello.yml', 'message: hi'],
    ['hello.json', '{ "message": "hi" }'],
  ])('may be in %s', async (name, text) => {
    expect(await resolve({ configDir: tree({ [name]: text }) })).toEqual({ message: 'hi' })
  })

  test('may be an empty file', async () => {
    expect(await resolve({ configDir: tree({ 'hello.yaml': '# nothing yet\n' }) })).toEqual({})
  })

  test('is a copy: inputs stay as they are, through merging, substitution and defaults', async () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'object', properties: { n: { type: 'integer', default: 5 } } }, port: { type: 'integer' } },
    }
    const declaration = { schema, defaults: { a: { x: '${X:-y}' } } }
    const override = { a: { list: [{ y: '${X:-z}' }] }, port: '${PORT:-80}' }
    const before = structuredClone({ declaration, override })
    const config = await resolve({ declaration, override, mayRead: () => true })
    expect(config).toEqual({ a: { x: 'y', list: [{ y: 'z' }], n: 5 }, port: 80 })
    expect({ declaration, override }).toEqual(before)
  })

  test('keeps values that are no plain data as they are', async () => {
    const when = new Date(0)
    const config = await resolve({ override: { when, bytes: new Uint8Array([1]) } })
    expect(config['when']).toBe(when)
    expect(config['bytes']).toEqual(new Uint8Array([1]))
  })

  test('takes __proto__ for a key like any other', async () => {
    const configDir = tree({ 'hello.json': '{ "__proto__": { "polluted": true } }' })
    const config = await resolve({ configDir, declaration: { defaults: { a: 1 } } })
    expect(Object.keys(config).sort()).toEqual(['__proto__', 'a'])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    expect(config['polluted']).toBeUndefined()
  })

  test('names the files it may be in, to be watched', () => {
    expect(pluginConfigFiles('/c', 'hello')).toEqual(['/c/hello.yaml', '/c/hello.yml', '/c/hello.json'].map((path) => join(path)))
  })
})

describe('variables', () => {
  test.each([
    ['${HOST}', { HOST: 'h' }, 'h'],
    ['http://${HOST}:${PORT}/', { HOST: 'h', PORT: '1' }, 'http://h:1/'],
    ['${HOST:-local}', {}, 'local'],
    ['${HOST:-local}', { HOST: '' }, 'local'],
    ['${HOST}', { HOST: '' }, ''],
    ['${HOST:-}', {}, ''],
    ['$${HOST}', { HOST: 'h' }, '${HOST}'],
    ['$$${HOST}', { HOST: 'h' }, '$${HOST}'],
    ['$HOST and $${not a name}', { HOST: 'h' }, '$HOST and ${not a name}'],
    ['${A}', { A: '${B}', B: 'b' }, '${B}'],
  ])('%j with %j is %j', async (text, env, expected) => {
    expect(await resolve({ override: { deep: [{ text }] }, env })).toEqual({ deep: [{ text: expected }] })
  })

  test.each(['${P', '${}', '${DB-HOST}', '${P-default}', '${X:-${P}}', '${not a name}'])(
    '%j is no placeholder, and said so',
    async (text) => {
      const error = await thrown(() => resolve({ override: { list: [`before ${text}`] }, env: { P: '1' } }))
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', plugin: 'hello', details: { problems: [{ path: 'list[0]' }] } })
      expect(error.message).toMatch(/list\[0\]: has '\$\{.*is no placeholder.*Write \$\$\{/)
    },
  )

  test('that are not set are CONFIG_ENV_MISSING: all of them, each with its place', async () => {
    const error = await thrown(() => resolve({ override: { url: '${HOST}', list: ['${PORT}'] } }))
    expect(error).toMatchObject({
      code: 'CONFIG_ENV_MISSING',
      plugin: 'hello',
      details: {
        missing: [
          { path: 'url', variable: 'HOST' },
          { path: 'list[0]', variable: 'PORT' },
        ],
      },
    })
    expect(error.message).toContain("plugin 'hello'")
    expect(error.message).toContain('url needs the environment variable HOST')
    expect(error.message).toContain('${HOST:-default}')
  })

  describe('that are 60,000', () => {
    const TEXT = '${A}'.repeat(60_000)

    test.each([
      ['are not set', 'CONFIG_ENV_MISSING', { override: { text: TEXT } }],
      ['are not for the plugin', 'PERMISSION_DENIED', { declaration: { defaults: { text: TEXT } }, mayRead: () => false }],
    ])('and %s are told of by a hundred of them, and how many more there are', async (_, code, sources) => {
      const error = await thrown(() => resolve({ ...sources, env: {} }))
      expect(error).toMatchObject({ code, message: expect.stringContaining('; and 59900 more') })
      expect(JSON.stringify([error.message, error.details]).length).toBeLessThan(20_000)
    })

    test('and are none are told of by a hundred, in a text of any length under any name', async () => {
      const error = await thrown(() => resolve({ override: { ['k'.repeat(60_000)]: '${-}'.repeat(60_000) } }))
      expect(error.code).toBe('CONFIG_INVALID')
      expect(JSON.stringify([error.message, error.details]).length).toBeLessThan(700_000)
    })
  })

  test('whose name is longer than any variable has are none', async () => {
    const error = await thrown(() => resolve({ override: { text: `\${${'A'.repeat(257)}}` } }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('up to 256') })
  })

  test('in a value that is overridden need not be set', async () => {
    expect(await resolve({ declaration: { defaults: { url: '${HOST}' } }, override: { url: 'x' } })).toEqual({ url: 'x' })
  })

  const OWN = { url: 'http://${HOST}/', list: [{ key: '${KEY:-none}' }], kept: '$${KEY}' }

  test('that the manifest itself names are for a plugin that may read them', async () => {
    const mayRead = (variable: string) => ['HOST', 'KEY'].includes(variable)
    const env = { HOST: 'h', KEY: 'k' }
    const config = { url: 'http://h/', list: [{ key: 'k' }], kept: '${KEY}' }
    expect(await resolve({ declaration: { defaults: OWN }, env, mayRead })).toEqual(config)
  })

  test.each([{ HOST: 'h', KEY: 'k' }, {}])(
    'that it names and the plugin may not read are refused, set or not (%j): each with file, place and mend',
    async (env) => {
      const manifestPath = '/plugins/hello/plugin.json'
      const mayRead = (variable: string) => variable === 'HOME'
      const declaration = { defaults: { ...OWN, open: '${HOME:-}' } }
      const error = await thrown(() => resolve({ declaration, manifestPath, env, mayRead }))
      expect(error).toMatchObject({
        code: 'PERMISSION_DENIED',
        plugin: 'hello',
        details: {
          file: manifestPath,
          denied: [
            { path: 'config.defaults.url', variable: 'HOST' },
            { path: 'config.defaults.list[0].key', variable: 'KEY' },
          ],
        },
      })
      expect(error.message).toContain(`${manifestPath}: config.defaults.url names the environment variable HOST;`)
      expect(error.message).toContain('{ "resource": "env:HOST", "actions": ["read"] } and { "resource": "env:KEY", "actions": ["read"] }')
      expect(error.message).toContain("options.config['hello']")
    },
  )

  test('that the application names beside and in the place of those of the manifest are its own decision', async () => {
    const declaration = { defaults: { a: '${A}', list: ['${A}', '${A}'], deep: { b: '${A}', c: 1 } } }
    const configDir = tree({ 'hello.yaml': 'a: ${X}\nlist: ["${X}"]\n' })
    const config = await resolve({ declaration, configDir, override: { deep: { b: '${X}' } }, env: { X: 'x', A: 'secret' } })
    expect(config).toEqual({ a: 'x', list: ['x'], deep: { b: 'x', c: 1 } })
  })

  test('in the defaults of a schema stay as they are written', async () => {
    const declaration = { schema: { type: 'object', properties: { a: { type: 'string', default: '${A}' } } } }
    expect(await resolve({ declaration, env: { A: 'secret' }, mayRead: () => true })).toEqual({ a: '${A}' })
  })

  test('that stand alone become what the schema asks for', async () => {
    const schema = {
      type: 'object',
      properties: {
        port: { type: 'integer' },
        on: { type: 'boolean' },
        none: { type: 'null' },
        ratio: { type: 'number' },
        code: { type: 'string' },
      },
    }
    const override = { port: '${A}', on: '${B}', none: '${C}', ratio: '${D}', code: '${A}' }
    expect(await resolve({ declaration: { schema }, override, env: { A: '080', B: 'true', C: 'null', D: '-1.5e1' } })).toEqual({
      port: 80,
      on: true,
      none: null,
      ratio: -15,
      code: '080',
    })
  })

  test('that do not fit the schema are an error with the value', async () => {
    const schema = { type: 'object', properties: { port: { type: 'integer' } } }
    const error = await thrown(() => resolve({ declaration: { schema }, override: { port: '${PORT}' }, env: { PORT: 'http' } }))
    expect(problemsOf(error)).toEqual([{ path: 'port', value: 'http', message: "must be a whole number, not 'http'" }])
  })

  test('do not loosen the schema for what was written as it is', async () => {
    const schema = { type: 'object', properties: { port: { type: 'integer' } } }
    expect((await thrown(() => resolve({ declaration: { schema }, override: { port: '80' } }))).code).toBe('CONFIG_INVALID')
  })
})

describe('validation', () => {
  const schema = {
    type: 'object',
    additionalProperties: false,
    required: ['message'],
    properties: {
      message: { type: 'string', minLength: 1 },
      retries: { type: 'integer', default: 3, maximum: 5 },
      to: { type: 'string', format: 'email' },
    },
  }

  test('fills in the defaults of the schema', async () => {
    expect(await resolve({ declaration: { schema }, override: { message: 'hi' } })).toEqual({ message: 'hi', retries: 3 })
  })

  test('reports every problem, with plugin, place, value and mend', async () => {
    const error = await thrown(() => resolve({ declaration: { schema }, override: { mesage: 'hi', retries: 9, to: 'me' } }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', plugin: 'hello' })
    expect(error.message).toContain("The configuration of plugin 'hello' (options.config['hello'])")
    expect(Object.fromEntries(problemsOf(error).map(({ path, message }) => [path, message]))).toEqual({
      message: "is missing. Was 'mesage' meant to be 'message'?",
      mesage: "is not a known field. Did you mean 'message'?",
      retries: 'must be at most 5, not 9',
      to: "must be a valid email, not 'me'",
    })
  })

  test('blames no place that says nothing', async () => {
    const configDir = tree({ 'hello.json': { message: '' } })
    const error = await thrown(() => resolve({ declaration: { schema }, configDir, override: {} }))
    expect(error.message).toContain(`The configuration of plugin 'hello' (${join(configDir, 'hello.json')}) is not valid`)
  })

  test('names the file the value may come from', async () => {
    const configDir = tree({ 'hello.json': { message: '' } })
    const error = await thrown(() => resolve({ declaration: { schema }, configDir }))
    expect(error.message).toContain(join(configDir, 'hello.json'))
  })

  test('of a choice says once what may stand there', async () => {
    const choice = { type: 'object', properties: { a: { anyOf: [{ type: 'string' }, { type: 'array' }] } } }
    const error = await thrown(() => resolve({ declaration: { schema: choice }, override: { a: 1 } }))
    expect(problemsOf(error)).toEqual([{ path: 'a', value: 1, message: 'must be a string or a list, not 1' }])
  })

  test.each([
    ['an unknown type', { type: 'objet' }, 'config.schema.type: must be one of', "Did you mean 'object'?"],
    ['an unknown keyword', { type: 'object', requird: [] }, 'config.schema', "unknown keyword 'requird'. Did you mean 'required'?"],
    [
      'an unknown format',
      { type: 'object', properties: { a: { type: 'string', format: 'emial' } } },
      'config.schema',
      "unknown format 'emial' at '/properties/a'. Did you mean 'email'?",
    ],
    [
      'a reference to nothing',
      { $ref: '#/definitions/gone' },
      'config.schema',
      "the reference '#/definitions/gone' leads to nothing. Write what it is to lead to",
    ],
    ['a broken pattern', { type: 'object', properties: { a: { type: 'string', pattern: '(' } } }, 'config.schema', 'Unterminated group'],
    ['an asynchronous schema', { $async: true, type: 'object' }, 'config.schema', '$async'],
  ])('by %s blames the manifest', async (_, bad, place, reason) => {
    const error = await thrown(() => resolve({ declaration: { schema: bad }, manifestPath: '/p/plugin.json' }))
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'hello' })
    expect(error.message).toContain('/p/plugin.json')
    expect(error.message).toContain(place)
    expect(error.message).toContain(reason)
  })

  test.each([
    'http://json-schema.org/draft-06/schema#',
    'http://json-schema.org/draft-07/schema#',
    'https://json-schema.org/draft-07/schema',
    'https://json-schema.org/draft/2019-09/schema',
    'https://json-schema.org/draft/2020-12/schema',
    'https://json-schema.org/draft/2020-12/schema#',
  ])('takes a schema of %s', async ($schema) => {
    const error = await thrown(() => resolve({ declaration: { schema: { $schema, type: 'object', required: ['a'] } } }))
    expect(problemsOf(error)).toEqual([{ path: 'a', message: 'is missing' }])
  })

  test.each([
    [undefined, undefined, "none is given: write it into options.config['hello']"],
    [undefined, tree(), "none is given: write it into options.config['hello'] or .*hello\\.yaml"],
    [{ b: 1 }, undefined, "its manifest alone gives any: write it into options.config['hello']"],
  ])('that nobody gave says where to write it (%j, %j)', async (defaults, configDir, says) => {
    const declaration = { schema: { type: 'object', required: ['a'] }, ...(defaults && { defaults }) }
    const error = await thrown(() => resolve({ declaration, configDir }))
    expect(error.message).toMatch(
      new RegExp(`^The configuration of plugin 'hello' \\(${says.replaceAll('[', '\\[')}\\) is not valid: a: is missing\\.$`),
    )
  })

  describe('that the defaults of the manifest break', () => {
    const manifestPath = '/plugins/hello/plugin.json'
    const schema = {
      properties: { a: { properties: { port: { type: 'integer' } } }, list: { items: { enum: ['x'] } }, b: { type: 'string' } },
    }
    const defaults = { a: { port: 'many' }, list: ['x', 'y'] }
    const own = (field: string): string =>
      `That is the default of the plugin's own manifest: mend ${field} in ${manifestPath}, or give another value in options.config['hello'].`

    test('says so, with field, value, rule, and where to mend it', async () => {
      const error = await thrown(() => resolve({ manifestPath, declaration: { schema, defaults }, override: { b: 'fine' } }))
      expect(error.message).toBe(
        [
          `The configuration of plugin 'hello' (${manifestPath}) is not valid:`,
          `  - a.port: must be a whole number, not 'many'. ${own('config.defaults.a.port').slice(0, -1)}`,
          `  - list[1]: must be 'x', not 'y'. ${own('config.defaults.list[1]').slice(0, -1)}`,
        ].join('\n'),
      )
      expect(problemsOf(error).map(({ path }) => path)).toEqual(['a.port', 'list[1]'])
    })

    test('says so of the default in a schema, too', async () => {
      const declaration = { schema: { properties: { port: { type: 'integer', default: 'many' } } } }
      const error = await thrown(() => resolve({ manifestPath, declaration }))
      expect(error.message).toBe(
        `The configuration of plugin 'hello' (${manifestPath}) is not valid: port: must be a whole number, not 'many'. ${own('its "default" in config.schema')}`,
      )
    })

    test('is told beside what others gave, each with whose it is', async () => {
      const configDir = tree({ 'hello.yaml': 'list: [z]\n' })
      const error = await thrown(() => resolve({ manifestPath, configDir, declaration: { schema, defaults }, override: { b: 1 } }))
      const [subject, ...told] = error.message.split('\n')
      expect(subject).toBe(`The configuration of plugin 'hello' (${join(configDir, 'hello.yaml')}, options.config['hello']) is not valid:`)
      expect(told).toHaveLength(3)
      expect(told.filter((line) => line.includes('own manifest'))).toEqual([expect.stringContaining('config.defaults.a.port')])
    })

    test('is not theirs where a variable of the environment stands in them', async () => {
      const declaration = { schema: { properties: { port: { type: 'integer' } } }, defaults: { port: '${PORT}' } }
      const error = await thrown(() => resolve({ manifestPath, declaration, env: { PORT: 'many' }, mayRead: () => true }))
      expect(error.message).not.toContain('own manifest')
    })
  })

  test.each([
    ['http://json-schema.org/draft-06/schema#', { properties: { a: { exclusiveMinimum: 0 } } }, { a: 0 }],
    ['http://json-schema.org/draft-07/schema#', { properties: { a: { if: { minimum: 9 }, else: { multipleOf: 2 } } } }, { a: 3 }],
    ['https://json-schema.org/draft/2019-09/schema', { properties: { a: { items: [{ type: 'number' }] } } }, { a: ['x'] }],
    [
      'https://json-schema.org/draft/2019-09/schema',
      { properties: { a: { $recursiveRef: '#' } }, unevaluatedProperties: false },
      { a: { b: 1 } },
    ],
    ['https://json-schema.org/draft/2020-12/schema', { properties: { a: { prefixItems: [{ type: 'number' }] } } }, { a: ['x'] }],
    [
      'https://json-schema.org/draft/2020-12/schema',
      { properties: { a: { $dynamicRef: '#' } }, unevaluatedProperties: false },
      { a: { b: 1 } },
    ],
  ])('of %s holds its rules: %j', async ($schema, rules, override) => {
    const error = await thrown(() => resolve({ declaration: { schema: { $schema, type: 'object', ...rules } }, override }))
    expect(error.code).toBe('CONFIG_INVALID')
  })

  test.each([
    [
      'http://json-schema.org/draft-04/schema#',
      'write $id for id, a list of names for required, and the bound itself for exclusiveMinimum',
    ],
    ['http://json-schema.org/draft-03/schema', 'Make it draft-07'],
    ['https://json-schema.org/draft/2020-21/schema', "Did you mean 'https://json-schema.org/draft/2020-12/schema'?"],
    ['https://example.com/2020-12/own', 'it is draft-07 where none is named.'],
    [7, '7 is no dialect'],
  ])('of %s is refused with the dialects that hold', async ($schema, mend) => {
    const schema = { $schema, type: 'object', properties: { a: { type: 'number' } } }
    const error = await thrown(() => resolve({ declaration: { schema }, manifestPath: '/p/plugin.json', override: { a: 1 } }))
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'hello', details: { file: '/p/plugin.json' } })
    expect(problemsOf(error)).toMatchObject([{ path: '$schema', value: $schema }])
    expect(error.message).toContain('/p/plugin.json is not valid: config.schema.$schema: ')
    expect(error.message).toContain('https://json-schema.org/draft/2019-09/schema')
    expect(error.message).toContain(mend)
  })

  test('two plugins may use one $id, and one plugin may come back with it', async () => {
    const make = (type: string) => ({ $id: 'https://example.com/config', type: 'object', properties: { a: { $id: 'part', type } } })
    for (const type of ['string', 'number', 'string']) {
      const good = type === 'string' ? 'x' : 1
      const bad = type === 'string' ? 1 : 'x'
      expect(await resolve({ name: type, declaration: { schema: make(type) }, override: { a: good } })).toEqual({ a: good })
      expect((await thrown(() => resolve({ name: type, declaration: { schema: make(type) }, override: { a: bad } }))).code).toBe(
        'CONFIG_INVALID',
      )
    }
  })
})

describe('sources that are not valid', () => {
  test('are told with one line for each problem, whatever they hold', async () => {
    const error = await thrown(() =>
      resolve({ declaration: { schema: { additionalProperties: { type: 'number' } } }, override: { a: 'x\n  - b: fine', c: '\u001b[2J' } }),
    )
    expect(error.message.split('\n').slice(1)).toEqual([
      String.raw`  - a: must be a number, not 'x\n  - b: fine'`,
      String.raw`  - c: must be a number, not '\x1b[2J'`,
    ])
    expect(problemsOf(error)[0]).toMatchObject({ path: 'a', value: 'x\n  - b: fine' })
  })

  test.each([
    ['hello.json', '{\n "a": 1,\n}', ':3:1'],
    ['hello.yaml', 'a: [1\nb: 2\n', ':2:1'],
    ['hello.yaml', '- 1\n', 'must be an object, not [1]'],
    ['hello.yaml', 'a: *nothing\n', 'hello.yaml'],
    ['hello.json', '"text"', "must be an object, not 'text'"],
  ])('%s that holds %j is CONFIG_INVALID, with the place', async (name, text, expected) => {
    const configDir = tree({ [name]: text })
    const error = await thrown(() => resolve({ configDir }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', plugin: 'hello' })
    expect(error.message).toContain(join(configDir, name))
    expect(error.message).toContain(expected)
  })

  test('two files for one plugin are one too many', async () => {
    const error = await thrown(() => resolve({ configDir: tree({ 'hello.json': {}, 'hello.yaml': '' }) }))
    expect(error.code).toBe('CONFIG_INVALID')
    expect(error.message).toContain('hello.yaml and hello.json')
  })

  test('a configDir that is not there is said so', async () => {
    const error = await thrown(() => resolve({ configDir: join(tree(), 'gone') }))
    expect(error.code).toBe('CONFIG_INVALID')
    expect(error.message).toContain('gone')
  })

  test('a value that refers back to itself is refused with its place', async () => {
    const circle: Record<string, unknown> = { list: [] }
    circle['list'] = [{ again: circle }]
    const error = await thrown(() => resolve({ override: circle, declaration: { defaults: { list: [] } } }))
    expect(problemsOf(error)).toEqual([{ path: 'list[0].again', message: 'refers back to itself' }])
  })

  test.each<[string, object, Record<string, string>]>([
    [
      'a function',
      { limits: [1, { f() {} }] },
      { path: 'limits[1].f', message: 'is a function, and a configuration is plain data: it crosses to the plugin' },
    ],
    ['a symbol', { kind: Symbol('x') }, { path: 'kind', message: expect.stringContaining('is a symbol') as string }],
    ['a promise', { user: Promise.resolve(1) }, { path: 'user', message: expect.stringContaining('could not be cloned') as string }],
    [
      'a map of functions',
      { by: new Map([['a', () => 1]]) },
      { path: 'by.get("a")', message: expect.stringContaining('cannot cross') as string },
    ],
  ])('%s, which cannot cross to the plugin, is refused with its place', async (_, override, problem) => {
    const error = await thrown(() => resolve({ override }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', plugin: 'hello' })
    expect(problemsOf(error)).toEqual([problem])
  })

  test('what can be cloned is given as it is', async () => {
    const override = { at: new Date(5), by: new Map([['a', new Set([1n])]]), bytes: new Uint8Array([1]), of: /x/g }
    expect(await resolve({ override })).toEqual(override)
  })

  test('an override that is no object is refused', async () => {
    expect((await thrown(() => resolve({ override: ['a'] }))).code).toBe('CONFIG_INVALID')
  })
})
