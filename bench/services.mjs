/** Calls between two threads: against a bare port, comlink, a relay through the main thread, and while the main thread is blocked. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MessageChannel, Worker } from 'node:worker_threads'
import { createKernel } from '../dist/index.js'

const CALLS = 20_000
/** Longer than the calls take. */
const BLOCKED_MS = 60

const once = (port) => new Promise((resolve) => port.once('message', resolve))

const pair = (mode, relayed) => {
  const { port1, port2 } = new MessageChannel()
  let far = port2
  const relays = []
  if (relayed) {
    const second = new MessageChannel()
    far = second.port2
    port2.on('message', (message) => second.port1.postMessage(message))
    second.port1.on('message', (message) => port2.postMessage(message))
    relays.push(port2, second.port1)
  }
  const caller = new Worker(new URL('workers/caller.mjs', import.meta.url), { workerData: { port: port1, mode }, transferList: [port1] })
  const echo = new Worker(new URL('workers/echo.mjs', import.meta.url), { workerData: { port: far, mode }, transferList: [far] })
  return { caller, echo, relays }
}

const ported = (name, inFlight, relayed = false) => ({
  name,
  setUp: () => pair(name, relayed),
  run: async ({ caller }, calls) => {
    caller.postMessage({ calls, inFlight })
    await once(caller)
  },
  tearDown: async ({ caller, echo, relays }) => {
    for (const port of relays) port.close()
    await Promise.all([caller.terminate(), echo.terminate()])
  },
})

/** Blocked without burning the core that the plugins need. */
const blockFor = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

/** The caller's own time for some calls, in milliseconds; the main thread blocked all the while, or not. */
const measured = async ({ caller }, inFlight, blocked) => {
  const done = caller.call(CALLS, inFlight)
  if (blocked) {
    // The order has left; from here on the main thread answers nothing, and the plugins do not notice.
    await new Promise(setImmediate)
    blockFor(BLOCKED_MS)
  }
  return done
}

const plugged = (inFlight, { name = 'plugbay', blocked = false, timed = false } = {}) => ({
  name,
  setUp: async () => {
    const base = mkdtempSync(join(tmpdir(), 'plugbay-bench-'))
    for (const plugin of ['greeter', 'caller'])
      cpSync(fileURLToPath(new URL(`plugins/${plugin}`, import.meta.url)), join(base, 'plugins', plugin), { recursive: true })
    writeFileSync(join(base, 'package.json'), '{ "type": "module" }')
    const kernel = await createKernel({ base, plugins: 'plugins', logLevel: 'warn', standby: 0 })
    await kernel.start()
    return { base, kernel, caller: await kernel.services.use('caller', { timeout: 0 }) }
  },
  ...(blocked
    ? { measure: (state) => measured(state, inFlight, true) }
    : timed
      ? { measure: (state) => measured(state, inFlight, false) }
      : { run: ({ caller }, calls) => caller.call(calls, inFlight) }),
  tearDown: async ({ base, kernel }) => {
    await kernel.stop()
    rmSync(base, { recursive: true, force: true })
  },
})

export const groups = [
  {
    title: 'round trip, one call at a time (pin to one core: taskset -c 0)',
    unit: 'call',
    baseline: 'raw',
    contenders: [plugged(1), ported('comlink', 1), ported('raw', 1)],
    targets: [{ ratio: 'plugbay/raw', atMost: 1.1, of: 'cost' }],
  },
  {
    title: '64 calls in flight',
    unit: 'call',
    baseline: 'raw',
    roundMs: 40,
    contenders: [plugged(64), ported('comlink', 64), ported('relayed', 64, true), ported('raw', 64)],
    targets: [
      { ratio: 'plugbay/raw', atLeast: 1.5 },
      { ratio: 'plugbay/comlink', atLeast: 10 },
      { ratio: 'plugbay/relayed', atLeast: 3 },
    ],
  },
  {
    title: '64 calls in flight while the main thread is blocked',
    unit: `${CALLS} calls`,
    baseline: 'free',
    contenders: [plugged(64, { name: 'blocked', blocked: true }), plugged(64, { name: 'free', timed: true })],
    targets: [{ ratio: 'blocked/free', atMost: 1.15, of: 'cost' }],
  },
  {
    title: '1,000 calls in flight',
    unit: 'call',
    baseline: 'raw',
    roundMs: 40,
    contenders: [plugged(1_000), ported('raw', 1_000)],
    targets: [{ ratio: 'plugbay/raw', atLeast: 2.5 }],
  },
]
