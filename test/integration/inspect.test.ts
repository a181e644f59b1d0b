/** A debugger on one plugin: from its first line, at one port for all its generations, and without a limit for who sits at a breakpoint. */
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lastEntries } from '#src/kernel/audit/verify.js'
import { type Debugger, debuggerAt, targetsAt } from '../support/debugger.js'
import { eventually } from '../support/eventually.js'
import { infoOf, kernelWith, pluginCode, type Running, stateOf, writePlugin } from '../support/plugin-folder.js'
import { thrown } from '../support/thrown.js'

interface CallFrame {
  callFrameId: string
  functionName: string
  location: { scriptId: string; lineNumber: number }
}

const CODE = `// Its first line says nothing.
import 'node:path'
function early() { return 6 }
globalThis.answer = early() * 7
export default {
  async start(ctx) {
    globalThis.generation = ctx.generation
    await ctx.services.provide('p', { sum: (a, b) => { const sum = a + b; return sum } })
  },
}
`

const LIMITS = { hang: 250, startTimeout: 400, loadTimeout: 400, initializeTimeout: 400, healthTimeout: 400 }
const spaciously = { timeout: 60_000 }

const toldUrl = ({ lines }: Running): Promise<string> =>
  eventually(() => {
    const urls = lines.flatMap(({ message }) => /listens at (ws:\S+)/.exec(message)?.[1] ?? [])
    expect(urls).not.toEqual([])
    return urls.at(-1) as string
  })

const pausedAt = ({ told }: Debugger): Promise<CallFrame> =>
  eventually(() => {
    const paused = told.find(({ method }) => method === 'Debugger.paused')?.params as { callFrames: CallFrame[] } | undefined
    expect(paused?.callFrames.length).toBeGreaterThan(0)
    return paused?.callFrames[0] as CallFrame
  })

const urlOf = ({ told }: Debugger, { location: { scriptId } }: CallFrame): unknown =>
  told.find(({ method, params }) => method === 'Debugger.scriptParsed' && params?.['scriptId'] === scriptId)?.params?.['url']

const attached = async (url: string): Promise<Debugger> => {
  const client = await debuggerAt(url)
  await client.ask('Runtime.enable')
  await client.ask('Debugger.enable')
  return client
}

describe.each(['thread', 'process'])('in a %s', (isolation) => {
  const p = { code: CODE, manifest: { isolation, limits: LIMITS } }

  it('a debugger sees that plugin alone', spaciously, async () => {
    const running = await kernelWith({ p, other: pluginCode({ start: 'globalThis.answer = "another"' }) })
    const { kernel } = running
    const port = await kernel.inspect('p', { port: 0 })
    const { plugins } = await kernel.start()
    // Where it really runs.
    expect(plugins.find(({ name }) => name === 'p')?.isolation).toBe('process')
    const url = await toldUrl(running)
    expect(new URL(url).port).toBe(String(port))
    const targets = await targetsAt(port)
    expect(targets).toHaveLength(1)
    expect(targets[0]?.webSocketDebuggerUrl).toBe(url)
    const client = await attached(url)
    expect(await client.evaluate('answer')).toBe(42)
    await eventually(() => expect(running.lines).toContainEqual(expect.objectContaining({ level: 'info', message: 'Debugger attached.' })))
  })

  it('stops at the first line when it is to wait, for longer than any limit allows', spaciously, async () => {
    const running = await kernelWith({ p })
    const { kernel, faults } = running
    await kernel.inspect('p', { port: 0, wait: true })
    const started = kernel.start()
    const client = await attached(await toldUrl(running))
    expect(await client.evaluate('typeof answer')).toBe('undefined')
    await client.ask('Runtime.runIfWaitingForDebugger')
    const frame = await pausedAt(client)
    expect(frame).toMatchObject({ functionName: '', location: { lineNumber: 3 } })
    expect(urlOf(client, frame)).toMatch(/\/p\/index\.js$/)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(stateOf(kernel, 'p')).toBe('initializing')
    await client.ask('Debugger.resume')
    await started
    expect(faults).toEqual([])
    expect(stateOf(kernel, 'p')).toBe('running')
    expect(await client.evaluate('answer')).toBe(42)
  })

  it('ends with the kernel while it waits for a debugger, and at its first line', spaciously, async () => {
    for (const comes of [false, true]) {
      const running = await kernelWith({ p })
      const { kernel } = running
      await kernel.inspect('p', { port: 0, wait: true })
      const started = kernel.start().catch((error: unknown) => error)
      const url = await toldUrl(running)
      if (comes) {
        const client = await attached(url)
        await client.ask('Runtime.runIfWaitingForDebugger')
        await pausedAt(client)
      }
      await kernel.stop()
      expect(await started).toMatchObject({ code: 'KERNEL_STATE' })
      expect(infoOf(kernel, 'p').stuckThreads).toBe(0)
    }
  })

  it('nothing ends it while it sits at a breakpoint', spaciously, async () => {
    const running = await kernelWith({ p })
    const { kernel, faults } = running
    await kernel.inspect('p', { port: 0 })
    await kernel.start()
    const client = await attached(await toldUrl(running))
    await client.ask('Debugger.setBreakpointByUrl', { urlRegex: 'p/index\\.js$', lineNumber: 7, columnNumber: 65 })
    const { sum } = await kernel.services.use('p')
    const called = sum?.(2, 3) as Promise<unknown>
    const { callFrameId } = await pausedAt(client)
    const { result } = (await client.ask('Debugger.evaluateOnCallFrame', { callFrameId, expression: 'a * 10 + b' })) as {
      result: { value: number }
    }
    expect(result.value).toBe(23)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    await client.ask('Debugger.resume')
    expect(await called).toBe(5)
    expect(faults).toEqual([])
    expect(infoOf(kernel, 'p')).toMatchObject({ state: 'running', generation: 1 })
  })

  it('the next generation is at the same port, and the old one when the next does not start', spaciously, async () => {
    const running = await kernelWith({ p })
    const { kernel, folder } = running
    const port = await kernel.inspect('p', { port: 0 })
    await kernel.start()
    const first = await attached(await toldUrl(running))
    expect(await first.evaluate('generation')).toBe(1)
    await kernel.reload('p')
    await first.closed
    const [target] = await targetsAt(port)
    const second = await attached(target?.webSocketDebuggerUrl ?? '')
    expect(await second.evaluate('generation')).toBe(2)
    writePlugin(folder, 'p', { ...p, code: pluginCode({ start: "throw new Error('not today')" }) })
    await expect(kernel.reload('p')).rejects.toMatchObject({ code: 'PLUGIN_START' })
    const [again] = await targetsAt(port)
    expect(again?.webSocketDebuggerUrl).toBe(target?.webSocketDebuggerUrl)
    expect(await second.evaluate('generation')).toBe(2)
  })
})

