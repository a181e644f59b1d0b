/** Tasks from their plugin's side: what runs, what is told of it, and what harm one of them does. */
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { inNativeCode } from '../support/offences.js'
import { infoOf, pluginCode, stateOf } from '../support/plugin-folder.js'
import { PORT_THIEF } from '../support/port-thief.js'
import { startedTasks } from '../support/task-plugin.js'

const DOUBLE = 'export default (n) => n * 2'
const NEVER = 'export default () => { for (;;); }'
/** One thread for all runs. */
const ONE_THREAD = { maxConcurrency: 1 }
/** Which thread it runs on, as far as a task can tell. */
const NUMBERED = 'globalThis.mine ??= Math.random()\nexport default () => ({ thread: globalThis.mine })'

describe('a declared task', () => {
  it('runs on a thread of its own, also in TypeScript', async () => {
    const { all } = await startedTasks({
      'double.ts': "import { factor } from './lib/factor.ts'\nexport default (n: number): number => n * factor",
      'lib/factor.ts': 'export const factor: number = 2',
    })
    expect(await all('double', [1, 2, 3])).toEqual([2, 4, 6])
  })

  it('may be a CommonJS module, also one that was made from an ES module', async () => {
    const { run } = await startedTasks({
      'plain.cjs': 'module.exports = (n) => n + 1',
      'made.cjs': "Object.defineProperty(exports, '__esModule', { value: true })\nexports.default = (n) => n + 2",
    })
    expect(await run('plain', 1)).toEqual({ value: 2 })
    expect(await run('made', 1)).toEqual({ value: 3 })
  })

  it('finds plugbay/plugin as its plugin does, wherever the folder lies', async () => {
    const { run } = await startedTasks({
      'typed.ts': "import { definePlugin } from 'plugbay/plugin'\nexport default (): string => typeof definePlugin",
    })
    expect(await run('typed')).toEqual({ value: 'function' })
  })

  it('with a concurrency never runs more often at once, however many are asked for', async () => {
    const { all, folder } = await startedTasks(
      {
        // Says how many of it run at the same moment, in whatever threads they do.
        'alone.js': `import { readdirSync, rmSync, writeFileSync } from 'node:fs'
          export default async ({ folder, name }) => {
            writeFileSync(folder + '/' + name, '')
            await new Promise((resolve) => setTimeout(resolve, 20))
            const running = readdirSync(folder).filter((file) => file.startsWith('run-')).length
            rmSync(folder + '/' + name)
            return running
          }`,
      },
      (folder) => ({
        tasks: { alone: { file: 'alone.js', concurrency: 1 } },
        permissions: [{ resource: `fs:${folder}`, actions: ['read', 'write'] }],
      }),
    )
    const inputs = Array.from({ length: 5 }, (_, n) => ({ folder, name: `run-${n}` }))
    expect(await all('alone', inputs)).toEqual([1, 1, 1, 1, 1])
  })

  it('gets the next input on the thread it was on, many times over', async () => {
    const { run, all } = await startedTasks({ 'numbered.js': NUMBERED, 'double.js': DOUBLE }, {}, ONE_THREAD)
    const first = await run('numbered')
    const inputs = Array.from({ length: 500 }, (_, n) => n)
    expect(await all('double', inputs)).toEqual(inputs.map((n) => n * 2))
    for (let i = 0; i < 20; i++) expect(await run('double', i)).toEqual({ value: i * 2 })
    expect(await run('numbered')).toEqual(first)
  })

  it.each(['thread', 'inline', 'process'])('of a plugin in isolation %s runs and logs', async (isolation) => {
    const { run, lines } = await startedTasks({ 'says.js': "export default (n) => { console.log('said ' + n); return n }" }, { isolation })
    expect(await run('says', 1)).toEqual({ value: 1 })
    await eventually(() =>
      expect(lines).toContainEqual({ level: 'info', message: 'said 1', fields: { plugin: 'worker', generation: 1 } as never }),
    )
  })

  it('moves what it answers with, if it says so', async () => {
    const piscina = pathToFileURL(createRequire(import.meta.url).resolve('piscina')).href
    const code = (given: string): string =>
      `import piscina from ${JSON.stringify(piscina)}\nlet last\nexport default (size) => { const was = last?.byteLength; last = new ArrayBuffer(size); return size === 0 ? was : ${given} }`
    const { run } = await startedTasks(
      { 'moved.js': code('piscina.move(last)'), 'copied.js': code('last') },
      { isolation: 'inline' },
      ONE_THREAD,
    )
    expect(await run('moved', 1_000)).toMatchObject({ value: { byteLength: 1_000 } })
    expect(await run('moved', 0)).toEqual({ value: 0 })
    expect(await run('copied', 1_000)).toMatchObject({ value: { byteLength: 1_000 } })
    expect(await run('copied', 0)).toEqual({ value: 1_000 })
  })
})

