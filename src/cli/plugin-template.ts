/** The files of a new plugin. */

export interface PluginTemplate {
  name: string
  typescript: boolean
  /** The nearest package.json says "type": "commonjs": then only the ending says that a file is an ES module. */
  commonjs: boolean
  /** What the manifest's `$schema` says. */
  schema: string
  runner: 'vitest' | 'node:test'
}

interface TemplateFile {
  text: string
  /** What the file is for. */
  says: string
}

/** A name as a key of an object literal: in quotes where it needs them. */
const keyOf = (name: string): string => (/^[a-z][a-z0-9_]*$/.test(name) ? name : `'${name}'`)

/** Lists of words on one line, as a person would write them. */
const onOneLine = (json: string): string =>
  json.replaceAll(/\[\s*("[^\]]*")\s*\]/g, (_all, items: string) => `[${items.split(/,\s*/).join(', ')}]`)

/** Names of the plugin's module and of its test. */
export const fileNames = ({ typescript, commonjs }: Pick<PluginTemplate, 'typescript' | 'commonjs'>): { module: string; test: string } => ({
  module: `index.${commonjs ? 'm' : ''}${typescript ? 'ts' : 'js'}`,
  test: `index.test.${commonjs ? 'm' : ''}js`,
})

const manifestText = (template: PluginTemplate): string => {
  const { name, schema } = template
  const fields = JSON.stringify(
    {
      $schema: schema,
      name,
      version: '0.1.0',
      description: 'Greets whoever says hello.',
      main: fileNames(template).module,
      subscribes: [`${name}.hello`],
      publishes: [`${name}.greeted`],
      provides: [name],
      config: {
        schema: {
          type: 'object',
          properties: { greeting: { type: 'string', minLength: 1, description: 'What a greeting begins with.' } },
          required: ['greeting'],
          additionalProperties: false,
        },
        defaults: { greeting: 'Hello' },
      },
    },
    null,
    2,
  )
  return `${onOneLine(fields)}\n`
}

const moduleText = ({ name, typescript }: PluginTemplate): string => {
  const types = `
interface Config {
  greeting: string
}

// What others see: with this, 'plugbay' knows the types of these events and of this service everywhere.
declare module 'plugbay' {
  interface Events {
    '${name}.hello': { name: string }
    '${name}.greeted': { text: string }
  }
  interface Services {
    ${keyOf(name)}: { greet(name: string): string }
  }
}
`
  return `import { definePlugin } from 'plugbay/plugin'
${typescript ? types : ''}
export default definePlugin${typescript ? '<Config>' : ''}({
  async start(ctx) {
    const { greeting } = ctx.config

    ctx.bus.subscribe('${name}.hello', async (event) => {
      ctx.log.info('greeting', { name: event.data.name })
      await ctx.bus.publish('${name}.greeted', { text: \`\${greeting}, \${event.data.name}!\` })
    })

    await ctx.services.provide('${name}', { greet: (name${typescript ? ': string' : ''}) => \`\${greeting}, \${name}!\` }, { version: '0.1.0' })
  },
})
`
}

const testText = ({ name, runner }: PluginTemplate): string => `import assert from 'node:assert/strict'
${runner === 'node:test' ? "import { test } from 'node:test'\n" : ''}import { fileURLToPath } from 'node:url'
import { createTestKernel } from 'plugbay/testing'
${runner === 'vitest' ? "import { test } from 'vitest'\n" : ''}
const folder = fileURLToPath(new URL('.', import.meta.url))

test('greets whoever says hello', async () => {
  const kernel = await createTestKernel({ plugins: [folder], config: { ${keyOf(name)}: { greeting: 'Good morning' } } })
  try {
    const greeted = kernel.expectEvent('${name}.greeted')
    await kernel.bus.publish('${name}.hello', { name: 'Ada' })
    assert.deepEqual((await greeted).data, { text: 'Good morning, Ada!' })
  } finally {
    await kernel.stop()
  }
})

test('greets on request', async () => {
  const kernel = await createTestKernel({ plugins: [folder] })
  try {
    const service = await kernel.services.use('${name}')
    assert.equal(await service.greet('Ada'), 'Hello, Ada!')
  } finally {
    await kernel.stop()
  }
})
`

const readmeText = (template: PluginTemplate): string => `# ${template.name}

Greets whoever says hello.

| | |
| --- | --- |
| subscribes | \`${template.name}.hello\` with \`{ name }\` |
| publishes | \`${template.name}.greeted\` with \`{ text }\` |
| provides | the service \`${template.name}\`: \`greet(name)\` |
| configuration | \`greeting\`, what a greeting begins with (\`Hello\`) |

\`plugin.json\` says what the plugin is and takes, \`${fileNames(template).module}\` is what it does, \`${fileNames(template).test}\` proves it.
`

/** The files of a new plugin by name. */
export const pluginFiles = (template: PluginTemplate): Record<string, TemplateFile> => ({
  'plugin.json': { text: manifestText(template), says: 'what it is and takes' },
  [fileNames(template).module]: { text: moduleText(template), says: 'what it does' },
  [fileNames(template).test]: { text: testText(template), says: `its test, for ${template.runner}` },
  'README.md': { text: readmeText(template), says: 'for people' },
})
