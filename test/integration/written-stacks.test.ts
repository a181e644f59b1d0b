/** Stacks of plugins that bring source maps lead to where the code was written, wherever the plugin runs. */
import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { readableLogger } from '#src/kernel/log/log.js'
import { node, root } from '../support/command.js'
import { eventually } from '../support/eventually.js'
import { type Running, startedWith, writePlugin } from '../support/plugin-folder.js'

/** Each line of what runs was written ten lines further down, in `src/index.ts`. */
const MAP = (lines: number) =>
  JSON.stringify({
    version: 3,
    sources: ['../src/index.ts'],
    names: [],
    mappings: ['AAUA', ...Array<string>(lines).fill('AACA')].join(';'),
  })

const BUILT = `export default {
  async start(ctx) {
    ctx.bus.subscribe('fail', () => {
      throw new Error('handler')
    })
    ctx.bus.subscribe('log', () => {
      const cause = new Error('inner')
      ctx.log.error('logged', { err: new Error('outer', { cause }), other: cause })
    })
    await ctx.services.provide('failing', {
      fail: () => {
        throw new Error('service')
      },
    })
  },
  health() {
    throw new Error('health')
  },
}
//# ${'sourceMappingURL'}=index.js.map
`

const written = (running: Running, name: string, code = BUILT): string => {
  const path = writePlugin(running.folder, name, { main: 'dist/index.js', code })
  writeFileSync(join(path, 'dist/index.js.map'), MAP(code.split('\n').length))
  return path
}

const at = (path: string, line: number) => expect.stringContaining(`${join(path, 'src', 'index.ts')}:${line}:1`) as string

const stackOf = (error: unknown): string => (error as Error).stack ?? ''

describe.each(['inline', 'thread'] as const)('a plugin with a source map, in isolation %s', (isolation) => {
  const loaded = async () => {
    const running = await startedWith({}, { defaults: { isolation } })
    const path = written(running, 'built')
    await running.kernel.load(path)
    return { ...running, path }
  }

  it('is told by it in the log, of a handler and of what it logs', async () => {
    const { kernel, lines, path } = await loaded()
    await kernel.bus.publish('fail')
    await kernel.bus.publish('log')
    await eventually(() => expect(lines.filter(({ level }) => level === 'error')).toHaveLength(2))
    const [failed, logged] = lines.filter(({ level }) => level === 'error').map(({ fields }) => fields)
    expect(failed).toMatchObject({ err: { message: 'handler', stack: at(path, 14) } })
    expect(logged).toMatchObject({ err: { stack: at(path, 18), cause: { stack: at(path, 17) } }, other: { stack: at(path, 17) } })
  })

  it('is told by it to who calls its service', async () => {
    const { kernel, path } = await loaded()
    const service = await kernel.services.use('failing')
    const error: unknown = await service.fail().catch((thrown: unknown) => thrown)
    expect(stackOf(error)).toEqual(at(path, 22))
  })

  it('is told by it where a phase of its life fails', async () => {
    const running = await startedWith({}, { defaults: { isolation } })
    const path = written(running, 'broken', BUILT.replace('ctx.bus.subscribe', "throw new Error('start')"))
    const error = (await running.kernel.load(path).catch((thrown: unknown) => thrown)) as Error
    expect(stackOf(error.cause)).toEqual(at(path, 13))
  })

  it('is told without the name that its module has for one generation', async () => {
    const running = await startedWith({}, { defaults: { isolation } })
    const code = 'interface A {\n  a: number\n}\nexport default {\n  start(): void {\n    throw new Error("line six" as string)\n  },\n}\n'
    const path = writePlugin(running.folder, 'typed', { main: 'index.ts', code })
    const error = (await running.kernel.load(path).catch((thrown: unknown) => thrown)) as Error
    expect(stackOf(error.cause)).toMatch(/typed\/index\.ts:6:\d+\)?$/m)
  })
})

it.each(['inline', 'thread', 'process'] as const)(
  'the built-in logger ends a stack of a plugin in isolation %s where plugbay begins',
  async (isolation) => {
    const written: string[] = []
    const logger = readableLogger('error', (line) => written.push(line))
    const code = `const deep = () => { throw new Error('no start') }\nexport default { start() { deep() } }`
    const { folder } = await startedWith({ p: code }, { logger, defaults: { isolation } })
    const at = (position: string) =>
      expect.stringMatching(new RegExp(`^        at .*${join('p', 'index.js').replaceAll('\\', '.')}.*${position}\\)$`)) as string
    expect(written.join('').replaceAll(folder, '').trimEnd().split('\n').slice(1)).toEqual([
      '    Error: no start',
      at(':1:28'),
      at(':2:28'),
    ])
  },
)

describe('of an inline plugin', () => {
  it('what was saved since it was loaded does not change what its stacks say', async () => {
    const running = await startedWith({}, { defaults: { isolation: 'inline' } })
    const path = written(running, 'built')
    await running.kernel.load(path)
    written(running, 'built', `// one\n// two\n${BUILT}`)
    const later = new Date(Date.now() + 60_000)
    utimesSync(join(path, 'dist/index.js'), later, later)
    await running.kernel.bus.publish('fail')
    await eventually(() => expect(running.lines.filter(({ level }) => level === 'error')).toHaveLength(1))
    const { err } = running.lines.find(({ level }) => level === 'error')?.fields ?? {}
    expect(stackOf(err)).toMatch(/built\/dist\/index\.js:4:\d+/)
  })

  it('a stack that is any text, and names files that there cannot be, is told as it is', async () => {
    const running = await startedWith({}, { defaults: { isolation: 'inline' } })
    const path = written(
      running,
      'built',
      BUILT.replace("throw new Error('handler')", 'throw Object.assign(new Error("handler"), { stack: ctx.config.stack })'),
    )
    const url = pathToFileURL(path).href
    const stack = [
      `${' ('.repeat(2_000)}${url}/a.js:1:1)`,
      `    at ${url}/${'a'.repeat(4_000)}.js:1:1`,
      `    at ${url}/%zz.js:1:1`,
      `    at f (${url}/a%2fb.js:1:1)`,
      '    at /:1:1',
    ].join('\n')
    await running.kernel.load(path)
    await running.kernel.updateConfig('built', { stack })
    await running.kernel.bus.publish('fail')
    await eventually(() => expect(running.lines.filter(({ level }) => level === 'error')).toHaveLength(1))
    const { err } = running.lines.find(({ level }) => level === 'error')?.fields ?? {}
    expect(err).toMatchObject({ message: 'handler', stack })
  })

  it('the stacks that the application reads by itself stay as Node has them', async () => {
    const running = await startedWith({})
    const path = written(running, 'built')
    const script = `
      import { createKernel } from 'plugbay'
      const kernel = await createKernel({ dataDir: ${JSON.stringify(join(running.folder, '.own'))}, isolation: { built: 'inline' } })
      await kernel.start()
      await kernel.load(${JSON.stringify(path)})
      const { default: plugin } = await import(${JSON.stringify(pathToFileURL(join(path, 'dist/index.js')).href)})
      let own
      try { plugin.health() } catch (error) { own = error.stack }
      console.log(JSON.stringify({ own, ofNode: process.sourceMapsEnabled }))
      await kernel.stop()`
    const { stdout, stderr } = await node(['--input-type=module', '--eval', script], root)
    expect({ stderr, ...(JSON.parse(stdout) as object) }).toMatchObject({
      own: expect.stringMatching(/dist\/index\.js:17:\d+/),
      ofNode: false,
    })
  })
})