describe('the log of a plugin', () => {
  it('gets what its tasks write, with level and name', async () => {
    const { run, lines } = await startedTasks({
      'writes.js': `export default () => {
        console.warn('careful', { n: 1 })
        console.error('wrong')
        console.table([{ a: 1 }])
        process.stdout.write('to stdout\\n')
        process.stderr.write('to stderr\\n')
      }`,
    })
    expect(await run('writes')).toEqual({ value: undefined })
    const ofWorker = (level: string, message: unknown) => ({ level, message, fields: { plugin: 'worker', generation: 1 } })
    await eventually(() =>
      expect(lines).toEqual(
        expect.arrayContaining([
          ofWorker('warn', 'careful { n: 1 }'),
          ofWorker('error', 'wrong'),
          ofWorker('info', expect.stringContaining('(index)')),
          ofWorker('info', 'to stdout'),
          ofWorker('error', 'to stderr'),
        ]),
      ),
    )
  })

  it('gets what a task of an inline plugin writes past its console', async () => {
    const { run, lines } = await startedTasks(
      { 'writes.js': "export default () => { process.stdout.write('raw'); process.stderr.write('rawer') }" },
      { isolation: 'inline' },
    )
    await run('writes')
    await eventually(() => {
      expect(lines).toContainEqual(expect.objectContaining({ level: 'info', message: 'raw' }))
      expect(lines).toContainEqual(expect.objectContaining({ level: 'error', message: 'rawer' }))
    })
  })

  it('has a budget for them too', async () => {
    const { run, lines } = await startedTasks({
      'floods.js': "export default () => { for (let i = 0; i < 5_000; i++) console.log('x'.repeat(1_000)) }",
    })
    await run('floods')
    await eventually(() =>
      expect(lines).toContainEqual(expect.objectContaining({ message: expect.stringContaining('were dropped') as string })),
    )
    expect(lines.length).toBeLessThan(500)
  })
})