it('a plugin that loops for ever can be stopped by its debugger, not by the watchdog', spaciously, async () => {
  const code = pluginCode({
    start:
      "ctx.bus.subscribe('go', () => { setImmediate(() => { globalThis.on = true; while (globalThis.on); void ctx.bus.publish('went') }) })",
  })
  const running = await kernelWith({ p: { code, manifest: { limits: LIMITS } } })
  const { kernel, faults } = running
  await kernel.inspect('p', { port: 0 })
  await kernel.start()
  const client = await attached(await toldUrl(running))
  const went = new Promise((resolve) => kernel.bus.subscribe('went', resolve))
  await kernel.bus.publish('go')
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  await client.ask('Debugger.pause')
  const { callFrameId } = await pausedAt(client)
  await client.ask('Debugger.evaluateOnCallFrame', { callFrameId, expression: 'globalThis.on = false' })
  await client.ask('Debugger.resume')
  await went
  expect(faults).toEqual([])
})

it('is told as what nothing holds, by the kernel and in its audit log', spaciously, async () => {
  const { kernel, folder } = await kernelWith({ p: CODE }, { audit: true })
  const as = { isolation: 'process', isolationFrom: 'inspected' }
  await kernel.inspect('p', { port: 0 }, { actor: 'anna', reason: 'it adds up wrong' })
  await kernel.start()
  expect(infoOf(kernel, 'p')).toMatchObject({ ...as, tier: 'process', holds: [] })
  await kernel.stop()
  expect(infoOf(kernel, 'p')).toMatchObject({ ...as, tier: undefined, holds: undefined })
  const entries = await lastEntries(join(folder, '.data/.audit'), 100)
  expect(entries[0]).toMatchObject({
    kind: 'action',
    plugin: 'p',
    actor: 'anna',
    reason: 'it adds up wrong',
    details: { action: 'inspect' },
  })
  expect(entries.find(({ kind }) => kind === 'plugin.granted')).toMatchObject({ plugin: 'p', details: { ...as, tier: 'process' } })
})

it('at the end of the kernel its port is free and its debuggers are gone', spaciously, async () => {
  const running = await kernelWith({ p: CODE })
  const { kernel } = running
  const port = await kernel.inspect('p', { port: 0 })
  await kernel.start()
  const client = await attached(await toldUrl(running))
  await kernel.stop()
  await client.closed
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  server.close()
})

describe('what cannot be inspected', () => {
  it('is a plugin that is not there, which is told with the nearest name', async () => {
    const { kernel } = await kernelWith({ greeter: CODE })
    await kernel.inspect('greter', { port: 0 })
    expect(await thrown(() => kernel.start())).toMatchObject({
      code: 'PLUGIN_UNKNOWN',
      message: expect.stringMatching(/'greter'.*Did you mean 'greeter'/) as string,
    })
  })

  it('is one that runs inline', async () => {
    const { kernel, faults } = await kernelWith({ p: { code: CODE, manifest: { isolation: 'inline' } } })
    await kernel.inspect('p', { port: 0 })
    await kernel.start()
    expect(faults[0]?.error).toMatchObject({ code: 'ISOLATION_UNAVAILABLE', message: expect.stringContaining('node --inspect') as string })
  })

  it('is one at a port that is taken; the usual port gives way to a free one', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const { kernel } = await kernelWith({ p: CODE, q: CODE })
    expect(await thrown(() => kernel.inspect('p', { port }))).toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining(String(port)) as string,
    })
    server.close()
    const ports = [await kernel.inspect('p'), await kernel.inspect('q')]
    expect(new Set(ports).size).toBe(2)
  })

  it('is one of a kernel that was started', async () => {
    const { kernel } = await kernelWith({ p: CODE })
    await kernel.start()
    expect(await thrown(() => kernel.inspect('p'))).toMatchObject({ code: 'KERNEL_STATE' })
  })
})