describe('a run that fails', () => {
  it('is told as what it is: not declared, thrown, taking too long', async () => {
    const { run, all } = await startedTasks({
      'double.js': DOUBLE,
      'never.js': NEVER,
      'fails.js': "export default () => { throw Object.assign(new RangeError('too far'), { code: 'E_FAR' }) }",
    })
    expect(await run('dubble', 1)).toMatchObject({
      code: 'TASK_UNKNOWN',
      message: expect.stringContaining("Did you mean 'double'?") as string,
    })
    expect(await run('constructor', 1)).toMatchObject({ code: 'TASK_UNKNOWN' })
    expect(await run('fails', 1)).toMatchObject({
      code: 'TASK_FAILED',
      cause: { name: 'RangeError', message: 'too far', code: 'E_FAR' },
      message: expect.stringContaining("'worker'") as string,
    })
    expect(await run('never', 1, { timeout: 50 })).toMatchObject({
      code: 'CALL_TIMEOUT',
      message: expect.stringMatching(/^Task 'never' of plugin 'worker' did not end within 50 ms, the timeout of this run/) as string,
    })
    expect(await all('double', [4])).toEqual([8])
  })

  it('is named where its input cannot be sent, and where its caller cancels it', async () => {
    const { kernel, path } = await startedTasks({ 'never.js': NEVER })
    const start = `
      const told = (run) => run.then(() => undefined, ({ code, message, cause, details }) => ({ code, message, cause: cause.message, details }))
      const leaving = new AbortController()
      const cancelled = told(ctx.tasks.run('never', 1, { signal: leaving.signal }))
      leaving.abort(new Error('no more'))
      const found = { uncloneable: await told(ctx.tasks.run('never', { by: [() => 1] })), cancelled: await cancelled }
      await ctx.services.provide('found', { found: () => found })`
    writeFileSync(join(path, 'index.js'), pluginCode({ start }))
    await kernel.reload('worker')
    const { found } = await kernel.services.use('found')
    expect(await found?.()).toEqual({
      uncloneable: {
        code: 'PAYLOAD_NOT_CLONEABLE',
        message: expect.stringMatching(/^The input of task 'never' cannot cross a thread: .*, at input\.by\[0\]\./) as string,
        cause: expect.stringContaining('could not be cloned') as string,
        details: { path: 'input.by[0]' },
      },
      cancelled: {
        code: 'CALL_CANCELLED',
        message: "Task 'never' of plugin 'worker' was cancelled by its caller.",
        cause: 'no more',
        details: { task: 'never' },
      },
    })
  })

  it('by its module, names that', async () => {
    const { run } = await startedTasks({ 'none.js': 'export const other = 1', 'broken.js': "throw new Error('at its top')" })
    expect(await run('none')).toMatchObject({
      code: 'TASK_FAILED',
      message: expect.stringMatching(/none\.js has no function as its default export/) as string,
    })
    expect(await run('broken')).toMatchObject({ code: 'TASK_FAILED', cause: { message: 'at its top' } })
  })

  it.each([
    ['exits', 'process.exit(3)'],
    ['answers with what cannot be cloned', 'return () => {}'],
    ['throws where nobody catches', "setTimeout(() => { throw new Error('late') }); return new Promise(() => {})"],
    ['throws a proxy', 'throw new Proxy({}, { get() { throw 1 } })'],
  ])('as it %s, leaves the others their threads', async (_how, body) => {
    const { run, kernel } = await startedTasks({ 'fails.js': `export default () => { ${body} }`, 'double.js': DOUBLE }, {}, ONE_THREAD)
    expect(await run('fails')).toMatchObject({ code: 'TASK_FAILED' })
    expect(await run('double', 1)).toEqual({ value: 2 })
    expect(stateOf(kernel, 'worker')).toBe('running')
  })

  it('as it exits says that its thread did, and what to do instead', async () => {
    const { run } = await startedTasks({ 'fails.js': 'export default () => { process.exit(3) }' }, {}, ONE_THREAD)
    expect(await run('fails')).toMatchObject({
      message:
        "Task 'fails' of plugin 'worker' failed: its thread exited with code 3. Let a task return or throw, and not call process.exit().",
    })
  })

  it('by an error that it lets escape is told as that, and not as a want of the system, whatever the error says', async () => {
    const late = "setTimeout(() => { throw Object.assign(new Error('mine'), { code: 'EMFILE' }) }); return new Promise(() => {})"
    const { run } = await startedTasks({ 'fails.js': `export default () => { ${late} }` }, {}, ONE_THREAD)
    expect(await run('fails')).toMatchObject({ message: "Task 'fails' of plugin 'worker' failed: mine", cause: { code: 'EMFILE' } })
  })

  it('after it was answered is a fault of the plugin, and harms nobody', async () => {
    const { run, kernel, faults } = await startedTasks(
      // So late that its answer has been read, also where others take the processors.
      { 'late.js': "export default () => { setTimeout(() => { throw new Error('late') }, 250); return 1 }", 'double.js': DOUBLE },
      {},
      ONE_THREAD,
    )
    expect(await run('late')).toEqual({ value: 1 })
    await eventually(() =>
      expect(faults).toMatchObject([
        { name: 'worker', error: { code: 'TASK_FAILED', plugin: 'worker', message: expect.stringMatching(/'worker'.*late/) as string } },
      ]),
    )
    expect(await run('double', 1)).toEqual({ value: 2 })
    expect(stateOf(kernel, 'worker')).toBe('running')
  })

  it('as its caller cancels it or its time is up, frees the thread for the next', async () => {
    const { run } = await startedTasks(
      { 'never.js': NEVER, 'waits.js': 'export default () => new Promise(() => {})', 'double.js': DOUBLE },
      {},
      ONE_THREAD,
    )
    for (const task of ['never', 'waits', 'never']) {
      expect(await run(task, 0, { timeout: 100 })).toMatchObject({ code: 'CALL_TIMEOUT' })
      expect(await run('double', 2)).toEqual({ value: 4 })
    }
  })

  it('for its time is up does not keep those that wait for its thread', async () => {
    const { run } = await startedTasks({ 'never.js': NEVER, 'double.js': DOUBLE }, {}, ONE_THREAD)
    const never = run('never', 0, { timeout: 500 })
    const waiting = [1, 2, 3].map((n) => run('double', n))
    expect(await never).toMatchObject({ code: 'CALL_TIMEOUT' })
    expect(await Promise.all(waiting)).toEqual([{ value: 2 }, { value: 4 }, { value: 6 }])
  })

  it('in native code, which nothing interrupts, is told of as a stuck thread and holds nobody up', { timeout: 120_000 }, async () => {
    const { kernel, run } = await startedTasks(
      {
        'native.js': `export default () => { ${inNativeCode(4_500)} }`,
        'double.js': DOUBLE,
      },
      {},
      ONE_THREAD,
    )
    const stuck: unknown[] = []
    kernel.on('plugin:stuck', (event) => stuck.push(event))
    await run('double', 1)
    expect(await run('native', 0, { timeout: 500 })).toMatchObject({ code: 'CALL_TIMEOUT' })
    expect(await run('double', 1)).toEqual({ value: 2 })
    await eventually(() => expect(stuck).toEqual([{ name: 'worker', generation: 1 }]))
    expect(infoOf(kernel, 'worker')).toMatchObject({ state: 'running', stuckThreads: 1 })
    // It ends when its call does, however long that takes on a machine that is busy.
    await vi.waitFor(() => expect(infoOf(kernel, 'worker').stuckThreads).toBe(0), { timeout: 60_000 })
  })

  it('in native code leaves as many threads as the pool has beside it, and no more', { timeout: 120_000 }, async () => {
    const { run, lines } = await startedTasks(
      { 'native.js': `export default () => { console.log('begun'); ${inNativeCode(6_000)} }`, 'double.js': DOUBLE },
      {},
      ONE_THREAD,
    )
    const begun = (): number => lines.filter(({ message }) => message === 'begun').length
    // On a machine that is busy it may be over before its thread is there.
    while (begun() < 2) expect(await run('native', 0, { timeout: 600 })).toMatchObject({ code: 'CALL_TIMEOUT' })
    expect(await run('double', 1, { timeout: 1_500 })).toMatchObject({ code: 'CALL_TIMEOUT' })
    expect(await run('double', 1)).toEqual({ value: 2 })
  })

  it('as its plugin ends, leaves nothing', async () => {
    const { kernel, run, all } = await startedTasks(
      { 'never.js': NEVER, 'double.js': DOUBLE },
      { limits: { stopTimeout: 250 } },
      { maxConcurrency: 2 },
    )
    const under = run('never')
    await all('double', [1])
    const outcome = expect(under).rejects.toMatchObject({ code: 'SERVICE_GONE' })
    expect(await kernel.unload('worker')).toMatchObject({ name: 'worker' })
    await outcome
  })
})

describe('a task that grows beyond its limit', () => {
  const LIMIT = { limits: { memory: 64 } }
  const grown = (task: string) => ({
    code: 'TASK_FAILED',
    cause: {
      code: 'PLUGIN_LIMIT',
      plugin: 'worker',
      message: expect.stringMatching(new RegExp(`Task '${task}' of plugin 'worker' used \\d+ MB of memory, its limit is 64 MB`)) as string,
      details: { limit: 'memory', allowed: 64, observed: expect.any(Number) as number, task },
    },
  })

  it.each([
    ['by objects, without coming back', 'const kept = []; for (;;) kept.push({ at: kept.length })'],
    [
      'by objects, turn by turn',
      'const kept = []; for (;;) { for (let i = 0; i < 2e4; i++) kept.push({ i }); await new Promise(setImmediate) }',
    ],
    ['by buffers', 'const kept = []; for (;;) { kept.push(new Uint8Array(1e6).fill(1)); await new Promise(setImmediate) }'],
    ['in one piece', 'const kept = []; for (;;) kept.push(new Array(2e7).fill(0).map((_, i) => ({ i })))'],
  ])('%s, is ended, named, and told of; the rest goes on', async (_how, body) => {
    const { run, kernel, faults } = await startedTasks(
      { 'grows.js': `export default async () => { ${body} }`, 'double.js': DOUBLE },
      LIMIT,
      { maxConcurrency: 2 },
    )
    expect(await run('double', 1)).toEqual({ value: 2 })
    expect(await run('grows')).toMatchObject(grown('grows'))
    expect(await run('double', 2)).toEqual({ value: 4 })
    expect(faults).toMatchObject([{ name: 'worker', error: { code: 'PLUGIN_LIMIT' } }])
    expect(stateOf(kernel, 'worker')).toBe('running')
  })

  it('after it was answered, is a fault of the plugin', async () => {
    const { run, faults } = await startedTasks(
      {
        'leaves.js':
          'const kept = []\nconst grow = () => { for (let i = 0; i < 2e4; i++) kept.push({ i }); setTimeout(grow, 1) }\nexport default () => { grow(); return 1 }',
      },
      LIMIT,
    )
    expect(await run('leaves')).toEqual({ value: 1 })
    await eventually(() =>
      expect(faults).toMatchObject([
        { error: { code: 'PLUGIN_LIMIT', message: expect.stringContaining("What is left of tasks of plugin 'worker' used") as string } },
      ]),
    )
  })

  it('is none that computes for long', async () => {
    const { run, faults } = await startedTasks(
      {
        'computes.js':
          'export default (ms) => { let sum = 0; for (const end = Date.now() + ms; Date.now() < end; ) sum += Math.sqrt(sum + 1); return sum > 0 }',
      },
      { limits: { memory: 64, hang: 250, cpu: 0.1 } },
    )
    expect(await run('computes', 600)).toEqual({ value: true })
    expect(faults).toEqual([])
  })

  it('is none that makes much garbage', async () => {
    const { run, faults } = await startedTasks({
      'litters.js':
        'export default (ms) => { let kept; for (const end = Date.now() + ms; Date.now() < end; ) kept = Array.from({ length: 5e4 }, (_, i) => ({ i })); return kept.length }',
    })
    expect(await run('litters', 1_000)).toEqual({ value: 50_000 })
    expect(faults).toEqual([])
  })

  it.each([
    ['in its heap', 'new Array(20e6).fill(1)'],
    ['outside of it', 'new Uint8Array(160e6).fill(1)'],
  ])('is none that could not collect its garbage yet, as it computes in one go: %s', async (_where, held) => {
    const { run, faults } = await startedTasks(
      {
        'computes.js': `export default (ms) => { const held = ${held}; for (const end = Date.now() + ms; Date.now() < end; ); return held[1] }`,
        'numbered.js': NUMBERED,
        'waits.js': 'export default (ms) => new Promise((resolve) => setTimeout(resolve, ms))',
      },
      { limits: { memory: 128 } },
      ONE_THREAD,
    )
    const before = await run('numbered')
    expect(await run('computes', 1_000)).toEqual({ value: 1 })
    // In that time it is asked, and looked at again.
    await run('waits', 500)
    expect(await run('numbered')).toEqual(before)
    expect(faults).toEqual([])
  })
})

describe('a task that changes what its realm is made of', () => {
  const POISON = `export default () => {
    const no = () => { throw new Error('poison') }
    for (const [prototype, names] of [[Array.prototype, ['push', 'map', 'concat', 'includes']], [Promise.prototype, ['then', 'catch']], [Set.prototype, ['has', 'add']], [String.prototype, ['startsWith', 'slice', 'replace']], [RegExp.prototype, ['test', 'exec']]])
      for (const name of names) try { prototype[name] = no } catch {}
    Object.prototype.code = 'PROTOCOL'
    Object.prototype.error = 1
    return 'done'
  }`

  it('does not break those of another plugin', async () => {
    const { run } = await startedTasks({ 'poison.js': POISON })
    const other = await startedTasks({ 'double.js': DOUBLE })
    await run('poison', 0, { timeout: 500 })
    expect(await other.run('double', 1)).toEqual({ value: 2 })
  })

  it("cannot put itself in the place of its plugin's other tasks, nor get at the wires of its thread", async () => {
    const { run } = await startedTasks(
      {
        'forges.js': `import { createRequire } from 'node:module'
          const require = createRequire(import.meta.url)
          export default () => {
            const held = []
            const attempt = (target, name, forged) => { try { target[name] = forged } catch (error) { held.push(name) } }
            attempt(Map.prototype, 'get', () => () => 'forged')
            attempt(Atomics, 'add', (cells) => { globalThis.cells = cells })
            attempt(MessagePort.prototype, 'postMessage', function () { globalThis.port = this })
            for (const { exports } of Object.values(require.cache)) if ('isMovable' in exports) attempt(exports, 'isMovable', () => true)
            return held
          }`,
        'thief.js': `export default () => { if (globalThis.stolen) return globalThis.stolen.size\n${PORT_THIEF}\n}`,
        'double.js': DOUBLE,
      },
      {},
      ONE_THREAD,
    )
    expect(await run('forges')).toEqual({ value: ['get', 'add', 'postMessage', 'isMovable'] })
    await run('thief')
    expect(await run('double', 2)).toEqual({ value: 4 })
    expect(await run('thief')).toEqual({ value: 0 })
  })

  it('posts to its parent, without a gate, to nobody', async () => {
    const { run } = await startedTasks(
      {
        'posts.js':
          "import { parentPort } from 'node:worker_threads'\nexport default () => { for (const sent of [null, 1, {}, { threadId: 1 }, []]) parentPort.postMessage(sent); return 'posted' }",
        'double.js': DOUBLE,
      },
      { isolation: 'inline' },
      ONE_THREAD,
    )
    expect(await run('posts')).toEqual({ value: 'posted' })
    expect(await run('double', 2)).toEqual({ value: 4 })
  })
})
